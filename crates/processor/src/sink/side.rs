//! From a record that is in no result to its side output.

use base64::{Engine, engine::general_purpose::STANDARD};
use llm_optimizer_types::{
    SideRecord,
    output::{Origin, SCHEMA_VERSION, SideKind, SideReason},
};

use super::SideOutput;
use crate::record::{RecordBatch, RecordSpan};

/// The side output of record `index` of `batch`: its bytes, key and headers unchanged, and why it
/// is in no result. `lateness_ms` is of late events: how late for the last window of the event.
///
/// # Panics
/// If `batch` has no record `index`.
#[must_use]
pub fn side_output(
    batch: &RecordBatch,
    index: usize,
    kind: SideKind,
    reason: SideReason,
    detail: String,
    lateness_ms: Option<i64>,
) -> SideOutput {
    let count = batch.records.len();
    let Some(span) = batch.records.get(index) else {
        panic!("invariant: a side output is of a record of its batch: {index} of {count}")
    };
    let payload = batch.bytes(&span.payload).to_vec();
    let (record, record_base64) = match str::from_utf8(&payload) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(&payload))),
    };
    SideOutput {
        record: SideRecord {
            schema_version: SCHEMA_VERSION,
            kind,
            reason,
            detail,
            record,
            record_base64,
            origin: origin_of(batch, span),
            lateness_ms,
            pipeline: None,
        },
        payload,
        key: span.key.as_ref().map(|key| batch.bytes(key).to_vec()),
        headers: headers_of(batch, span),
        judged: None,
    }
}

fn origin_of(batch: &RecordBatch, span: &RecordSpan) -> Origin {
    Origin {
        source: batch.origin.kind.as_str().into(),
        name: batch.origin.name.clone(),
        partition: batch.origin.partition,
        offset: span.offset,
        line: span.line,
    }
}

fn headers_of(batch: &RecordBatch, span: &RecordSpan) -> Vec<(String, Option<Vec<u8>>)> {
    let headers = batch.headers.get(span.headers.clone()).unwrap_or_default();
    headers
        .iter()
        .map(|header| {
            let name = String::from_utf8_lossy(batch.bytes(&header.name)).into_owned();
            (name, header.value.as_ref().map(|value| batch.bytes(value).to_vec()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use llm_optimizer_engine::core::PartitionId;

    use super::*;
    use crate::record::{HeaderSpan, PartitionOrigin, RecordFormat, SourceKind};

    fn batch() -> RecordBatch {
        let origin = PartitionOrigin {
            id: PartitionId(3),
            kind: SourceKind::Kafka,
            name: "events".into(),
            partition: 2,
        };
        let mut batch = RecordBatch::new(Arc::new(origin), RecordFormat::Json, 0);
        batch.push(b"{\"a\":\"\xc3\xa9\"}", 7, None);
        batch.push(b"\xff\xfe", 8, Some(4));
        let (key, name, value) = (batch.store(b"k"), batch.store(b"h"), batch.store(b"v"));
        batch.headers.push(HeaderSpan { name: name.clone(), value: Some(value) });
        batch.headers.push(HeaderSpan { name, value: None });
        batch.records[1].key = Some(key);
        batch.records[1].headers = 0..2;
        batch
    }

    #[test]
    fn text_stays_text() {
        let late =
            side_output(&batch(), 0, SideKind::Late, SideReason::TooLate, "x".into(), Some(9));
        assert_eq!(
            serde_json::to_value(&late.record).unwrap(),
            serde_json::json!({
                "schema_version": 1, "kind": "late", "reason": "too_late", "detail": "x",
                "record": "{\"a\":\"é\"}",
                "origin": {"source": "kafka", "name": "events", "partition": 2, "offset": 7},
                "lateness_ms": 9,
            })
        );
        assert_eq!((late.key, late.headers), (None, vec![]));
    }

    #[test]
    fn other_bytes_become_base64_and_key_and_headers_are_kept() {
        let (kind, reason) = (SideKind::DeadLetter, SideReason::InvalidJson);
        let dead = side_output(&batch(), 1, kind, reason, "no JSON".into(), None);
        let json = serde_json::to_value(&dead.record).unwrap();
        assert_eq!((&json["record_base64"], json["record"].is_null()), (&"//4=".into(), true));
        assert_eq!(json["origin"]["line"], 4);
        assert_eq!(dead.payload, b"\xff\xfe");
        assert_eq!(dead.key.as_deref(), Some(b"k".as_slice()));
        assert_eq!(dead.headers, [("h".into(), Some(b"v".to_vec())), ("h".into(), None)]);
    }

    #[test]
    #[should_panic(expected = "invariant: a side output is of a record of its batch: 2 of 2")]
    fn foreign_index_is_a_broken_promise() {
        let (kind, reason) = (SideKind::DeadLetter, SideReason::InvalidJson);
        let _ = side_output(&batch(), 2, kind, reason, String::new(), None);
    }
}
