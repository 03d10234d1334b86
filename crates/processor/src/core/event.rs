//! An event with what the processor knows about it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::GroupingKey;

/// An event of the user's type `T` with its time, key and origin.
///
/// ```
/// use chrono::{TimeZone, Utc};
/// use llm_optimizer_processor::{EventMetadata, EventTimestamp, GroupingKey, ProcessorEvent};
///
/// let at = Utc.with_ymd_and_hms(2026, 1, 1, 12, 0, 0).unwrap();
/// let event = ProcessorEvent {
///     data: 812.5,
///     timestamp: EventTimestamp::Event(at),
///     processing_time: at,
///     key: Some(GroupingKey::from_fields(&[("model", "gpt-4o")])),
///     metadata: EventMetadata::default(),
/// };
/// assert_eq!(event.timestamp.time(), at);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessorEvent<T> {
    /// The event itself.
    pub data: T,
    /// Its time, and which kind of time that is.
    pub timestamp: EventTimestamp,
    /// When the processor received it.
    pub processing_time: DateTime<Utc>,
    /// Its key; none = all events of the pipeline share one.
    pub key: Option<GroupingKey>,
    /// Where it came from.
    pub metadata: EventMetadata,
}

/// The time of an event, and which kind of time that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTimestamp {
    /// When it happened, as the event itself says.
    Event(DateTime<Utc>),
    /// When the processor received it.
    Processing(DateTime<Utc>),
    /// When the log appended its record.
    Ingestion(DateTime<Utc>),
}

impl EventTimestamp {
    /// The time, whichever kind it is.
    #[must_use]
    pub fn time(&self) -> DateTime<Utc> {
        match *self {
            Self::Event(at) | Self::Processing(at) | Self::Ingestion(at) => at,
        }
    }
}

/// Where an event came from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventMetadata {
    /// Partition of its topic.
    pub partition: Option<i32>,
    /// Offset of its record.
    pub offset: Option<i64>,
    /// Whatever else is known about it.
    pub attributes: HashMap<String, String>,
}
