//! A type on the way: its extractors, its filters, and the operator that leads to the next type.

use llm_optimizer_engine::core::EventTime;
use llm_optimizer_types::SideReason;
use serde::Serialize;
use serde_json::Value;

use super::{
    extract::{Draw, Subject, short_name},
    pass::Pass,
};
use crate::{core::GroupingKey, decode::Fault};

/// Takes the events of one type and all that follows from them.
pub(in crate::pipeline) trait Stage<T>: Send {
    /// Takes one event.
    fn take(&self, event: T, pass: &mut Pass) -> Result<(), Fault>;
}

/// A condition of the user's.
pub(in crate::pipeline) type Condition<T> = Box<dyn Fn(&T) -> bool + Send + Sync>;

/// Extractors and filters of one type, and what follows.
pub(super) struct Extracting<T, N> {
    /// Drawn of every event, before the filters: what they drop still moves the watermark.
    pub(super) time: Option<Draw<T, EventTime>>,
    pub(super) filters: Vec<Condition<T>>,
    /// Gives `None` for an event that is filtered.
    pub(super) key: Option<Draw<T, Option<GroupingKey>>>,
    /// Each with its place among the values; gives `None` for an event that is filtered.
    pub(super) values: Vec<(usize, Draw<T, Option<f64>>)>,
    /// Whether an extractor reads the fields of an event.
    pub(super) reads_fields: bool,
    pub(super) next: N,
}

impl<T: Serialize, N: Stage<T>> Stage<T> for Extracting<T, N> {
    fn take(&self, event: T, pass: &mut Pass) -> Result<(), Fault> {
        if self.extract(&event, pass)? {
            return self.next.take(event, pass);
        }
        pass.drop_event();
        Ok(())
    }
}

impl<T: Serialize, N> Extracting<T, N> {
    /// Leaves what is drawn in `pass`; false for an event that is dropped.
    fn extract(&self, event: &T, pass: &mut Pass) -> Result<bool, Fault> {
        let fields = if self.reads_fields { fields(event)? } else { Value::Null };
        let subject = Subject { event, fields: &fields };
        if let Some(time) = &self.time {
            pass.set_time(time(subject)?)?;
        }
        if !self.filters.iter().all(|keeps| keeps(event)) {
            return Ok(false);
        }
        if let Some(key) = &self.key {
            let Some(key) = key(subject)? else { return Ok(false) };
            pass.set_key(key);
        }
        let mut is_complete = true;
        for (slot, value) in &self.values {
            match value(subject)? {
                Some(value) => pass.set_value(*slot, value),
                None => is_complete = false, // The next may be a fault, which outranks the filter.
            }
        }
        Ok(is_complete)
    }
}

/// The event as JSON.
fn fields<T: Serialize>(event: &T) -> Result<Value, Fault> {
    serde_json::to_value(event).map_err(|error| {
        let detail = format!("its {} has no JSON form: {error}", short_name::<T>());
        Fault::new(SideReason::InvalidJson, detail)
    })
}

/// One event of another type, or why there is none.
pub(super) struct Mapping<T, U> {
    pub(super) map: Box<dyn Fn(T) -> Result<U, Fault> + Send + Sync>,
    pub(super) next: Box<dyn Stage<U>>,
}

impl<T, U> Stage<T> for Mapping<T, U> {
    fn take(&self, event: T, pass: &mut Pass) -> Result<(), Fault> {
        self.next.take((self.map)(event)?, pass)
    }
}

/// Any number of events of another type.
pub(super) struct Flattening<F, U> {
    pub(super) map: F,
    pub(super) next: Box<dyn Stage<U>>,
}

impl<T, U, I, F> Stage<T> for Flattening<F, U>
where
    I: IntoIterator<Item = U>,
    F: Fn(T) -> I + Send + Sync,
{
    fn take(&self, event: T, pass: &mut Pass) -> Result<(), Fault> {
        let time = pass.time();
        let mut is_empty = true;
        for event in (self.map)(event) {
            is_empty = false;
            pass.forget_since(time);
            self.next.take(event, pass)?;
        }
        if is_empty {
            pass.drop_event();
        }
        Ok(())
    }
}

/// The last type: the event has arrived.
pub(super) struct Arrival;

impl<T> Stage<T> for Arrival {
    fn take(&self, _: T, pass: &mut Pass) -> Result<(), Fault> {
        pass.keep_event();
        Ok(())
    }
}
