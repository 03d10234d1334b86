//! One record on its way through the stages: what is known of it, and the events it became.

use std::ops::Range;

use llm_optimizer_engine::core::{EventBatch, EventTime};

use crate::{
    core::GroupingKey,
    decode::{DecodeOutcome, DecodeSettings, Fault, FutureGuard},
};

/// What is known of the event that passes, and the events the record has become so far.
///
/// Stages are passed depth first, and what a stage draws it draws of every event that gets there. So
/// time, key and values are those of the event that passes, also where one event becomes several.
pub(super) struct Pass {
    guard: FutureGuard,
    append_time_ms: Option<i64>,
    now_ms: i64,
    time: Option<EventTime>,
    key: GroupingKey,
    values: Vec<f64>,
    rows: Vec<Row>,
    row_keys: String,
    row_values: Vec<f64>,
}

/// An event that the record became.
struct Row {
    at: EventTime,
    /// Its key in `row_keys`, and where its values begin in `row_values`; `None`: it was dropped.
    content: Option<(Range<usize>, usize)>,
}

impl Pass {
    /// For events with `value_count` values.
    pub(super) fn new(settings: &DecodeSettings, value_count: usize) -> Self {
        Self {
            guard: FutureGuard::new(settings),
            append_time_ms: None,
            now_ms: 0,
            time: None,
            key: GroupingKey::default(),
            values: vec![0.0; value_count],
            rows: Vec::new(),
            row_keys: String::new(),
            row_values: Vec::new(),
        }
    }

    /// Forgets the last record.
    pub(super) fn begin(&mut self, append_time_ms: Option<i64>, now_ms: i64) {
        (self.append_time_ms, self.now_ms, self.time) = (append_time_ms, now_ms, None);
        self.rows.clear();
        self.row_keys.clear();
        self.row_values.clear();
    }

    /// The time of the event that passes, unless the guard refuses it.
    pub(super) fn set_time(&mut self, at: EventTime) -> Result<(), Fault> {
        self.guard.check(at, self.append_time_ms, self.now_ms)?;
        self.time = Some(at);
        Ok(())
    }

    /// The time of the event that passes, if a stage has drawn it.
    pub(super) fn time(&self) -> Option<EventTime> {
        self.time
    }

    /// Another event passes whose time is `time` so far.
    pub(super) fn forget_since(&mut self, time: Option<EventTime>) {
        self.time = time;
    }

    pub(super) fn set_key(&mut self, key: GroupingKey) {
        self.key = key;
    }

    pub(super) fn set_value(&mut self, slot: usize, value: f64) {
        if let Some(place) = self.values.get_mut(slot) {
            *place = value;
        }
    }

    /// The event that passes goes no further. If its time is known, it moves the watermark.
    pub(super) fn drop_event(&mut self) {
        self.rows.extend(self.time.map(|at| Row { at, content: None }));
    }

    /// The event that passes has arrived.
    pub(super) fn keep_event(&mut self) {
        let Some(at) = self.time else {
            unreachable!("invariant: a flow is not finished without a stage that draws the time")
        };
        let from = self.row_keys.len();
        self.row_keys.push_str(self.key.as_str());
        let content = Some((from..self.row_keys.len(), self.row_values.len()));
        self.row_values.extend_from_slice(&self.values);
        self.rows.push(Row { at, content });
    }

    /// Moves the events of record `number` into the batch, in the order of their times: an event
    /// makes no other of its own record late.
    pub(super) fn give(
        &mut self,
        number: u32,
        events: &mut EventBatch,
        outcome: &mut DecodeOutcome,
    ) {
        let kept = self.rows.iter().filter(|row| row.content.is_some()).count();
        outcome.filtered += u64::from(kept == 0);
        outcome.fans_out |= kept > 1;
        if self.rows.len() > 1 {
            self.rows.sort_by_key(|row| row.at);
        }
        for Row { at, content } in self.rows.drain(..) {
            let Some((key, from)) = content else {
                events.push_time_only(number, at);
                continue;
            };
            let key = self.row_keys.get(key).unwrap_or_default();
            let values = self.row_values.get(from..from + self.values.len()).unwrap_or_default();
            events.push(number, at, key, values);
        }
    }
}
