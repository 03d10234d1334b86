//! A commit as records.

use std::collections::{BTreeMap, BTreeSet};

use llm_optimizer_processor::commit::CommitNumber;

use super::{
    broker::{Record, Topic},
    counting::{Changes, Output},
    disk::Meta,
    process::Frozen,
};

pub const META_KEY: &[u8] = b"meta";

/// Rows by key group, each group with its meta record; results; late events.
pub fn frozen(number: CommitNumber, changes: Changes, meta: Meta) -> Frozen {
    let mut records = Vec::new();
    let mut groups = BTreeSet::from([0]);
    for (row, sum) in &changes.rows {
        groups.insert(row.group());
        let value = sum.map(|sum| sum.encode());
        records.push((Topic::Changelog, row.group(), Record { key: row.encode(), value }));
    }
    for group in groups {
        let record = Record { key: META_KEY.to_vec(), value: Some(meta.encode()) };
        records.push((Topic::Changelog, group, record));
    }
    for output in &changes.outputs {
        let topic = match output {
            Output::Late { .. } => Topic::Late,
            _ => Topic::Results,
        };
        records.push((topic, 0, Record { key: Vec::new(), value: Some(output.encode()) }));
    }
    Frozen { number, records, rows: changes.rows, meta, next: BTreeMap::new() }
}
