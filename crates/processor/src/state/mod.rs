//! Where state lives: stores of rows for the runtime, and backends for users.
//!
//! A [`Store`] is a sorted map that changes in atomic batches; a [`StateBackend`] is the interface of
//! the specification over one. Nothing here knows when a commit is due or what a row means.

mod batch;
pub(crate) mod codec;
mod damage;
mod directory;
mod head;
mod lent;
mod lock;
mod memory;
mod memory_store;
mod open;
mod redb_errors;
#[cfg(test)]
mod redb_faults;
mod redb_file;
mod redb_store;
#[cfg(feature = "rocksdb")]
mod rocksdb_store;
mod store;
mod store_backend;
mod store_error;
#[cfg(test)]
pub(crate) mod tests;
mod window_state;
#[cfg(test)]
mod window_state_tests;

use std::sync::Arc;

use async_trait::async_trait;

pub use batch::{Change, WriteBatch};
pub use damage::Damage;
pub use directory::DataDirectory;
pub(crate) use lent::Lent;
pub use lock::StateLock;
pub use memory::MemoryStateBackend;
pub use memory_store::MemoryStore;
pub use open::open_store;
#[cfg(feature = "kafka")]
pub(crate) use open::remove_store;
pub(crate) use open::{
    COPY_FOLDER, backend_in, begin_restore, end_restore, half_restored, move_aside, open_unchecked,
};
pub(crate) use redb_file::sync_folder;
pub use redb_store::RedbStore;
#[cfg(feature = "rocksdb")]
pub use rocksdb_store::RocksDbStore;
pub use store::{Durability, Store, StoreView, Visit, prefix_end};
#[cfg(feature = "rocksdb")]
pub use store_backend::RocksDBStateBackend;
pub use store_backend::{RedbStateBackend, StoreStateBackend};
pub use store_error::StoreError;
pub use window_state::WindowStateManager;

use crate::error::ProcessorResult;

/// A store of bytes under keys of bytes, which can be set back to a checkpoint.
///
/// | call | afterwards |
/// | --- | --- |
/// | `put(k, v)` | `get(k)` is `Some(v)`; other keys are as they were |
/// | `delete(k)` | `get(k)` is `None`; that the key was not there is no failure |
/// | `checkpoint(id)` | `restore(id)` brings back all keys and values of this moment; a checkpoint that had this id is replaced |
/// | `restore(id)` returned `Ok` | exactly the keys and values of checkpoint `id` are there; the checkpoints are as they were |
/// | `restore(id)` returned `Err` | nothing changed |
/// | `list_keys(p)` | the keys that begin with `p`, in the order of their bytes |
/// | `write_batch(b)` returned `Ok` | all changes of `b` are made, in their order |
/// | `scan(from, to)` | the rows with `from <= key < to`, in the order of their bytes |
///
/// The backends of this crate apply a batch whole or not at all; the default implementation of
/// `write_batch` makes one change after the other, and may fail half way.
#[async_trait]
pub trait StateBackend: Send + Sync {
    /// The value under `key`.
    ///
    /// # Errors
    /// [`State`](crate::ProcessorError::State) if the store cannot be read.
    async fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>>;

    /// Puts `value` under `key`, in the place of what was there.
    ///
    /// # Errors
    /// [`State`](crate::ProcessorError::State) if the store cannot be written.
    async fn put(&self, key: &[u8], value: &[u8]) -> ProcessorResult<()>;

    /// Removes `key` and its value.
    ///
    /// # Errors
    /// [`State`](crate::ProcessorError::State) if the store cannot be written.
    async fn delete(&self, key: &[u8]) -> ProcessorResult<()>;

    /// Keeps a copy of everything under the number `checkpoint_id`.
    ///
    /// # Errors
    /// [`State`](crate::ProcessorError::State) if the copy cannot be made.
    async fn checkpoint(&self, checkpoint_id: u64) -> ProcessorResult<()>;

    /// Sets the store back to checkpoint `checkpoint_id`.
    ///
    /// # Errors
    /// [`State`](crate::ProcessorError::State) if there is no such checkpoint or it cannot be read.
    async fn restore(&self, checkpoint_id: u64) -> ProcessorResult<()>;

    /// The keys that begin with `prefix`; all keys for an empty one.
    ///
    /// # Errors
    /// [`State`](crate::ProcessorError::State) if the store cannot be read.
    async fn list_keys(&self, prefix: &[u8]) -> ProcessorResult<Vec<Vec<u8>>>;

    /// Makes all changes of `batch`, in their order.
    ///
    /// # Errors
    /// [`State`](crate::ProcessorError::State) if the store cannot be written.
    async fn write_batch(&self, batch: &WriteBatch) -> ProcessorResult<()> {
        for change in batch.iter() {
            match change {
                Change::Put { key, value } => self.put(key, value).await?,
                Change::Delete { key } => self.delete(key).await?,
                Change::DeleteRange { from, to } => {
                    for key in keys_between(self, from, Some(to)).await? {
                        self.delete(&key).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The rows from `from` to before `to` (`None`: to the end), in the order of their bytes.
    ///
    /// # Errors
    /// [`State`](crate::ProcessorError::State) if the store cannot be read.
    async fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> ProcessorResult<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut rows = Vec::new();
        for key in keys_between(self, from, to).await? {
            if let Some(value) = self.get(&key).await? {
                rows.push((key, value));
            }
        }
        Ok(rows)
    }

    /// Gives back room that deleted rows left; does nothing where there is none to give.
    ///
    /// # Errors
    /// [`State`](crate::ProcessorError::State) if the store cannot be written.
    async fn compact(&self) -> ProcessorResult<()> {
        Ok(())
    }

    /// The store in which a pipeline keeps its windows, positions and results that wait for their
    /// sinks, each commit in one atomic write; `None` (the default) if there is none, and windows
    /// live in memory.
    ///
    /// Rows that are put through the backend stay clear of those of the pipeline, and the other way
    /// round: keys of the pipeline begin with one of `c`, `i`, `m`, `o`, `r`, `s`. The store belongs to
    /// one pipeline at a time.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use llm_optimizer_processor::{MemoryStateBackend, StateBackend, state::*};
    /// let kept = StoreStateBackend::over(Arc::new(MemoryStore::new()), "checkpoints");
    /// assert!(kept.store().is_some() && MemoryStateBackend::new().store().is_none());
    /// ```
    fn store(&self) -> Option<Arc<dyn Store>> {
        None
    }

    /// Whether nothing is meant to outlive the process; a pipeline whose backend neither says so nor
    /// has a store warns that its windows live in memory.
    fn is_volatile(&self) -> bool {
        false
    }
}

/// The keys from `from` to before `to`.
async fn keys_between<B: StateBackend + ?Sized>(
    backend: &B,
    from: &[u8],
    to: Option<&[u8]>,
) -> ProcessorResult<Vec<Vec<u8>>> {
    // All keys in between begin with what both ends begin with.
    let ends = from.iter().zip(to.unwrap_or_default());
    let common = ends.take_while(|(a, b)| a == b).count();
    let mut keys = backend.list_keys(from.get(..common).unwrap_or_default()).await?;
    keys.retain(|key| from <= key.as_slice() && to.is_none_or(|to| key.as_slice() < to));
    Ok(keys)
}
