//! State as records of the changelog: a row is a record, and one record per key group says what the rows reflect.
//!
//! | record | key | value |
//! | --- | --- | --- |
//! | row | `r`, then the engine's row key | version, flags, the row's value, checksum; none at all for a row that is gone |
//! | meta | `m` | version, number of the commit, fingerprint, random number of the process, W, per source partition position and W(p), a note, checksum |
//! | about | `a` | version, what the state is of, as JSON, checksum; in the first partition only, written once |
//!
//! The partition is the key group. The checksum is XXH3 over key and value, so that neither a changed byte nor a value under
//! another's key is taken for state. LZ4 is the producer's business.

use llm_optimizer_engine::state::key_group_of;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{
    offset_metadata::OffsetProgress,
    wire::{Malformed, Wire, put_bytes, put_i64, put_u64},
};

const VERSION: u8 = 1;
/// Since then a meta record says which process wrote it.
const META_VERSION: u8 = 2;
const ROW: u8 = b'r';
const META: u8 = b'm';
const ABOUT: u8 = b'a';
const CHECKSUM_BYTES: usize = 8;

/// Longest row value, in bytes; longer rows are split where they are made.
pub const MAX_ROW_BYTES: usize = 900_000;

/// What the rows of one key group reflect; kept with every commit that changes any of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupMeta {
    /// Number of the commit, over all runs of the state.
    pub sequence: u64,
    /// Hash of what makes state comparable.
    pub fingerprint: u64,
    /// Random number of the process that wrote it: with `sequence` no two commits are alike, whatever topic they are in.
    /// 0 in records of version 1.
    pub incarnation: u64,
    /// W in epoch milliseconds.
    pub watermark: Option<i64>,
    /// Greatest event time in epoch milliseconds.
    pub greatest_time: Option<i64>,
    /// One per source partition.
    pub sources: Vec<SourceMeta>,
    /// What the runtime keeps with it: counters of the run.
    pub note: Vec<u8>,
}

/// Up to where one source partition is reflected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceMeta {
    /// Input topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// The next position to read.
    pub to: i64,
    /// W(p) and what belongs to it.
    pub progress: OffsetProgress,
}

/// A record of the changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangelogRecord<'a> {
    /// A row, or that it is gone.
    Row {
        /// The engine's row key.
        key: &'a [u8],
        /// Its value; `None`: it is gone.
        value: Option<&'a [u8]>,
    },
    /// What the rows reflect.
    Meta(GroupMeta),
    /// What the state is of, as JSON.
    About(&'a [u8]),
}

/// Why a record is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangelogDamage {
    /// Written by a later release.
    #[error("version {0} was written by a later release; run that one")]
    Newer(u8),
    /// Changed on the way, or not written by this program.
    #[error("the record is damaged or not of this program")]
    Damaged,
    /// In the partition of another key group.
    #[error("a row of key group {found} is in the partition of key group {expected}")]
    Misplaced {
        /// Of the partition.
        expected: u16,
        /// Of the row.
        found: u16,
    },
}

impl From<Malformed> for ChangelogDamage {
    fn from(_: Malformed) -> Self {
        Self::Damaged
    }
}

/// Writes the key of a row's record over `record_key`.
pub fn put_row_key(record_key: &mut Vec<u8>, row_key: &[u8]) {
    record_key.clear();
    record_key.push(ROW);
    record_key.extend_from_slice(row_key);
}

/// Writes the value of a row's record over `record_value`; the key is the one of [`put_row_key`].
pub fn put_row_value(record_value: &mut Vec<u8>, record_key: &[u8], row_value: &[u8]) {
    record_value.clear();
    record_value.extend_from_slice(&[VERSION, 0]);
    record_value.extend_from_slice(row_value);
    seal(record_value, record_key);
}

impl GroupMeta {
    /// Key of the meta record.
    pub const KEY: &'static [u8] = &[META];

