//! What changed between two checkpoints.

use std::{cmp::Ordering, collections::BTreeMap};

use serde::Serialize;

use super::{CheckpointError, CheckpointRows, CheckpointStore, manifest::table_name};

/// What changed from one checkpoint to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The one it is seen from.
    pub from: u64,
    /// The other one.
    pub to: u64,
    /// Fingerprints, if they differ.
    pub fingerprint: Option<(Option<String>, Option<String>)>,
    /// Inputs whose position differs.
    pub positions: Vec<PositionChange>,
    /// By table, all tables of either.
    pub tables: BTreeMap<String, TableDifference>,
}

/// An input that stands elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PositionChange {
    /// Name of the input.
    pub input: String,
    /// Position in the first one, if it knows the input.
    pub from: Option<String>,
    /// Position in the other one.
    pub to: Option<String>,
}

/// Rows of a table that differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TableDifference {
    /// Only in the other one.
    pub added: u64,
    /// Only in the first one.
    pub removed: u64,
    /// In both, with different values.
    pub changed: u64,
    /// In both, the same.
    pub unchanged: u64,
}

impl CheckpointStore {
    /// What changed from checkpoint `from` to checkpoint `to`.
    ///
    /// # Errors
    /// As [`verify`](Self::verify), for either.
    pub fn diff(&self, from: u64, to: u64) -> Result<Difference, CheckpointError> {
        let (before, after) = (self.manifest(from)?, self.manifest(to)?);
        let tables = tables(self.rows(&before), self.rows(&after))?;
        let fingerprint = (before.fingerprint != after.fingerprint)
            .then(|| (before.fingerprint.clone(), after.fingerprint.clone()));
        let positions = positions(&before.positions, &after.positions);
        Ok(Difference { from, to, fingerprint, positions, tables })
    }
}

fn positions(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<PositionChange> {
    let new = after.keys().filter(|input| !before.contains_key(*input));
    let inputs = before.keys().chain(new);
    let changes = inputs.map(|input| PositionChange {
        input: input.clone(),
        from: before.get(input).cloned(),
        to: after.get(input).cloned(),
    });
    changes.filter(|change| change.from != change.to).collect()
}

fn tables(
    mut before: CheckpointRows,
    mut after: CheckpointRows,
) -> Result<BTreeMap<String, TableDifference>, CheckpointError> {
    let mut tables: BTreeMap<String, TableDifference> = BTreeMap::new();
    let (mut left, mut right) = (before.next().transpose()?, after.next().transpose()?);
    loop {
        let order = match (&left, &right) {
            (Some((left, _)), Some((right, _))) => left.cmp(right),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(tables),
        };
        let row = if order == Ordering::Greater { &right } else { &left };
        let Some((key, _)) = row else { return Ok(tables) };
        let table = tables.entry(table_name(key)).or_default();
        match order {
            Ordering::Less => table.removed += 1,
            Ordering::Greater => table.added += 1,
            Ordering::Equal if left == right => table.unchanged += 1,
            Ordering::Equal => table.changed += 1,
        }
        if order != Ordering::Greater {
            left = before.next().transpose()?;
        }
        if order != Ordering::Less {
            right = after.next().transpose()?;
        }
    }
}
