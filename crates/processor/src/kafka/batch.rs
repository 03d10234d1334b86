//! From librdkafka's messages to the record batches of the pipeline.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use rdkafka::{
    Timestamp,
    message::{BorrowedMessage, Headers, Message},
};
use tracing::warn;

use crate::record::{HeaderSpan, PartitionOrigin, Position, RecordBatch, RecordFormat, RecordSpan};

/// Bounds of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchLimits {
    /// Records.
    pub(super) records: usize,
    /// Bytes of all records, reached by the last one.
    pub(super) bytes: usize,
    /// Bytes of one record; a longer one is cut to one byte more.
    pub(super) record_bytes: usize,
}

/// An empty batch.
pub(super) fn begin(origin: &Arc<PartitionOrigin>) -> RecordBatch {
    let mut batch = RecordBatch::new(Arc::clone(origin), RecordFormat::Json, 0);
    batch.receive(chrono::Utc::now().timestamp_micros());
    batch
}

/// Whether no further record fits.
pub(super) fn is_full(batch: &RecordBatch, limits: BatchLimits) -> bool {
    batch.records.len() >= limits.records || batch.arena.len() >= limits.bytes
}

/// Adds a message with key, headers and append time.
pub(super) fn push(batch: &mut RecordBatch, message: &BorrowedMessage<'_>, limits: BatchLimits) {
    let payload = message.payload().unwrap_or_default();
    let kept = payload.get(..limits.record_bytes.saturating_add(1)).unwrap_or(payload);
    let payload = batch.store(kept);
    let key = message.key().map(|key| batch.store(key));
    let headers = push_headers(batch, message);
    let append_time_ms = match message.timestamp() {
        Timestamp::LogAppendTime(at) => Some(at),
        Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
    };
    let offset = message.offset();
    batch.next_position = Position::at(offset + 1);
    batch.records.push(RecordSpan { payload, key, offset, line: None, append_time_ms, headers });
}

fn push_headers(batch: &mut RecordBatch, message: &BorrowedMessage<'_>) -> Range<usize> {
    let from = batch.headers.len();
    let Some(headers) = message.headers() else { return from..from };
    for index in 0..headers.count() {
        // The wrapper panics on a name that is not UTF-8.
        let Ok(header) = catch_unwind(AssertUnwindSafe(|| headers.try_get(index))) else {
            warn!(
                topic = message.topic(),
                partition = message.partition(),
                offset = message.offset(),
                "a header whose name is not UTF-8 is left out"
            );
            continue;
        };
        let Some(header) = header else { continue };
        let name = batch.store(header.key.as_bytes());
        let value = header.value.map(|value| batch.store(value));
        batch.headers.push(HeaderSpan { name, value });
    }
    from..batch.headers.len()
}
