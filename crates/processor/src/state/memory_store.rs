//! A store in memory.

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
    sync::{Arc, PoisonError, RwLock},
};

use super::{Change, Durability, Store, StoreView, WriteBatch, store::Visit};
use crate::error::ProcessorResult;

pub(super) type Rows = BTreeMap<Vec<u8>, Arc<[u8]>>;

/// Keeps rows in memory; all of it ends with the process.
///
/// A snapshot costs nothing; the first write while one lives copies the keys.
///
/// ```
/// use llm_optimizer_processor::state::{Durability, MemoryStore, Store, WriteBatch};
/// let store = MemoryStore::default();
/// let mut batch = WriteBatch::default();
/// batch.put(b"model=a", b"1");
/// store.write(&batch, Durability::Synced)?;
/// assert_eq!(store.get(b"model=a")?, Some(b"1".to_vec()));
/// # Ok::<(), llm_optimizer_processor::ProcessorError>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: RwLock<Arc<Rows>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn view(&self) -> MemoryView {
        // A change of rows cannot stop half way, so a writer that panicked does no harm.
        MemoryView { rows: self.rows.read().unwrap_or_else(PoisonError::into_inner).clone() }
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>> {
        self.view().get(key)
    }

    fn write(&self, batch: &WriteBatch, _durability: Durability) -> ProcessorResult<()> {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let rows = Arc::make_mut(&mut rows);
        for change in batch.iter() {
            apply(rows, change);
        }
        Ok(())
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> ProcessorResult<()> {
        self.view().scan(from, to, visit)
    }

    fn snapshot(&self) -> ProcessorResult<Box<dyn StoreView>> {
        Ok(Box::new(self.view()))
    }

    fn compact(&self) -> ProcessorResult<()> {
        Ok(())
    }

    fn size_bytes(&self) -> ProcessorResult<u64> {
        let bytes: usize =
            self.view().rows.iter().map(|(key, value)| key.len() + value.len()).sum();
        Ok(bytes as u64)
    }
}

pub(super) fn apply(rows: &mut Rows, change: Change<'_>) {
    match change {
        Change::Put { key, value } => {
            rows.insert(key.to_vec(), value.into());
        }
        Change::Delete { key } => {
            rows.remove(key);
        }
        Change::DeleteRange { from, to } => {
            let gone: Vec<Vec<u8>> =
                range(rows, from, Some(to)).map(|(key, _)| key.clone()).collect();
            for key in gone {
                rows.remove(&key);
            }
        }
    }
}

/// Rows with `from <= key < to`; none if `to` is not greater.
pub(super) fn range<'a>(
    rows: &'a Rows,
    from: &[u8],
    to: Option<&[u8]>,
) -> impl Iterator<Item = (&'a Vec<u8>, &'a Arc<[u8]>)> {
    let is_empty = to.is_some_and(|to| to <= from);
    let end = to.filter(|_| !is_empty).map_or(Bound::Unbounded, Bound::Excluded);
    let all = rows.range::<[u8], _>((Bound::Included(from), end));
    all.take(if is_empty { 0 } else { usize::MAX })
}

#[derive(Debug)]
struct MemoryView {
    rows: Arc<Rows>,
}

impl StoreView for MemoryView {
    fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>> {
        Ok(self.rows.get(key).map(|value| value.to_vec()))
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> ProcessorResult<()> {
        for (key, value) in range(&self.rows, from, to) {
            if visit(key, value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}
