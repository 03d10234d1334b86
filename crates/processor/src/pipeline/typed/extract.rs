//! Time, key and values of an event, by the user's closures or by what its type says.
//!
//! | extractor that is not given | `FeedbackEvent` | any other type |
//! | --- | --- | --- |
//! | time | its timestamp | field `timestamp`: RFC 3339 text |
//! | key | by the kind of event | none |
//! | value | by the kind of event; an event without is filtered | field `value`: a number |

use std::any::{Any, TypeId, type_name};

use chrono::{DateTime, Utc};
use llm_optimizer_engine::core::EventTime;
use llm_optimizer_types::{FeedbackEvent, SideReason};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fields::{Fields, fields_of};
use crate::{
    core::GroupingKey,
    decode::{Fault, rfc3339},
};

/// Name of the value where no extractor names one.
const DEFAULT_VALUE: &str = "value";
/// Field of the time where no extractor is given.
const DEFAULT_TIME: &str = "timestamp";

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

type Draw<T, V> = Box<dyn Fn(Subject<'_, T>) -> Result<V, Fault> + Send>;

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
        let is_feedback = is_feedback::<T>();
        let mut default = Defaults { is_feedback, needs_fields: false, faults };
        let time = match given.timestamp {
            Some(closure) => Box::new(move |s: Subject<'_, T>| Ok(closure(s.event).into())),
            None => default.time(),
        };
        let key: Draw<T, _> = match given.key {
            Some(closure) => Box::new(move |s| Ok(Some(closure(s.event)))),
            None if is_feedback => Box::new(feedback_key),
            None => Box::new(|_| Ok(Some(GroupingKey::default()))),
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

/// The extractors that come with the type.
struct Defaults<'a> {
    is_feedback: bool,
    needs_fields: bool,
    faults: &'a mut Vec<String>,
}

impl Defaults<'_> {
    fn time<T: DeserializeOwned + 'static>(&mut self) -> Draw<T, EventTime> {
        if self.is_feedback {
            return Box::new(feedback_time);
        }
        self.take_field::<T>(DEFAULT_TIME, "with_timestamp(|event| …)");
        Box::new(|subject| field_time(subject.fields))
    }

    fn value<T: DeserializeOwned + 'static>(&mut self) -> Draw<T, Option<f64>> {
        if self.is_feedback {
            return Box::new(
                |subject| Ok(feedback(subject).and_then(FeedbackEvent::default_value)),
            );
        }
        self.take_field::<T>(DEFAULT_VALUE, "with_value(name, |event| …)");
        Box::new(|subject| field_value(subject.fields).map(Some))
    }

    fn take_field<T: DeserializeOwned>(&mut self, field: &str, extractor: &str) {
        self.needs_fields = true;
        let known = match fields_of::<T>() {
            Fields::Unknown => return,
            Fields::Named(names) if names.contains(&field) => return,
            Fields::Named(names) => format!("its fields are {}", names.join(", ")),
            Fields::None => "it has no named fields".into(),
        };
        let name = short_name::<T>();
        let fault = format!("`{name}` has no field `{field}` ({known}): call `{extractor}`");
        self.faults.push(fault);
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

fn field_time(fields: &Value) -> Result<EventTime, Fault> {
    let wrong = |reason, what: &str| Fault::new(reason, format!("field {DEFAULT_TIME} {what}"));
    match fields.get(DEFAULT_TIME) {
        None | Some(Value::Null) => Err(wrong(SideReason::MissingField, "is missing")),
        Some(Value::String(text)) => {
            let millis = rfc3339(text);
            let millis =
                millis.ok_or_else(|| wrong(SideReason::InvalidTimestamp, "is not RFC 3339"))?;
            EventTime::new(millis)
                .map_err(|error| wrong(SideReason::TimestampOutOfRange, &error.to_string()))
        }
        Some(_) => {
            let what = "is not RFC 3339 text; `with_timestamp` can say how it is to be read";
            Err(wrong(SideReason::InvalidTimestamp, what))
        }
    }
}

fn field_value(fields: &Value) -> Result<f64, Fault> {
    let wrong = |reason, what: &str| Fault::new(reason, format!("field {DEFAULT_VALUE} {what}"));
    match fields.get(DEFAULT_VALUE) {
        None | Some(Value::Null) => Err(wrong(SideReason::MissingField, "is missing")),
        Some(value) => value
            .as_f64()
            .filter(|value| value.is_finite())
            .ok_or_else(|| wrong(SideReason::InvalidValue, "is not a finite number")),
    }
}

/// Whether `T` is [`FeedbackEvent`], which says by itself what its time, key and value are.
pub(in crate::pipeline) fn is_feedback<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<FeedbackEvent>()
}

fn feedback<T: 'static>(subject: Subject<'_, T>) -> Option<&FeedbackEvent> {
    (subject.event as &dyn Any).downcast_ref()
}

fn feedback_time<T: 'static>(subject: Subject<'_, T>) -> Result<EventTime, Fault> {
    let at = feedback(subject).and_then(FeedbackEvent::timestamp);
    let missing = || Fault::new(SideReason::MissingField, "the event has no time");
    at.map(EventTime::from).ok_or_else(missing)
}

#[expect(clippy::unnecessary_wraps, reason = "a `Draw`")]
fn feedback_key<T: 'static>(subject: Subject<'_, T>) -> Result<Option<GroupingKey>, Fault> {
    let fields = feedback(subject).map(FeedbackEvent::default_key).unwrap_or_default();
    Ok((!fields.is_empty()).then(|| GroupingKey::from_fields(&fields)))
}

/// The name of `T` without its path and parameters.
pub(in crate::pipeline) fn short_name<T>() -> &'static str {
    let name = type_name::<T>();
    let path = name.split('<').next().unwrap_or(name);
    let begin = path.rfind("::").map_or(0, |at| at + 2);
    path.get(begin..).unwrap_or(name)
}
