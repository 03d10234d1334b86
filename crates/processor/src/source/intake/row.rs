//! A row of the inbox: records that were synced together, as bytes.
//!
//! | bytes | |
//! | --- | --- |
//! | 1 | version, 1 |
//! | 8 | clock when they were accepted, epoch milliseconds |
//! | 4 | number of records |
//! | 4 each | length of each record |
//! | … | the records one behind the other |
//!
//! Numbers are little-endian. The checksum is the store's.

use crate::error::{ProcessorError, ProcessorResult};

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 13;
const LENGTH_BYTES: usize = 4;

/// Bytes of a row besides its records.
pub(super) fn length_bytes(records: usize) -> usize {
    HEAD_BYTES + LENGTH_BYTES * records
}

/// A row that grows.
#[derive(Debug, Default)]
pub(super) struct RowBuilder {
    lengths: Vec<u8>,
    records: Vec<u8>,
    count: u32,
}

impl RowBuilder {
    pub(super) fn push(&mut self, record: &[u8]) {
        // A record is far shorter than 4 GiB: a body is, and the limit of one is checked at the start.
        let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
        self.lengths.extend_from_slice(&length.to_le_bytes());
        self.records.extend_from_slice(record);
        self.count += 1;
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
        row.push(VERSION);
        row.extend_from_slice(&received_ms.to_le_bytes());
        row.extend_from_slice(&self.count.to_le_bytes());
        row.append(&mut self.lengths);
        row.append(&mut self.records);
        self.count = 0;
        row
    }
}

/// A row that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row<'a> {
    /// Clock when it was accepted, in epoch milliseconds.
    pub(super) received_ms: i64,
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
            Some(&VERSION) => {}
            Some(version) => {
                return Err(damaged(&format!("version {version}; this release reads {VERSION}")));
            }
            None => return Err(damaged("it is empty")),
        }
        Self::split(bytes).ok_or_else(|| damaged("its lengths do not add up"))
    }

    fn split(bytes: &'a [u8]) -> Option<Self> {
        let (_, rest) = bytes.split_first()?;
        let (received_ms, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (lengths, records) = rest.split_at_checked(count.checked_mul(LENGTH_BYTES)?)?;
        let row = Self { received_ms: i64::from_le_bytes(*received_ms), lengths, records };
        let total = row.lengths().try_fold(0_usize, usize::checked_add)?;
        (total == records.len()).then_some(row)
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

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &[u8] = include_bytes!("golden/row-v1.bin");

    fn two_records() -> Vec<u8> {
        let mut row = RowBuilder::default();
        row.push(br#"{"a":1}"#);
        row.push(b"");
        row.finish(1_714_521_600_000)
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
        let newer = [&[2], &GOLDEN[1..]].concat();
        let refused = Row::read(7, &newer).unwrap_err().to_string();
        assert!(refused.contains("record 7") && refused.contains("version 2"), "{refused}");
    }
}
