//! Early firings of sessions, and sessions that may not go.
//!
//! A session carries its watch, which grows with it and is merged with it. Any firing publishes the
//! bounds the session has at that moment, so one that grows afterwards supersedes its early results.

use std::collections::BTreeSet;

use super::SessionWindows;
use crate::{
    aggregation::AggregationPlan,
    core::{KeyId, KeyRegistry},
    window::{
        early::{Early, Watch},
        firing::{Firing, Timing, sort},
        session_list::Session,
        trigger::{TriggerContext, TriggerSpec},
    },
};

/// What the store remembers for the triggers, beside the watches.
#[derive(Debug)]
pub(super) struct SessionEarly {
    pub(super) core: Early<KeyId>,
    /// Keys with sessions that no event can touch, but which a user does not let go.
    pub(super) held: BTreeSet<KeyId>,
}

/// How far the store is in both times.
#[derive(Clone, Copy)]
pub(super) struct Reached {
    gap: i64,
    watermark: i64,
    now_ms: i64,
}

impl SessionWindows {
    /// With the early firings of `spec`.
    #[must_use]
    pub fn with_triggers(mut self, spec: &TriggerSpec) -> Self {
        let early = Early::new(spec);
        self.early = early.map(|core| Box::new(SessionEarly { core, held: BTreeSet::new() }));
        self
    }

    /// Whether there are triggers.
    #[must_use]
    pub fn has_triggers(&self) -> bool {
        self.early.is_some()
    }

    /// The wall clock is `now_ms`.
    pub fn set_clock(&mut self, now_ms: i64) {
        if let Some(early) = &mut self.early {
            early.core.now_ms = now_ms;
        }
    }

    /// Fires the session of `key` that took the event at `at`, which was just added, if it makes it
    /// fire early.
    pub fn fire_added(
        &mut self,
        (key, at): (KeyId, i64),
        keys: &KeyRegistry,
        plan: &AggregationPlan,
        out: &mut Vec<Firing>,
    ) {
        let reached = self.reached();
        let Some(early) = &mut self.early else { return };
        let Some(list) = self.lists.get_mut(key.index()) else { return };
        let place = list.touched(at, reached.gap).start;
        let Some(session) = list.sessions.get_mut(place) else { return };
        let window = reached.context(session, keys.text(key));
        let watch = session.watch.get_or_insert_with(|| Box::new(Watch::new(reached.now_ms)));
        watch.add();
        if reached.is_past(window.end_ms) {
            watch.catch_up();
        } else if early.core.rule.fires_after_add(watch, window) {
            let statistics = self.table.evaluate(session.row, plan);
            let timing = Timing::Early;
            out.push(session.fire(reached.gap, reached.now_ms, window.key, timing, statistics));
        } else {
            early.core.schedule(key, watch);
        }
    }

    /// Fires what the wall clock makes fire early, and asks again whether held sessions may go.
    pub fn tick(&mut self, keys: &mut KeyRegistry, plan: &AggregationPlan, out: &mut Vec<Firing>) {
        let reached = self.reached();
        let Some(early) = &mut self.early else { return };
        let before = out.len();
        for key in early.core.take_due() {
            let Some(list) = self.lists.get_mut(key.index()) else { continue };
            for session in &mut list.sessions {
                if early.fires_at_tick((key, keys.text(key)), session, reached) {
                    let statistics = self.table.evaluate(session.row, plan);
                    let (timing, now_ms) = (Timing::Early, reached.now_ms);
                    let firing =
                        session.fire(reached.gap, now_ms, keys.text(key), timing, statistics);
                    out.push(firing);
                }
                if let Some(tracking) = &mut self.tracking {
                    tracking.note(key, session);
                }
            }
        }
        sort(out, before);
        for key in std::mem::take(&mut early.held) {
            self.purge(key, keys);
        }
    }

    /// How far the store is in both times.
    pub(super) fn reached(&self) -> Reached {
        let now_ms = self.early.as_ref().map_or(0, |early| early.core.now_ms);
        Reached { gap: self.gap, watermark: self.watermark, now_ms }
    }

    /// Memory held for triggers, in bytes.
    pub(super) fn early_bytes(&self) -> usize {
        self.early.as_ref().map_or(0, |early| {
            let sessions = self.lists.iter().flat_map(|list| &list.sessions);
            sessions.filter(|session| session.watch.is_some()).count() * size_of::<Watch>()
                + early.core.size_bytes()
                + early.held.len() * size_of::<KeyId>()
        })
    }
}

impl SessionEarly {
    /// Whether a user does not let go of a session that is to be purged.
    pub(super) fn holds(
        &mut self,
        (key, text): (KeyId, &str),
        session: &Session,
        reached: Reached,
    ) -> bool {
        let window = reached.context(session, text);
        let holds = !self.core.rule.lets_go(session.watch.as_deref(), window);
        if holds {
            self.held.insert(key);
        }
        holds
    }

    fn fires_at_tick(
        &mut self,
        (key, text): (KeyId, &str),
        session: &mut Session,
        reached: Reached,
    ) -> bool {
        let window = reached.context(session, text);
        let Some(watch) = &mut session.watch else { return false };
        if !watch.take_due(reached.now_ms) || reached.is_past(window.end_ms) {
            return false;
        }
        let fires = self.core.rule.fires_at_tick(watch, window);
        if !fires {
            self.core.schedule(key, watch);
        }
        fires
    }
}

impl Reached {
    /// Wall clock.
    pub(super) fn now_ms(self) -> i64 {
        self.now_ms
    }

    fn is_past(self, end_ms: i64) -> bool {
        end_ms <= self.watermark
    }

    fn context<'a>(self, session: &Session, key: &'a str) -> TriggerContext<'a> {
        TriggerContext {
            key,
            start_ms: session.start,
            end_ms: session.end(self.gap),
            watermark: self.watermark,
            now_ms: self.now_ms,
            element_count: 0,
        }
    }
}
