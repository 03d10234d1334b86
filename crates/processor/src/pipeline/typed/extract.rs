//! Time, key and values of an event, by the user's closures or by what its type says.

use std::any::type_name;

use chrono::{DateTime, Utc};
use llm_optimizer_engine::core::EventTime;
use llm_optimizer_types::SideReason;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::defaults::{DEFAULT_VALUE, Defaults};
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

/// The extractors that were given.
pub(in crate::pipeline) struct Given<T> {
    pub(in crate::pipeline) timestamp: Option<Closure<T, DateTime<Utc>>>,
    pub(in crate::pipeline) key: Option<Closure<T, GroupingKey>>,
    pub(in crate::pipeline) values: Vec<(String, Closure<T, f64>)>,
}

impl<T> Default for Given<T> {
    fn default() -> Self {
        Self { timestamp: None, key: None, values: Vec::new() }
    }
}

impl<T> Given<T> {
    /// Whether every extractor is the type's own.
    pub(in crate::pipeline) fn is_empty(&self) -> bool {
        self.timestamp.is_none() && self.key.is_none() && self.values.is_empty()
    }
}

/// How an event's time, key and values are drawn from it.
pub(in crate::pipeline) struct Extractors<T> {
    pub(super) time: Draw<T, EventTime>,
    /// `None`: the event is filtered.
    pub(super) key: Draw<T, Option<GroupingKey>>,
    /// `None`: the event is filtered.
    values: Vec<Draw<T, Option<f64>>>,
    pub(in crate::pipeline) value_names: Vec<String>,
    pub(super) needs_fields: bool,
}

impl<T: DeserializeOwned + 'static> Extractors<T> {
    /// What was given, the rest by the type; without `needs_value` no value is looked for where
    /// none is given. `faults` says which extractors have to be given.
    pub(in crate::pipeline) fn new(
        given: Given<T>,
        needs_value: bool,
        faults: &mut Vec<String>,
    ) -> Self {
        let mut default = Defaults::of::<T>(faults);
        let time = match given.timestamp {
            Some(closure) => Box::new(move |s: Subject<'_, T>| Ok(closure(s.event).into())),
            None => default.time(),
        };
        let key: Draw<T, _> = match given.key {
            Some(closure) => Box::new(move |s| Ok(Some(closure(s.event)))),
            None => default.key(),
        };
        let (mut value_names, mut values) = (Vec::new(), Vec::new());
        for (name, closure) in given.values {
            value_names.push(name.clone());
            values.push(given_value(name, closure));
        }
        if values.is_empty() && needs_value {
            value_names.push(DEFAULT_VALUE.to_owned());
            values.push(default.value());
        }
        let needs_fields = default.needs_fields;
        Self { time, key, values, value_names, needs_fields }
    }
}

impl<T> Extractors<T> {
    /// Leaves the values in `into`; false if one is absent, so that the event is filtered.
    pub(super) fn values_of(
        &self,
        subject: Subject<'_, T>,
        into: &mut Vec<f64>,
    ) -> Result<bool, Fault> {
        into.clear();
        for draw in &self.values {
            into.extend(draw(subject)?);
        }
        Ok(into.len() == self.values.len())
    }
}

fn given_value<T: 'static>(name: String, closure: Closure<T, f64>) -> Draw<T, Option<f64>> {
    Box::new(move |subject| {
        let value = closure(subject.event);
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
