//! Keys of the local store. The first byte says which table a row is of.

use crate::state::prefix_end;

/// Rows of state: pipeline name with its length, then the engine's own key.
const STATE: u8 = b's';
/// The outbox: commit number.
const OUTBOX: u8 = b'o';
/// Cursors: name of the sink.
const CURSORS: u8 = b'c';
/// Records that were accepted and are not in a commit yet: number of the first one.
const INBOX: u8 = b'i';
/// Requests with a key of their own: number of their first record.
const REQUESTS: u8 = b'r';

/// Facts about the whole begin with `m`; what the newest commit left but for its rows.
pub(crate) const COMMIT: &[u8] = b"mcommit";
/// Name of the instance that keeps the state.
pub(crate) const INSTANCE: &[u8] = b"minstance";
/// Which history the numbers of commits are of; made when a sink first asks, and anew after a restore.
pub(crate) const LINEAGE: &[u8] = b"mlineage";
/// Where each partition of the topics that are read began.
#[cfg(feature = "kafka")]
pub(crate) const STARTS: &[u8] = b"mstarts";
/// What the state is of.
pub(crate) const FINGERPRINT: &[u8] = b"mfingerprint";

/// Keys with `from <= key < to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub(crate) from: Vec<u8>,
    pub(crate) to: Option<Vec<u8>>,
}

impl KeyRange {
    fn of_prefix(prefix: Vec<u8>) -> Self {
        Self { to: prefix_end(&prefix), from: prefix }
    }

    pub(super) fn outbox() -> Self {
        Self::of_prefix(vec![OUTBOX])
    }

    pub(super) fn cursors() -> Self {
        Self::of_prefix(vec![CURSORS])
    }

    /// Records that were accepted.
    pub(crate) fn inbox() -> Self {
        Self::of_prefix(vec![INBOX])
    }

    /// Requests that are known again.
    pub(crate) fn requests() -> Self {
        Self::of_prefix(vec![REQUESTS])
    }

    /// Rows of the state of all pipelines.
    pub(super) fn states() -> Self {
        Self::of_prefix(vec![STATE])
    }

    /// Rows of the state of one pipeline.
    pub(super) fn state(pipeline: &str) -> Self {
        Self::of_prefix(state_prefix(pipeline))
    }
}

/// What the keys of a pipeline's rows begin with.
pub(crate) fn state_prefix(pipeline: &str) -> Vec<u8> {
    let length = u16::try_from(pipeline.len()).unwrap_or(u16::MAX);
    [&[STATE], length.to_be_bytes().as_slice(), pipeline.as_bytes()].concat()
}

pub(super) fn outbox(sequence: u64) -> [u8; 9] {
    numbered(OUTBOX, sequence)
}

/// The row of the inbox that begins with this record.
pub(crate) fn inbox(first: u64) -> [u8; 9] {
    numbered(INBOX, first)
}

/// The request that begins with this record.
pub(crate) fn request(first: u64) -> [u8; 9] {
    numbered(REQUESTS, first)
}

/// The number in a key of the inbox or of a request.
pub(crate) fn number_of(key: &[u8]) -> Option<u64> {
    let (_, number) = key.split_first()?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
}

fn numbered(table: u8, number: u64) -> [u8; 9] {
    let mut key = [table; 9];
    let (_, digits) = key.split_at_mut(1);
    digits.copy_from_slice(&number.to_be_bytes());
    key
}

/// The commit number in a key of the outbox.
pub(super) fn sequence_of(key: &[u8]) -> Option<u64> {
    let number = key.strip_prefix(&[OUTBOX])?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
}

pub(super) fn cursor(sink: &str) -> Vec<u8> {
    [&[CURSORS], sink.as_bytes()].concat()
}

/// The sink in a key of a cursor.
pub(super) fn sink_of(key: &[u8]) -> Option<String> {
    String::from_utf8(key.strip_prefix(&[CURSORS])?.to_vec()).ok()
}
