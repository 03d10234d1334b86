//! The records of one commit, encoded once: a retry sends the same bytes.

use std::{ops::Range, sync::Arc};

use rdkafka::message::OwnedHeaders;

use super::{
    changelog_codec::{ABOUT_KEY, GroupMeta, about_value, put_row_key, put_row_value},
    outbox::records_of,
    side_message::SideMessage,
    sink::trace_headers,
    transaction::TransactionRecord,
};
use crate::{
    sink::{EncodedResult, Output, SideOutput},
    trace::CommitSpan,
};

/// Records on their way into one transaction, in order.
#[derive(Debug, Default)]
pub struct CommitRecords {
    /// What leaves outside the transaction, before it is committed: one per pipeline.
    pub outside: Vec<Arc<Output>>,
    /// The span of the commit.
    pub(crate) span: CommitSpan,
    arena: Vec<u8>,
    records: Vec<Span>,
    /// Used over and over.
    row: (Vec<u8>, Vec<u8>),
}

#[derive(Debug)]
struct Span {
    topic: Arc<str>,
    partition: Option<i32>,
    key: Option<Range<usize>>,
    payload: Option<Range<usize>>,
    headers: Option<OwnedHeaders>,
}

impl CommitRecords {
    /// No records yet, of the commit with this span.
    pub(crate) fn of(span: CommitSpan) -> Self {
        Self { span, ..Self::default() }
    }

    /// Adds the results of `output`: key `window.key`, value its JSON, header `traceparent` if the commit is part of a trace.
    pub fn push_results(&mut self, topic: &Arc<str>, output: &Output) {
        let headers = output.trace.as_ref().map(trace_headers);
        for result in &output.results {
            self.push_result_with(topic, result, headers.clone());
        }
    }

    /// Adds a result without headers.
    pub fn push_result(&mut self, topic: &Arc<str>, result: &EncodedResult) {
        self.push_result_with(topic, result, None);
    }

    fn push_result_with(
        &mut self,
        topic: &Arc<str>,
        result: &EncodedResult,
        headers: Option<OwnedHeaders>,
    ) {
        let key = Some(self.store(result.record.window.key.as_bytes()));
        let payload = Some(self.store(&result.json));
        self.push(topic, None, key, payload, headers);
    }

    /// Adds a late event or dead letter.
    pub fn push_side(&mut self, topic: &Arc<str>, side: &SideOutput) {
        let SideMessage { key, payload, headers } = SideMessage::of(side);
        let key = key.map(|key| self.store(key));
        let payload = Some(self.store(payload));
        self.push(topic, None, key, payload, Some(headers));
    }

    /// Adds a row of state, or that it is gone, to the changelog partition of its key group.
    pub fn push_row(
        &mut self,
        changelog: &Arc<str>,
        key_group: u16,
        key: &[u8],
        value: Option<&[u8]>,
    ) {
        let (mut record_key, mut record_value) = std::mem::take(&mut self.row);
        put_row_key(&mut record_key, key);
        let payload = value.map(|value| {
            put_row_value(&mut record_value, &record_key, value);
            self.store(&record_value)
        });
        let stored = self.store(&record_key);
        self.row = (record_key, record_value);
        self.push(changelog, Some(i32::from(key_group)), Some(stored), payload, None);
    }

    /// Adds what the rows of a key group reflect.
    pub fn push_meta(&mut self, changelog: &Arc<str>, key_group: u16, meta: &GroupMeta) {
        let key = self.store(GroupMeta::KEY);
        let payload = self.store(&meta.encode());
        self.push(changelog, Some(i32::from(key_group)), Some(key), Some(payload), None);
    }

    /// Adds a row of the outbox, in as many records as it needs; `total` is what its pipeline has written with it, in bytes.
    pub fn push_outbox(&mut self, outbox: &Arc<str>, sequence: u64, total: u64, row: &[u8]) {
        records_of(sequence, total, row, |value| {
            let payload = Some(self.store(value));
            self.push(outbox, Some(0), None, payload, None);
        });
    }

    /// Adds what the state is of, as JSON, to the first partition of `changelog`.
    pub fn push_about(&mut self, changelog: &Arc<str>, json: &[u8]) {
        let key = self.store(ABOUT_KEY);
        let payload = self.store(&about_value(json));
        self.push(changelog, Some(0), Some(key), Some(payload), None);
    }

    /// The records.
    pub fn iter(&self) -> impl Iterator<Item = TransactionRecord<'_>> {
        self.records.iter().map(|span| TransactionRecord {
            topic: &span.topic,
            partition: span.partition,
            key: span.key.clone().map(|at| self.arena.get(at).unwrap_or_default()),
            payload: span.payload.clone().map(|at| self.arena.get(at).unwrap_or_default()),
            headers: span.headers.clone(),
        })
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.arena.len()
    }

    fn store(&mut self, bytes: &[u8]) -> Range<usize> {
        let from = self.arena.len();
        self.arena.extend_from_slice(bytes);
        from..self.arena.len()
    }

    fn push(
        &mut self,
        topic: &Arc<str>,
        partition: Option<i32>,
        key: Option<Range<usize>>,
        payload: Option<Range<usize>>,
        headers: Option<OwnedHeaders>,
    ) {
        self.records.push(Span { topic: Arc::clone(topic), partition, key, payload, headers });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::ChangelogRecord;

    #[test]
    fn rows_are_as_the_changelog_reads_them() {
        let topic: Arc<str> = "changelog".into();
        let mut records = CommitRecords::default();
        records.push_row(&topic, 5, b"\0\x05a", Some(b"value"));
        records.push_row(&topic, 5, b"\0\x05b", None);
        records.push_meta(&topic, 5, &GroupMeta { sequence: 3, ..GroupMeta::default() });
        let read: Vec<_> = records
            .iter()
            .map(|record| {
                assert_eq!((record.topic, record.partition), ("changelog", Some(5)));
                ChangelogRecord::decode(5, record.key.unwrap(), record.payload).unwrap()
            })
            .collect();
        assert_eq!(
            read,
            [
                ChangelogRecord::Row { key: b"\0\x05a", value: Some(b"value") },
                ChangelogRecord::Row { key: b"\0\x05b", value: None },
                ChangelogRecord::Meta(GroupMeta { sequence: 3, ..GroupMeta::default() }),
            ]
        );
        assert_eq!((records.len(), records.is_empty()), (3, false));
    }
}
