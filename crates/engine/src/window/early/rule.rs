//! The trigger of a pipeline, taken apart into what can want a window to fire.
//!
//! Each part that wants a window to fire is remembered in its [`Watch`] until it does. A trigger
//! fires as soon as what is remembered suffices, so `Any` never has more than one wish to remember,
//! and `All` remembers them until the last one comes.

use std::sync::Arc;

use super::Watch;
use crate::window::trigger::{Trigger, TriggerContext, TriggerSpec};

/// A part that wants windows to fire of its own accord.
#[derive(Debug)]
enum Part {
    /// At every multiple of so many events.
    Count(u64),
    /// So many milliseconds after the first event or the last firing.
    Interval(i64),
    /// When it says so.
    User(Arc<dyn Trigger>),
}

/// Which wishes suffice.
#[derive(Debug)]
enum Wish {
    /// None do before the end of the window.
    Never,
    /// That of the part with this number.
    Of(usize),
    Any(Vec<Wish>),
    All(Vec<Wish>),
}

/// When windows fire before their end, and whether a user is asked before they go.
#[derive(Debug)]
pub(in crate::window) struct Rule {
    wish: Wish,
    parts: Vec<Part>,
}

impl Rule {
    /// `None` if no window ever fires early and nobody is asked before it goes.
    pub(in crate::window) fn new(spec: &TriggerSpec) -> Option<Self> {
        let mut parts = Vec::new();
        let wish = Wish::new(spec, &mut parts);
        let rule = Self { wish, parts };
        (rule.asks_users() || !matches!(rule.wish, Wish::Never)).then_some(rule)
    }

    /// By which no window fires early: for windows that did so under an earlier rule, whose revisions go on.
    pub(in crate::window) fn never() -> Self {
        Self { wish: Wish::Never, parts: Vec::new() }
    }

    /// Whether it is [`never`](Self::never).
    pub(in crate::window) fn is_never(&self) -> bool {
        matches!(self.wish, Wish::Never) && self.parts.is_empty()
    }

    /// Whether a user's trigger is part of it.
    pub(in crate::window) fn asks_users(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::User(_)))
    }

    /// Whether the window fires now that its watch has counted an event or was merged.
    pub(in crate::window) fn fires_after_add(
        &self,
        watch: &mut Watch,
        window: TriggerContext<'_>,
    ) -> bool {
        let asked = TriggerContext { element_count: watch.since(), ..window };
        for (number, part) in self.parts.iter().enumerate() {
            let wants = match part {
                Part::Count(n) => watch.crosses(*n),
                Part::Interval(_) => false,
                Part::User(trigger) => trigger.should_fire(asked),
            };
            if wants {
                watch.want(number);
            }
        }
        watch.catch_up();
        self.wish.suffices(watch)
    }

    /// Whether the window fires at the tick of `window.now_ms`.
    pub(in crate::window) fn fires_at_tick(
        &self,
        watch: &mut Watch,
        window: TriggerContext<'_>,
    ) -> bool {
        if watch.since() == 0 {
            return false;
        }
        let asked = TriggerContext { element_count: watch.since(), ..window };
        for (number, part) in self.parts.iter().enumerate() {
            let wants = match part {
                Part::Count(_) => false,
                Part::Interval(ms) => watch.base_ms().saturating_add(*ms) <= window.now_ms,
                Part::User(trigger) => trigger.should_fire(asked),
            };
            if wants {
                watch.want(number);
            }
        }
        self.wish.suffices(watch)
    }

    /// The wall clock from which on a tick may make the window fire; `None` if none may before
    /// further events.
    pub(super) fn due(&self, watch: &Watch) -> Option<i64> {
        if watch.since() == 0 {
            return None;
        }
        let open = self.parts.iter().enumerate().filter(|(number, _)| !watch.wants(*number));
        open.filter_map(|(_, part)| match part {
            Part::Count(_) => None,
            Part::Interval(ms) => Some(watch.base_ms().saturating_add(*ms)),
            Part::User(_) => Some(i64::MIN),
        })
        .min()
    }

    /// Whether no user's trigger keeps the window from being purged.
    pub(in crate::window) fn lets_go(
        &self,
        watch: Option<&Watch>,
        window: TriggerContext<'_>,
    ) -> bool {
        let element_count = watch.map_or(0, Watch::since);
        let asked = TriggerContext { element_count, ..window };
        self.parts.iter().all(|part| match part {
            Part::User(trigger) => trigger.should_purge(asked),
            Part::Count(_) | Part::Interval(_) => true,
        })
    }
}

impl Wish {
    fn new(spec: &TriggerSpec, parts: &mut Vec<Part>) -> Self {
        let mut of = |part| {
            parts.push(part);
            Self::Of(parts.len() - 1)
        };
        match spec {
            TriggerSpec::EventTime => Self::Never,
            TriggerSpec::Count(n) => of(Part::Count(n.get())),
            TriggerSpec::ProcessingTime { interval_ms } => of(Part::Interval(*interval_ms)),
            TriggerSpec::User(trigger) => of(Part::User(Arc::clone(trigger))),
            TriggerSpec::Any(specs) => {
                let mut wishes: Vec<Self> = specs.iter().map(|s| Self::new(s, parts)).collect();
                wishes.retain(|wish| !matches!(wish, Self::Never));
                if wishes.is_empty() { Self::Never } else { Self::Any(wishes) }
            }
            TriggerSpec::All(specs) => {
                let wishes: Vec<Self> = specs.iter().map(|s| Self::new(s, parts)).collect();
                let never = wishes.is_empty() || wishes.iter().any(|w| matches!(w, Self::Never));
                if never { Self::Never } else { Self::All(wishes) }
            }
        }
    }

    fn suffices(&self, watch: &Watch) -> bool {
        match self {
            Self::Never => false,
            Self::Of(part) => watch.wants(*part),
            Self::Any(wishes) => wishes.iter().any(|wish| wish.suffices(watch)),
            Self::All(wishes) => wishes.iter().all(|wish| wish.suffices(watch)),
        }
    }
}
