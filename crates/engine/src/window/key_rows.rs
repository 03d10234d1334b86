//! Which row each key has in a pane.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::{aggregation::Row, core::KeyId};

/// Rows found by key: a list by number where the numbers lie close together, else a hash table.
#[derive(Debug)]
pub(super) enum KeyRows {
    Sparse { rows: HashMap<KeyId, Row, FxBuildHasher>, greatest: usize },
    Dense { rows: Vec<Row>, len: usize },
}

/// Fewer keys stay in a hash table.
const LEAST_DENSE: usize = 32;

impl Default for KeyRows {
    fn default() -> Self {
        Self::Sparse { rows: HashMap::default(), greatest: 0 }
    }
}

impl KeyRows {
    #[inline]
    pub(super) fn get(&self, key: KeyId) -> Option<Row> {
        match self {
            Self::Dense { rows, .. } => rows.get(key.index()).copied().filter(|r| *r != Row::NONE),
            Self::Sparse { rows, .. } => rows.get(&key).copied(),
        }
    }

    /// Sets the row of a key that has none.
    pub(super) fn insert(&mut self, key: KeyId, row: Row) {
        match self {
            Self::Dense { rows, len } if key.index() < 8 * (*len + 1) => {
                if rows.len() <= key.index() {
                    rows.resize(key.index() + 1, Row::NONE);
                }
                if let Some(free) = rows.get_mut(key.index()) {
                    *free = row;
                    *len += 1;
                }
            }
            Self::Dense { .. } => {
                let greatest = key.index();
                *self = Self::Sparse { rows: self.iter().chain([(key, row)]).collect(), greatest };
            }
            Self::Sparse { rows, greatest } => {
                rows.insert(key, row);
                *greatest = key.index().max(*greatest);
                let len = rows.len();
                if len >= LEAST_DENSE && len.is_power_of_two() && *greatest < 4 * len {
                    let mut list = vec![Row::NONE; *greatest + 1];
                    for (key, row) in &*rows {
                        list.get_mut(key.index()).into_iter().for_each(|free| *free = *row);
                    }
                    *self = Self::Dense { rows: list, len };
                }
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Sparse { rows, .. } => rows.len(),
            Self::Dense { len, .. } => *len,
        }
    }

    /// Keys and rows, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (KeyId, Row)> {
        let (dense, sparse) = match self {
            Self::Dense { rows, .. } => (rows.as_slice(), None),
            Self::Sparse { rows, .. } => (&[][..], Some(rows)),
        };
        let dense = dense.iter().enumerate().filter(|(_, row)| **row != Row::NONE);
        let dense = dense.map(|(index, row)| (KeyId::from_index(index), *row));
        dense.chain(sparse.into_iter().flatten().map(|(key, row)| (*key, *row)))
    }

    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Self::Sparse { rows, .. } => rows.allocation_size(),
            Self::Dense { rows, .. } => rows.capacity() * size_of::<Row>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::aggregation::{AccumulatorTable, AggregationPlan, Function};

    proptest! {
        #[test]
        fn every_key_finds_its_row_however_they_are_kept(
            indices in prop_oneof![
                proptest::collection::vec(0_usize..300, 0..200),
                proptest::collection::vec(prop_oneof![9 => 0_usize..60, 1 => 0_usize..100_000], 0..200),
            ],
        ) {
            let plan = AggregationPlan::new(&[Function::Count], &[], &[]).unwrap();
            let (mut table, mut rows) = (AccumulatorTable::new(&plan), KeyRows::default());
            let mut expected = BTreeMap::new();
            for index in indices {
                let key = KeyId::from_index(index);
                if rows.get(key).is_none() {
                    let row = table.push();
                    rows.insert(key, row);
                    expected.insert(key, row);
                }
                prop_assert_eq!(rows.len(), expected.len());
            }
            prop_assert_eq!(rows.iter().collect::<BTreeMap<_, _>>(), expected.clone());
            prop_assert!(expected.iter().all(|(key, row)| rows.get(*key) == Some(*row)));
            prop_assert_eq!(rows.get(KeyId::from_index(200_000)), None);
        }
    }
}
