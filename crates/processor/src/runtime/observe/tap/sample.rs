//! What a sample looks like.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use llm_optimizer_engine::core::Rfc3339Millis;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::record::{RecordBatch, RecordSpan};

/// Bytes of a record that are shown.
const MAX_SHOWN_BYTES: usize = 4 << 10;

/// One record, event, result or commit that was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TapSample {
    /// Where it was seen.
    pub stage: String,
    /// When, RFC 3339.
    pub at: String,
    /// Of which pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// Where its record came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<TapOrigin>,
    /// Event time, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Its key, as in results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its values by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, f64>,
    /// Why it is in no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How late it was for its last window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lateness_ms: Option<i64>,
    /// The record, as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<TapRecord>,
    /// The result record.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
    /// The commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<TapCommit>,
}

/// Where a record came from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TapOrigin {
    /// Kind of source.
    pub source: String,
    /// Path or topic.
    pub name: String,
    /// Kafka partition; 0 elsewhere.
    pub partition: i32,
    /// Kafka offset, byte of a file, or number.
    pub offset: i64,
    /// Line of a text input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// A record as it was sent, at most 4 KiB of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TapRecord {
    /// Its bytes, if they are UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Else in Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// How many bytes it has.
    pub bytes: u64,
    /// Whether not all of them are shown.
    pub is_cut: bool,
    /// Its Kafka key, bytes that are no UTF-8 replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its Kafka headers, bytes that are no UTF-8 replaced.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// A commit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TapCommit {
    /// Its number in this run.
    pub number: u64,
    /// `cut`, `acknowledged` or `failed`.
    pub step: String,
    /// Results in it.
    pub results: u64,
    /// Late events in it, where they are kept.
    pub late: u64,
    /// Dead letters in it, where they are kept.
    pub dead_letters: u64,
    /// Time since it was cut, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<f64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl TapSample {
    /// A sample of `stage` at `now_ms`.
    pub(super) fn new(stage: super::TapStage, now_ms: i64, pipeline: Option<&str>) -> Self {
        Self {
            stage: stage.name().into(),
            at: Rfc3339Millis(now_ms).to_string(),
            pipeline: pipeline.map(str::to_owned),
            ..Self::default()
        }
    }

    /// With where the record lies.
    pub(super) fn of(mut self, batch: &RecordBatch, span: &RecordSpan) -> Self {
        self.origin = Some(TapOrigin {
            source: batch.origin.kind.as_str().into(),
            name: batch.origin.name.clone(),
            partition: batch.origin.partition,
            offset: span.offset,
            line: span.line,
        });
        self
    }

    /// With the record itself.
    pub(super) fn showing(self, batch: &RecordBatch, span: &RecordSpan) -> Self {
        let record = Some(TapRecord::of(batch, span));
        Self { record, ..self.of(batch, span) }
    }

    pub(super) fn json(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

impl TapRecord {
    fn of(batch: &RecordBatch, span: &RecordSpan) -> Self {
        let lossy = |bytes: &[u8]| {
            let shown = bytes.get(..MAX_SHOWN_BYTES).unwrap_or(bytes);
            String::from_utf8_lossy(shown).into_owned()
        };
        let headers = batch.headers.get(span.headers.clone()).unwrap_or_default();
        let header = |header: &crate::record::HeaderSpan| {
            let value = header.value.as_ref().map(|value| lossy(batch.bytes(value)));
            (lossy(batch.bytes(&header.name)), value.unwrap_or_default())
        };
        let bytes = batch.bytes(&span.payload);
        let (text, base64, is_cut) = shown(bytes);
        Self {
            text,
            base64,
            bytes: bytes.len() as u64,
            is_cut,
            key: span.key.as_ref().map(|key| lossy(batch.bytes(key))),
            headers: headers.iter().map(header).collect(),
        }
    }
}

/// Text, or Base64 where it is none, and whether it is cut; never within a character.
fn shown(bytes: &[u8]) -> (Option<String>, Option<String>, bool) {
    let Ok(text) = str::from_utf8(bytes) else {
        let part = bytes.get(..MAX_SHOWN_BYTES).unwrap_or(bytes);
        return (None, Some(STANDARD.encode(part)), part.len() < bytes.len());
    };
    let end = text.floor_char_boundary(MAX_SHOWN_BYTES);
    let part = text.get(..end).unwrap_or_default();
    (Some(part.to_owned()), None, end < text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_base64_and_long_records_are_cut_between_characters() {
        assert_eq!(shown(b"{}"), (Some("{}".into()), None, false));
        assert_eq!(shown(b"\xff\x00"), (None, Some("/wA=".into()), false));
        let long = "é".repeat(MAX_SHOWN_BYTES);
        let (text, _, is_cut) = shown(format!("x{long}").as_bytes());
        assert_eq!((text.unwrap().len(), is_cut), (MAX_SHOWN_BYTES - 1, true));
        let (_, base64, is_cut) = shown(&vec![0xff; MAX_SHOWN_BYTES + 1]);
        assert!(is_cut && base64.is_some());
    }
}
