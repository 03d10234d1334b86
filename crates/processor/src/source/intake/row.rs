//! A row of the inbox: records that were synced together, as bytes.
//!
//! | bytes | |
//! | --- | --- |
//! | 1 | version: 1; 2 if a record has a trace context |
//! | 8 | clock when they were accepted, epoch milliseconds |
//! | 4 | number of records |
//! | 4 | only version 2: number of changes of the trace context |
//! | … each | the record from which on it holds (4), length (2) and text of `traceparent`, length (2) and text of `tracestate`; without text there is none from there on |
//! | 4 each | length of each record |
//! | … | the records one behind the other |
//!
//! Numbers are little-endian. The checksum is the store's.

use crate::{
    error::{ProcessorError, ProcessorResult},
    trace::TraceContext,
};

const VERSION: u8 = 1;
const VERSION_WITH_CONTEXTS: u8 = 2;
const HEAD_BYTES: usize = 13;
const LENGTH_BYTES: usize = 4;
/// Bytes of a change of the trace context besides its texts.
const CHANGE_BYTES: usize = 8;

/// Bytes of a row besides its records.
pub(super) fn length_bytes(records: usize) -> usize {
    HEAD_BYTES + LENGTH_BYTES * records
}

/// Bytes that the trace context of a request adds, with the change back.
pub(super) fn context_bytes(context: &TraceContext) -> usize {
    let state = context.tracestate().unwrap_or_default();
    2 * CHANGE_BYTES + context.traceparent().len() + state.len()
}

/// A row that grows.
#[derive(Debug, Default)]
pub(super) struct RowBuilder {
    lengths: Vec<u8>,
    records: Vec<u8>,
    count: u32,
    changes: Vec<u8>,
    change_count: u32,
    /// Of the newest record.
    context: Option<TraceContext>,
}

impl RowBuilder {
    /// Adds a record of a request that came from the span of `context`.
    pub(super) fn push(&mut self, record: &[u8], context: Option<&TraceContext>) {
        if self.context.as_ref() != context {
            self.change(context);
        }
        // A record is far shorter than 4 GiB: a body is, and the limit of one is checked at the start.
        let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
        self.lengths.extend_from_slice(&length.to_le_bytes());
        self.records.extend_from_slice(record);
        self.count += 1;
    }

    fn change(&mut self, context: Option<&TraceContext>) {
        self.changes.extend_from_slice(&self.count.to_le_bytes());
        let parent = context.map(TraceContext::traceparent).unwrap_or_default();
        let state = context.and_then(TraceContext::tracestate).unwrap_or_default();
        for text in [parent, state] {
            // Both are short by construction.
            let length = u16::try_from(text.len()).unwrap_or_default();
            self.changes.extend_from_slice(&length.to_le_bytes());
            self.changes.extend_from_slice(text.as_bytes());
        }
        self.change_count += 1;
        self.context = context.cloned();
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn record_bytes(&self) -> usize {
        self.records.len()
    }

    /// The bytes of the row; the builder is empty again.
    pub(super) fn finish(&mut self, received_ms: i64) -> Vec<u8> {
        let mut row = Vec::with_capacity(HEAD_BYTES + self.lengths.len() + self.records.len());
        let has_contexts = self.change_count > 0;
        row.push(if has_contexts { VERSION_WITH_CONTEXTS } else { VERSION });
        row.extend_from_slice(&received_ms.to_le_bytes());
        row.extend_from_slice(&self.count.to_le_bytes());
        if has_contexts {
            row.extend_from_slice(&self.change_count.to_le_bytes());
            row.append(&mut self.changes);
        }
        row.append(&mut self.lengths);
        row.append(&mut self.records);
        *self = Self::default();
        row
    }
}

/// A row that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row<'a> {
    /// Clock when it was accepted, in epoch milliseconds.
    pub(super) received_ms: i64,
    changes: &'a [u8],
    lengths: &'a [u8],
    records: &'a [u8],
}

impl<'a> Row<'a> {
    /// # Errors
    /// [`ProcessorError::State`] if it is no row of this release.
    pub(super) fn read(first: u64, bytes: &'a [u8]) -> ProcessorResult<Self> {
        let damaged = |what: &str| {
            ProcessorError::State(format!(
                "the row of the inbox from record {first} cannot be read ({what}); restore a checkpoint, \
                 or run with --new-state"
            ))
        };
        match bytes.first() {
            Some(&(VERSION | VERSION_WITH_CONTEXTS)) => {}
            Some(version) => {
                return Err(damaged(&format!(
                    "version {version}; this release reads up to {VERSION_WITH_CONTEXTS}"
                )));
            }
            None => return Err(damaged("it is empty")),
        }
        Self::split(bytes).ok_or_else(|| damaged("its lengths do not add up"))
    }

