//! Time, key and values of an event, by the user's closures.

use std::any::type_name;

use chrono::{DateTime, Utc};
use llm_optimizer_engine::core::EventTime;
use llm_optimizer_types::SideReason;
use serde_json::Value;

use super::stage::Condition;
use crate::{core::GroupingKey, decode::Fault};

/// A closure of the user.
pub(in crate::pipeline) type Closure<T, V> = Box<dyn Fn(&T) -> V + Send + Sync>;

/// An event, and the same as JSON where somebody reads its fields.
pub(super) struct Subject<'a, T> {
    pub(super) event: &'a T,
    pub(super) fields: &'a Value,
}

impl<T> Clone for Subject<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Subject<'_, T> {}

/// Draws something from an event, or says why it cannot.
pub(super) type Draw<T, V> = Box<dyn Fn(Subject<'_, T>) -> Result<V, Fault> + Send>;

/// What was said about one type.
pub(in crate::pipeline) struct Given<T> {
    pub(super) time: Option<Closure<T, DateTime<Utc>>>,
    pub(super) key: Option<Closure<T, GroupingKey>>,
    /// Each with its place among the values of an event, and its name.
    pub(super) values: Vec<(usize, String, Closure<T, f64>)>,
    pub(super) filters: Vec<Condition<T>>,
}

impl<T> Default for Given<T> {
    fn default() -> Self {
        Self { time: None, key: None, values: Vec::new(), filters: Vec::new() }
    }
}

pub(super) fn given_time<T: 'static>(time: Closure<T, DateTime<Utc>>) -> Draw<T, EventTime> {
    Box::new(move |subject| Ok(time(subject.event).into()))
}

pub(super) fn given_key<T: 'static>(key: Closure<T, GroupingKey>) -> Draw<T, Option<GroupingKey>> {
    Box::new(move |subject| Ok(Some(key(subject.event))))
}

pub(super) fn given_value<T: 'static>(
    name: String,
    value: Closure<T, f64>,
) -> Draw<T, Option<f64>> {
    Box::new(move |subject| {
        let value = value(subject.event);
        if value.is_finite() {
            return Ok(Some(value));
        }
        let detail = format!("value {name} is {value}, a finite number is needed");
        Err(Fault::new(SideReason::InvalidValue, detail))
    })
}

/// The name of `T` without its path and parameters.
pub(in crate::pipeline) fn short_name<T>() -> &'static str {
    let name = type_name::<T>();
    let path = name.split('<').next().unwrap_or(name);
    let begin = path.rfind("::").map_or(0, |at| at + 2);
    path.get(begin..).unwrap_or(name)
}
