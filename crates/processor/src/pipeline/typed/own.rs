//! What the time, key and value of an event are where no extractor says it.
//!
//! | extractor that is not given | `FeedbackEvent` | a number | any other type |
//! | --- | --- | --- | --- |
//! | time | its timestamp | – | field `timestamp`: RFC 3339 text |
//! | key | by the kind of event; an event without is filtered | – | – |
//! | value | by the kind of event; an event without is filtered | itself | field `value`: a number |
//!
//! Of the types on the way the last one that has it counts; where none has a key, there is none.

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

/// An extractor that comes with the type.
pub(super) struct Own<T, V> {
    pub(super) draw: Draw<T, V>,
    /// Whether it reads the fields of an event.
    pub(super) reads_fields: bool,
}

impl<T, V> Own<T, V> {
    /// One that needs no fields.
    pub(super) fn of_event(draw: Draw<T, V>) -> Self {
        Self { draw, reads_fields: false }
    }

    fn of_fields(draw: Draw<T, V>) -> Self {
        Self { draw, reads_fields: true }
    }
}

/// The time of a `T`, or what has to be called instead.
pub(super) fn time<T: DeserializeOwned + 'static>() -> Result<Own<T, EventTime>, String> {
    if is_feedback::<T>() {
        return Ok(Own::of_event(Box::new(feedback_time)));
    }
    has_field::<T>(DEFAULT_TIME, "with_timestamp(|event| …)")?;
    Ok(Own::of_fields(Box::new(|subject| field_time(subject.fields))))
}

/// The key of a `T`, if the type has one.
pub(super) fn key<T: 'static>() -> Option<Draw<T, Option<GroupingKey>>> {
    is_feedback::<T>().then(|| Box::new(feedback_key) as Draw<T, _>)
}

/// The value of a `T`, or what has to be called instead.
pub(super) fn value<T: DeserializeOwned + 'static>() -> Result<Own<T, Option<f64>>, String> {
    if is_feedback::<T>() {
        let value =
            |subject: Subject<'_, T>| Ok(feedback(subject).and_then(FeedbackEvent::default_value));
        return Ok(Own::of_event(Box::new(value)));
    }
    if is_number::<T>() {
        return Ok(Own::of_event(Box::new(number_value)));
    }
    has_field::<T>(DEFAULT_VALUE, "with_value(name, |event| …)")?;
    Ok(Own::of_fields(Box::new(|subject| field_value(subject.fields).map(Some))))
}

fn has_field<T: DeserializeOwned>(field: &str, extractor: &str) -> Result<(), String> {
    let known = match fields_of::<T>() {
        Fields::Unknown => return Ok(()),
        Fields::Named(names) if names.contains(&field) => return Ok(()),
        Fields::Named(names) => format!("its fields are {}", names.join(", ")),
        Fields::None => "it has no named fields".into(),
    };
    let name = short_name::<T>();
    Err(format!("`{name}` has no field `{field}` ({known}): call `{extractor}`"))
}

/// The number that an event is, if it is one.
fn number(event: &dyn Any) -> Option<f64> {
    macro_rules! of {
        ($($lossless:ty),*; $($rounded:ty),*) => {
            None$(.or_else(|| event.downcast_ref::<$lossless>().map(|n| f64::from(*n))))*
                $(.or_else(|| event.downcast_ref::<$rounded>().map(|n| *n as f64)))*
        };
    }
    of!(f64, f32, u32, i32, u16, i16, u8, i8; u64, i64, usize, isize)
}

fn is_number<T: 'static>() -> bool {
    let kind = TypeId::of::<T>();
    macro_rules! is {
        ($($number:ty),*) => { [$(TypeId::of::<$number>()),*].contains(&kind) };
    }
    is!(f64, f32, u32, i32, u16, i16, u8, i8, u64, i64, usize, isize)
}

fn number_value<T: 'static>(subject: Subject<'_, T>) -> Result<Option<f64>, Fault> {
    match number(subject.event) {
        Some(number) if !number.is_finite() => {
            let detail = format!("the value is {number}, a finite number is needed");
            Err(Fault::new(SideReason::InvalidValue, detail))
        }
        number => Ok(number),
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