    /// Value of the meta record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![META_VERSION, 0];
        put_u64(&mut bytes, self.sequence);
        bytes.extend_from_slice(&self.fingerprint.to_le_bytes());
        bytes.extend_from_slice(&self.incarnation.to_le_bytes());
        let mut last = 0;
        let own = OffsetProgress {
            watermark: self.watermark,
            greatest_time: self.greatest_time,
            is_idle: false,
        };
        own.put(&mut bytes, &mut last);
        put_u64(&mut bytes, self.sources.len() as u64);
        let mut topic = "";
        for source in &self.sources {
            // Sources of one topic stand together: its name is written once.
            put_bytes(
                &mut bytes,
                if source.topic == topic { b"" } else { source.topic.as_bytes() },
            );
            topic = &source.topic;
            put_u64(&mut bytes, u64::from(source.partition.cast_unsigned()));
            put_i64(&mut bytes, source.to);
            source.progress.put(&mut bytes, &mut last);
        }
        put_bytes(&mut bytes, &self.note);
        seal(&mut bytes, Self::KEY);
        bytes
    }

    /// Reads the value of a meta record.
    ///
    /// # Errors
    /// [`ChangelogDamage`].
    pub fn read(value: &[u8]) -> Result<Self, ChangelogDamage> {
        let (version, content) = open(value, Self::KEY, META_VERSION)?;
        Ok(Self::decode(version, content)?)
    }

    fn decode(version: u8, body: &[u8]) -> Result<Self, Malformed> {
        let mut wire = Wire::new(body);
        let sequence = wire.u64()?;
        let fingerprint = u64::from_le_bytes(wire.array()?);
        let incarnation = if version == VERSION { 0 } else { u64::from_le_bytes(wire.array()?) };
        let mut last = 0;
        let own = OffsetProgress::take(&mut wire, &mut last)?;
        let count = wire.u64()?;
        let mut sources: Vec<SourceMeta> = Vec::new();
        for _ in 0..count {
            let topic = match (wire.text()?, sources.last()) {
                ("", Some(before)) => before.topic.clone(),
                (topic, _) => topic.to_owned(),
            };
            let partition = u32::try_from(wire.u64()?).map_err(|_| Malformed)?.cast_signed();
            let to = wire.i64()?;
            let progress = OffsetProgress::take(&mut wire, &mut last)?;
            sources.push(SourceMeta { topic, partition, to, progress });
        }
        let note = wire.bytes()?.to_vec();
        wire.end()?;
        let OffsetProgress { watermark, greatest_time, .. } = own;
        Ok(Self { sequence, fingerprint, incarnation, watermark, greatest_time, sources, note })
    }
}

impl<'a> ChangelogRecord<'a> {
    /// Reads a record found in the partition of `key_group`.
    ///
    /// # Errors
    /// [`ChangelogDamage`]; nothing of such a record is used.
    pub fn decode(
        key_group: u16,
        key: &'a [u8],
        value: Option<&'a [u8]>,
    ) -> Result<Self, ChangelogDamage> {
        match (key.split_first(), value) {
            (Some((&ROW, row_key)), value) => {
                let found = key_group_of(row_key).ok_or(ChangelogDamage::Damaged)?;
                if found != key_group {
                    return Err(ChangelogDamage::Misplaced { expected: key_group, found });
                }
                let value = value.map(|value| open(value, key, VERSION)).transpose()?;
                Ok(Self::Row { key: row_key, value: value.map(|(_, content)| content) })
            }
            (Some((&META, [])), Some(value)) => Ok(Self::Meta(GroupMeta::read(value)?)),
            (Some((&ABOUT, [])), Some(value)) => Ok(Self::About(open(value, key, VERSION)?.1)),
            _ => Err(ChangelogDamage::Damaged),
        }
    }
}

/// Appends the checksum.
fn seal(bytes: &mut Vec<u8>, key: &[u8]) {
    let sum = xxh3_64_with_seed(bytes, xxh3_64(key));
    bytes.extend_from_slice(&sum.to_le_bytes());
}

/// Key of the record that says what the state is of.
pub(super) const ABOUT_KEY: &[u8] = &[ABOUT];

/// Value of the record that says what the state is of.
#[must_use]
pub(super) fn about_value(json: &[u8]) -> Vec<u8> {
    let mut bytes = vec![VERSION, 0];
    bytes.extend_from_slice(json);
    seal(&mut bytes, ABOUT_KEY);
    bytes
}

