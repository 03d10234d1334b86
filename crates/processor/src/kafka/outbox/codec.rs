//! The output of one commit of one pipeline as records of the outbox topic.
//!
//! ```text
//! version 1 │ flags 0 │ commit │ total │ bytes of the row │ part │ parts │ piece of the row │ checksum
//! ```
//! Numbers are varints. A row longer than 900 kB is cut into parts, which lie one behind the other: they are of one
//! transaction of the only writer. `total` counts the bytes of all rows the pipeline has ever written, this one included, so a
//! reader that knows where it was sees a missing record, and how much waits is a difference. Records have no key. The checksum
//! is XXH3 of all before it. The row itself is that of the embedded outbox.

use xxhash_rust::xxh3::xxh3_64;

use super::super::wire::{Malformed, Wire, put_u64};

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

/// Longest piece of a row, in bytes.
const MAX_PIECE_BYTES: usize = 900_000;

/// A row, seen from one of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowHead {
    /// The commit it is of, over all runs of the state.
    pub(super) sequence: u64,
    /// Bytes of all rows so far, this one included.
    pub(super) total: u64,
    /// Bytes of this row.
    pub(super) bytes: u64,
    /// Number of parts.
    pub(super) parts: u64,
}

/// A row that is read part by part.
#[derive(Debug, Default)]
pub(super) struct RowParts {
    head: Option<RowHead>,
    next: u64,
    row: Vec<u8>,
}

/// Why a record is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum OutboxDamage {
    /// Written by a later release.
    #[error("version {0} was written by a later release; run that one")]
    Newer(u8),
    /// Changed on the way, or not written by this program.
    #[error("the record is damaged or not of this program")]
    Damaged,
    /// A part is missing.
    #[error("a part of what commit {0} wrote is missing")]
    Torn(u64),
}

impl From<Malformed> for OutboxDamage {
    fn from(_: Malformed) -> Self {
        Self::Damaged
    }
}

/// Calls `each` with the value of every record of `row`.
pub(in super::super) fn records_of(
    sequence: u64,
    total: u64,
    row: &[u8],
    mut each: impl FnMut(&[u8]),
) {
    let pieces = row.chunks(MAX_PIECE_BYTES);
    let parts = pieces.len() as u64;
    let mut value = Vec::new();
    for (part, piece) in pieces.enumerate() {
        value.clear();
        value.extend_from_slice(&[VERSION, 0]);
        for number in [sequence, total, row.len() as u64, part as u64, parts] {
            put_u64(&mut value, number);
        }
        value.extend_from_slice(piece);
        let sum = xxh3_64(&value);
        value.extend_from_slice(&sum.to_le_bytes());
        each(&value);
    }
}

impl RowParts {
    /// Takes the next record; a row when it was the last part of one.
    ///
    /// # Errors
    /// [`OutboxDamage`]; nothing of such a record is used.
    pub(super) fn take(
        &mut self,
        value: &[u8],
    ) -> Result<Option<(RowHead, Vec<u8>)>, OutboxDamage> {
        let (head, part, piece) = open(value)?;
        // A part of the row before this one never came.
        if let Some(before) = self.head.filter(|before| *before != head) {
            return Err(OutboxDamage::Torn(before.sequence));
        }
        if part != self.next {
            return Err(OutboxDamage::Torn(head.sequence));
        }
        self.row.extend_from_slice(piece);
        (self.head, self.next) = (Some(head), part + 1);
        if self.next < head.parts {
            return Ok(None);
        }
        let row = std::mem::take(self).row;
        if row.len() as u64 == head.bytes {
            Ok(Some((head, row)))
        } else {
            Err(OutboxDamage::Damaged)
        }
    }
}

fn open(value: &[u8]) -> Result<(RowHead, u64, &[u8]), OutboxDamage> {
    // A later release may have moved the checksum, so its version is told first.
    match value.first() {
        Some(version) if *version > VERSION => return Err(OutboxDamage::Newer(*version)),
        Some(_) => {}
        None => return Err(OutboxDamage::Damaged),
    }
    let end = value.len().checked_sub(CHECKSUM_BYTES).ok_or(OutboxDamage::Damaged)?;
    let (body, sum) = value.split_at_checked(end).ok_or(OutboxDamage::Damaged)?;
    let [VERSION, 0, content @ ..] = body else { return Err(OutboxDamage::Damaged) };
    if sum != xxh3_64(body).to_le_bytes() {
        return Err(OutboxDamage::Damaged);
    }
    let mut wire = Wire::new(content);
    let (sequence, total, bytes) = (wire.u64()?, wire.u64()?, wire.u64()?);
    let (part, parts) = (wire.u64()?, wire.u64()?);
    Ok((RowHead { sequence, total, bytes, parts }, part, wire.rest()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(sequence: u64, total: u64, row: &[u8]) -> Vec<Vec<u8>> {
        let mut values = Vec::new();
        records_of(sequence, total, row, |value| values.push(value.to_vec()));
        values
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
    }

    /// Never change it: it is in the topics of users.
    #[test]
    fn the_golden_record_of_version_1_is_read_for_ever() {
        let values = written(300, 1_005, b"a row");
        assert_eq!(values.iter().map(|value| hex(value)).collect::<Vec<_>>(), [GOLDEN]);
        let head = RowHead { sequence: 300, total: 1_005, bytes: 5, parts: 1 };
        assert_eq!(RowParts::default().take(&values[0]), Ok(Some((head, b"a row".to_vec()))));
    }

    const GOLDEN: &str = "0100ac02ed070500016120726f7795f51b1fbfe781f3";

    #[test]
    fn a_long_row_is_cut_and_put_together() {
        let row: Vec<u8> = (0..2_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let values = written(7, 2_000_000, &row);
        assert_eq!(values.len(), 3);
        assert!(values.iter().all(|value| value.len() < 900_100));
        let mut parts = RowParts::default();
        assert_eq!(parts.take(&values[0]), Ok(None));
        assert_eq!(parts.take(&values[1]), Ok(None));
        let (head, read) = parts.take(&values[2]).unwrap().unwrap();
        assert_eq!((head.bytes, head.parts), (2_000_000, 3));
        assert!(read == row);
        assert!(parts.take(&written(8, 2_000_001, b"x")[0]).unwrap().is_some(), "the next row");
    }

    #[test]
    fn a_missing_part_is_seen() {
        let values = written(7, 2_000_000, &vec![1; 2_000_000]);
        let mut parts = RowParts::default();
        assert_eq!(parts.take(&values[1]), Err(OutboxDamage::Torn(7)));
        let mut parts = RowParts::default();
        assert_eq!(parts.take(&values[0]), Ok(None));
        assert_eq!(parts.take(&values[2]), Err(OutboxDamage::Torn(7)));
        let mut parts = RowParts::default();
        assert_eq!(parts.take(&values[0]), Ok(None));
        assert_eq!(parts.take(&written(8, 2_000_001, b"x")[0]), Err(OutboxDamage::Torn(7)));
    }

    #[test]
    fn a_later_version_says_so() {
        let mut value = written(1, 1, b"x").remove(0);
        value[0] = 2;
        assert_eq!(RowParts::default().take(&value), Err(OutboxDamage::Newer(2)));
    }

    proptest! {
        #[test]
        fn a_changed_bit_is_never_output(at: prop::sample::Index, bit in 0..8_u8) {
            let mut value = written(300, 1_005, b"some row").remove(0);
            let at = at.index(value.len());
            value[at] ^= 1 << bit;
            prop_assert!(RowParts::default().take(&value).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let _ = RowParts::default().take(&value);
        }
    }
}