    fn split(bytes: &'a [u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (received_ms, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (changes, rest) =
            if *version == VERSION_WITH_CONTEXTS { split_changes(rest)? } else { (&[][..], rest) };
        let (lengths, records) = rest.split_at_checked(count.checked_mul(LENGTH_BYTES)?)?;
        let row = Self { received_ms: i64::from_le_bytes(*received_ms), changes, lengths, records };
        let total = row.lengths().try_fold(0_usize, usize::checked_add)?;
        (total == records.len()).then_some(row)
    }

    /// From which record on which `traceparent` and `tracestate` hold; empty texts are none.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change<'a>> + use<'a> {
        let mut rest = self.changes;
        std::iter::from_fn(move || {
            let (change, after) = split_change(rest)?;
            rest = after;
            Some(change)
        })
    }

    /// Number of records.
    pub(super) fn count(&self) -> u64 {
        (self.lengths.len() / LENGTH_BYTES) as u64
    }

    fn lengths(&self) -> impl Iterator<Item = usize> + use<'a> {
        self.lengths
            .as_chunks::<LENGTH_BYTES>()
            .0
            .iter()
            .map(|length| usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX))
    }

    /// The records in order.
    pub(super) fn records(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.records;
        self.lengths().map(move |length| {
            let (record, after) = rest.split_at_checked(length).unwrap_or_default();
            rest = after;
            record
        })
    }
}

/// A record, and the texts that hold from there on.
type Change<'a> = (u32, &'a [u8], &'a [u8]);

/// The changes of the trace context, and what follows them.
fn split_changes(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (count, all) = bytes.split_first_chunk()?;
    let mut rest = all;
    for _ in 0..u32::from_le_bytes(*count) {
        rest = split_change(rest)?.1;
    }
    all.split_at_checked(all.len() - rest.len())
}

fn split_change(bytes: &[u8]) -> Option<(Change<'_>, &[u8])> {
    let (from, rest) = bytes.split_first_chunk()?;
    let (parent, rest) = split_text(rest)?;
    let (state, rest) = split_text(rest)?;
    Some(((u32::from_le_bytes(*from), parent, state), rest))
}

fn split_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &[u8] = include_bytes!("golden/row-v1.bin");
    const GOLDEN_2: &[u8] = include_bytes!("golden/row-v2.bin");
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn two_records() -> Vec<u8> {
        let mut row = RowBuilder::default();
        row.push(br#"{"a":1}"#, None);
        row.push(b"", None);
        row.finish(1_714_521_600_000)
    }

    fn four_records_two_with_contexts() -> Vec<u8> {
        let context = TraceContext::parse(PARENT.as_bytes(), Some(b"a=1"));
        let mut row = RowBuilder::default();
        row.push(b"1", None);
        row.push(b"2", context.as_ref());
        row.push(b"3", context.as_ref());
        row.push(b"4", None);
        row.finish(1_714_521_600_000)
    }

    #[test]
    fn a_row_with_trace_contexts_is_read_as_it_was_written_and_its_form_stays() {
        if std::env::var_os("UPDATE").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/source/intake/golden/row-v2.bin");
            std::fs::write(path, four_records_two_with_contexts()).unwrap();
        }
        assert_eq!(four_records_two_with_contexts(), GOLDEN_2);
        let row = Row::read(7, GOLDEN_2).unwrap();
        assert_eq!(row.records().collect::<Vec<_>>(), [b"1", b"2", b"3", b"4"]);
        let changes: Vec<_> = row.changes().collect();
        assert_eq!(changes, [(1, PARENT.as_bytes(), &b"a=1"[..]), (3, b"", b"")]);
        for length in 0..GOLDEN_2.len() {
            assert!(Row::read(7, &GOLDEN_2[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_row_is_read_as_it_was_written_and_its_form_stays() {
        if std::env::var_os("UPDATE").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/source/intake/golden/row-v1.bin");
            std::fs::write(path, two_records()).unwrap();
        }
        assert_eq!(two_records(), GOLDEN);
        let row = Row::read(7, GOLDEN).unwrap();
        assert_eq!((row.received_ms, row.count()), (1_714_521_600_000, 2));
        assert_eq!(row.records().collect::<Vec<_>>(), [&br#"{"a":1}"#[..], b""]);
    }

    #[test]
    fn a_row_that_is_cut_or_of_another_version_is_refused() {
        for length in 0..GOLDEN.len() {
            assert!(Row::read(7, &GOLDEN[..length]).is_err(), "{length} bytes");
        }
        let newer = [&[3], &GOLDEN[1..]].concat();
        let refused = Row::read(7, &newer).unwrap_err().to_string();
        assert!(refused.contains("record 7") && refused.contains("version 3"), "{refused}");
    }
}
