//! A store in other hands: the same rows, and something that is kept as long as they are used.

use std::{fmt, sync::Arc};

use super::{Durability, Store, StoreView, Visit, WriteBatch};
use crate::error::ProcessorResult;

/// A store, and what must live as long as anybody uses it.
pub(crate) struct Lent<S: ?Sized, H> {
    store: Arc<S>,
    _held: H,
}

impl<S: ?Sized, H> Lent<S, H> {
    /// Lends `store`; `held` is dropped with the last user.
    pub(crate) fn new(store: Arc<S>, held: H) -> Self {
        Self { store, _held: held }
    }
}

impl<S: fmt::Debug + ?Sized, H> fmt::Debug for Lent<S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

impl<S: Store + ?Sized, H: Send + Sync> Store for Lent<S, H> {
    fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>> {
        self.store.get(key)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> ProcessorResult<()> {
        self.store.write(batch, durability)
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> ProcessorResult<()> {
        self.store.scan(from, to, visit)
    }

    fn snapshot(&self) -> ProcessorResult<Box<dyn StoreView>> {
        self.store.snapshot()
    }

    fn compact(&self) -> ProcessorResult<()> {
        self.store.compact()
    }

    fn size_bytes(&self) -> ProcessorResult<u64> {
        self.store.size_bytes()
    }

    fn identity(&self) -> usize {
        self.store.identity()
    }
}
