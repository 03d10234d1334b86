//! What the processor writes: window results, late events, dead letters.
//!
//! Optional fields are absent when empty, never `null`. Every record carries [`SCHEMA_VERSION`].
//!
//! ```
//! use llm_optimizer_types::ResultRecord;
//! let result: ResultRecord = serde_json::from_str(r#"{
//!     "schema_version": 1, "pipeline": "default",
//!     "window": {"start": "2026-03-01T08:00:00.000Z", "end": "2026-03-01T08:01:00.000Z",
//!                "key": "service=chat::model=gpt-4o"},
//!     "key_fields": {"service": "chat", "model": "gpt-4o"},
//!     "results": {"count": 3, "average": 812.5}, "pane": {"revision": 0, "timing": "on_time"},
//!     "window_id": "00112233445566778899aabbccddeeff",
//!     "result_id": "00112233445566778899aabbccddeeff-0", "timestamp": "2026-03-01T08:01:05.001Z"
//! }"#).unwrap();
//! assert_eq!(result.results["average"].as_f64(), Some(812.5));
//! ```

mod schema;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use schema::{result_schema, side_output_schema};

/// Schema version of every record in this module.
pub const SCHEMA_VERSION: u32 = 1;

/// Value of a key field, with the type it has in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ResultKey {
    /// A boolean.
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// An integer above `i64::MAX`.
    Unsigned(u64),
    /// Text.
    Text(String),
}

/// When a result fired, seen from the end of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaneTiming {
    /// Before the watermark passed the end.
    Early,
    /// When the watermark passed the end.
    OnTime,
    /// After that, because a late event changed it.
    Late,
}

/// How a percentile, or a statistic of items, was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// From all values.
    Exact,
    /// From a sketch: a percentile within 1 % relative error.
    Sketch,
    /// From a sketch whose lowest buckets collapsed.
    Collapsed,
}

/// The window of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultWindow {
    /// First instant, RFC 3339 UTC with milliseconds.
    pub start: String,
    /// First instant after it.
    pub end: String,
    /// The key as one string: `a=1::b=2`.
    pub key: String,
}

/// Which firing of the window this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pane {
    /// 0, 1, 2 … per key and window.
    pub revision: u32,
    /// When it fired.
    pub timing: PaneTiming,
}

/// Statistics of one key in one window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultRecord {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Name of the pipeline.
    pub pipeline: String,
    /// The window and its key.
    pub window: ResultWindow,
    /// Key fields by name, with their JSON type.
    pub key_fields: BTreeMap<String, ResultKey>,
    /// Statistics by name: plain numbers, but for `top_k`, which is a list of items with their count,
    /// and what functions registered in code give.
    pub results: BTreeMap<String, serde_json::Value>,
    /// Which firing this is.
    pub pane: Pane,
    /// Identity of (pipeline, key, start, end): the upsert key, 32 hex digits.
    pub window_id: String,
    /// `<window_id>-<revision>`.
    pub result_id: String,
    /// Clock when it fired, RFC 3339 UTC with milliseconds.
    pub timestamp: String,
    /// Last result of every session this one absorbed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<String>,
    /// How each percentile, number of distinct items and list of frequent items was computed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quality: BTreeMap<String, Quality>,
    /// Statistics that have no value, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, String>,
}

/// Late event or dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SideKind {
    /// Too late for every window.
    Late,
    /// Cannot be used.
    DeadLetter,
}

/// Why a record is in no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SideReason {
    /// Every window of the event is closed.
    TooLate,
    /// Not a JSON object (or CSV record).
    InvalidJson,
    /// A required field is absent or null.
    MissingField,
    /// The time does not parse.
    InvalidTimestamp,
    /// The time is beyond ±8.64e15 ms.
    TimestampOutOfRange,
    /// Later than its reference time plus the allowed skew.
    FutureTimestamp,
    /// A value is not a finite number.
    InvalidValue,
    /// A key field is null, a fraction, an object or an array.
    InvalidKey,
    /// Larger than `limits.max_record_bytes`.
    RecordTooLarge,
    /// Would open more windows of its key than `limits.max_windows_per_key`.
    LimitWindowsPerKey,
}

impl SideReason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::TooLate,
        Self::InvalidJson,
        Self::MissingField,
        Self::InvalidTimestamp,
        Self::TimestampOutOfRange,
        Self::FutureTimestamp,
        Self::InvalidValue,
        Self::InvalidKey,
        Self::RecordTooLarge,
        Self::LimitWindowsPerKey,
    ];

    /// The reason as it is written.
    ///
    /// ```
    /// assert_eq!(llm_optimizer_types::SideReason::TooLate.as_str(), "too_late");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLate => "too_late",
            Self::InvalidJson => "invalid_json",
            Self::MissingField => "missing_field",
            Self::InvalidTimestamp => "invalid_timestamp",
            Self::TimestampOutOfRange => "timestamp_out_of_range",
            Self::FutureTimestamp => "future_timestamp",
            Self::InvalidValue => "invalid_value",
            Self::InvalidKey => "invalid_key",
            Self::RecordTooLarge => "record_too_large",
            Self::LimitWindowsPerKey => "limit_windows_per_key",
        }
    }
}

/// Where a record came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// `file`, `stdin`, `kafka`, `generator`, `http`, `otlp`, `custom`.
    pub source: String,
    /// Path or topic; `inbox` of `http` and `otlp`.
    pub name: String,
    /// Kafka partition; 0 elsewhere.
    pub partition: i32,
    /// Kafka offset, or the byte at which the record begins.
    pub offset: i64,
    /// Line of a text input, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// A late event or dead letter as a JSON line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideRecord {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Late or dead letter.
    pub kind: SideKind,
    /// Why, as a word.
    pub reason: SideReason,
    /// Why, as a sentence: which field, what was found.
    pub detail: String,
    /// The record as text, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// The record as base64, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_base64: Option<String>,
    /// Where it came from.
    pub origin: Origin,
    /// How late a late event was for its last window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lateness_ms: Option<i64>,
    /// The pipeline it is of, where the configuration names pipelines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
}

#[cfg(test)]
mod tests;