/// The version, and what is between flags and checksum.
fn open<'a>(bytes: &'a [u8], key: &[u8], newest: u8) -> Result<(u8, &'a [u8]), ChangelogDamage> {
    let end = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(ChangelogDamage::Damaged)?;
    let (body, sum) = bytes.split_at_checked(end).ok_or(ChangelogDamage::Damaged)?;
    let [version, flags, content @ ..] = body else { return Err(ChangelogDamage::Damaged) };
    // A later release may have moved the checksum, so its version is told first.
    if *version > newest {
        return Err(ChangelogDamage::Newer(*version));
    }
    let is_whole = sum == xxh3_64_with_seed(body, xxh3_64(key)).to_le_bytes();
    if is_whole && *version > 0 && *flags == 0 {
        Ok((*version, content))
    } else {
        Err(ChangelogDamage::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(key: &[u8], value: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut record_key, mut record_value) = (Vec::new(), Vec::new());
        put_row_key(&mut record_key, key);
        put_row_value(&mut record_value, &record_key, value);
        (record_key, record_value)
    }

    fn meta() -> GroupMeta {
        let progress = OffsetProgress {
            watermark: Some(1_700_000_000_000),
            greatest_time: Some(1_700_000_005_000),
            is_idle: false,
        };
        let source = |topic: &str, partition, to| SourceMeta {
            topic: topic.into(),
            partition,
            to,
            progress,
        };
        GroupMeta {
            sequence: 300,
            fingerprint: 7,
            incarnation: 0x0102_0304_0506_0708,
            watermark: Some(1_699_999_999_000),
            greatest_time: Some(1_700_000_005_000),
            sources: vec![source("a", 0, 10), source("a", 1, 11), source("b", 0, 0)],
            note: b"{}".to_vec(),
        }
    }

    /// Never change these: they are in the topics of users.
    #[test]
    fn golden_records_are_read_for_ever() {
        let (key, value) = row(b"\0\x05key", b"value");
        assert_eq!(hex(&key), "7200056b6579");
        assert_eq!([hex(&value), hex(&meta().encode())], [GOLDEN_ROW, GOLDEN_META]);
        assert_eq!(hex(&about_value(b"{}")), GOLDEN_ABOUT);
        let old = unhex(GOLDEN_META_1);
        let read = GroupMeta { incarnation: 0, ..meta() };
        assert_eq!(ChangelogRecord::decode(9, b"m", Some(&old)), Ok(ChangelogRecord::Meta(read)));
        assert_eq!(
            ChangelogRecord::decode(5, &key, Some(&value)),
            Ok(ChangelogRecord::Row { key: b"\0\x05key", value: Some(b"value") })
        );
        let value = meta().encode();
        assert_eq!(
            ChangelogRecord::decode(9, b"m", Some(&value)),
            Ok(ChangelogRecord::Meta(meta()))
        );
    }

    const GOLDEN_ROW: &str = "010076616c756576a4dc7c32ac410a";
    const GOLDEN_META: &str = "0200ac02070000000000000008070605040302010390eeabfef962df5d030161001403008f4e00011603008f4e0162000003008f4e027b7df2b7b8d1d7b31665";
    const GOLDEN_ABOUT: &str = "01007b7dab740fcf8eefd925";
    const GOLDEN_META_1: &str = "0100ac0207000000000000000390eeabfef962df5d030161001403008f4e00011603008f4e0162000003008f4e027b7db03d3f30f38fa19b";

    fn unhex(text: &str) -> Vec<u8> {
        let pairs = text.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
    }

    proptest! {
        #[test]
        fn rows_come_back(group: u16, rest: Vec<u8>, value: Vec<u8>) {
            let mut key = group.to_be_bytes().to_vec();
            key.extend(rest);
            let (record_key, record_value) = row(&key, &value);
            let read = ChangelogRecord::decode(group, &record_key, Some(&record_value));
            prop_assert_eq!(read, Ok(ChangelogRecord::Row { key: &key, value: Some(&value) }));
            let gone = ChangelogRecord::decode(group, &record_key, None);
            prop_assert_eq!(gone, Ok(ChangelogRecord::Row { key: &key, value: None }));
        }

        #[test]
        fn a_changed_bit_is_never_state(at: prop::sample::Index, bit in 0..8_u8, in_meta: bool) {
            let (key, mut value) = if in_meta { (b"m".to_vec(), meta().encode()) } else { row(b"\0\x05key", b"some value") };
            let at = at.index(value.len());
            value[at] ^= 1 << bit;
            prop_assert!(ChangelogRecord::decode(5, &key, Some(&value)).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(key: Vec<u8>, value: Option<Vec<u8>>) {
            let _ = ChangelogRecord::decode(0, &key, value.as_deref());
        }
    }

    #[test]
    fn a_value_under_another_key_is_damage() {
        let (_, value) = row(b"\0\x05key", b"value");
        let (other, _) = row(b"\0\x05kez", b"value");
        assert_eq!(ChangelogRecord::decode(5, &other, Some(&value)), Err(ChangelogDamage::Damaged));
    }

    #[test]
    fn a_row_in_the_partition_of_another_key_group_is_damage() {
        let (key, value) = row(b"\0\x05key", b"value");
        assert_eq!(
            ChangelogRecord::decode(6, &key, Some(&value)),
            Err(ChangelogDamage::Misplaced { expected: 6, found: 5 })
        );
    }

    #[test]
    fn a_later_version_says_so() {
        let (key, mut value) = row(b"\0\x05key", b"value");
        value[0] = 2;
        assert_eq!(ChangelogRecord::decode(5, &key, Some(&value)), Err(ChangelogDamage::Newer(2)));
    }

    #[test]
    fn a_meta_record_without_value_is_damage() {
        assert_eq!(ChangelogRecord::decode(0, b"m", None), Err(ChangelogDamage::Damaged));
    }
}
