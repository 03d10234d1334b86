//! What the time, key and value of an event are where no extractor says it.
//!
//! | extractor that is not given | `FeedbackEvent` | any other type |
//! | --- | --- | --- |
//! | time | its timestamp | field `timestamp`: RFC 3339 text |
//! | key | by the kind of event | none |
//! | value | by the kind of event; an event without is filtered | field `value`: a number |

use std::any::{Any, TypeId};

use llm_optimizer_engine::core::EventTime;
use llm_optimizer_types::{FeedbackEvent, SideReason};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    extract::{Draw, Subject, short_name},
    fields::{Fields, fields_of},
};
use crate::{
    core::GroupingKey,
    decode::{Fault, rfc3339},
};

/// Name of the value, and of its field.
pub(super) const DEFAULT_VALUE: &str = "value";
/// Field of the time.
const DEFAULT_TIME: &str = "timestamp";

/// The extractors that come with the type.
pub(super) struct Defaults<'a> {
    is_feedback: bool,
    /// Whether one of those asked for reads the fields of an event.
    pub(super) needs_fields: bool,
    faults: &'a mut Vec<String>,
}

impl<'a> Defaults<'a> {
    /// Those of `T`; `faults` takes what it has no field for.
    pub(super) fn of<T: 'static>(faults: &'a mut Vec<String>) -> Self {
        Self { is_feedback: is_feedback::<T>(), needs_fields: false, faults }
    }

    pub(super) fn key<T: 'static>(&self) -> Draw<T, Option<GroupingKey>> {
        if self.is_feedback {
            return Box::new(feedback_key);
        }
        Box::new(|_| Ok(Some(GroupingKey::default())))
    }

    pub(super) fn time<T: DeserializeOwned + 'static>(&mut self) -> Draw<T, EventTime> {
        if self.is_feedback {
            return Box::new(feedback_time);
        }
        self.take_field::<T>(DEFAULT_TIME, "with_timestamp(|event| …)");
        Box::new(|subject| field_time(subject.fields))
    }

    pub(super) fn value<T: DeserializeOwned + 'static>(&mut self) -> Draw<T, Option<f64>> {
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
