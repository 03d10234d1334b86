//! The rows of a commit, sorted, as state is made of them.

use super::{
    bytes::Fault,
    damage::StateDamage,
    key::{Kind, RowKey},
};

/// One value of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    /// The key as it is stored.
    pub(crate) bytes: &'a [u8],
    pub(crate) key: RowKey<'a>,
    pub(crate) value: &'a [u8],
}

/// Rows by kind, then in the order of their keys.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    sorted: Vec<Stored<'a>>,
}

impl<'a> Rows<'a> {
    /// Takes rows in any order.
    pub(crate) fn new(
        rows: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Self, StateDamage> {
        let read = |(bytes, value)| Ok(Stored { bytes, key: RowKey::read(bytes)?, value });
        let mut sorted = rows.map(read).collect::<Result<Vec<_>, StateDamage>>()?;
        sorted.sort_unstable_by(|a, b| (a.key.kind, a.bytes).cmp(&(b.key.kind, b.bytes)));
        let twice = sorted.iter().zip(sorted.iter().skip(1)).find(|(a, b)| a.bytes == b.bytes);
        match twice {
            Some((row, _)) => Err(row.damaged("it is there twice".into())),
            None => Ok(Self { sorted }),
        }
    }

    /// The values of one kind.
    pub(crate) fn of(&self, kind: Kind) -> &[Stored<'a>] {
        let begin = self.sorted.partition_point(|row| row.key.kind < kind);
        let end = self.sorted.partition_point(|row| row.key.kind <= kind);
        self.sorted.get(begin..end).unwrap_or_default()
    }

    /// The rows of one kind, each with all its columns and parts.
    pub(crate) fn whole(&self, kind: Kind) -> impl Iterator<Item = &[Stored<'a>]> {
        self.of(kind).chunk_by(|a, b| a.key.is_same_row(&b.key))
    }

    /// There are no rows but of these kinds.
    pub(crate) fn only(&self, kinds: &[Kind]) -> Result<(), StateDamage> {
        match self.sorted.iter().find(|row| !kinds.contains(&row.key.kind)) {
            Some(row) => Err(StateDamage::Foreign { row: row.key.to_string() }),
            None => Ok(()),
        }
    }
}

impl Stored<'_> {
    /// The damage that the fault is in this row.
    pub(crate) fn damaged(&self, fault: Fault) -> StateDamage {
        let row = self.key.to_string();
        match fault {
            Fault::Version(found) => StateDamage::Version { row, found, known: super::FORMAT },
            Fault::Wrong(reason) => StateDamage::Value { row, reason },
        }
    }
}
