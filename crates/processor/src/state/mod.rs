//! Where a pipeline keeps its state.
//!
//! In this release windows live in memory only, whichever backend a pipeline is given: a run that
//! ends takes its open windows with it. The backends are complete as stores of their own.

mod batch;
mod directory;
mod memory;
mod memory_store;
mod store;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

pub use batch::{Change, WriteBatch};
pub use directory::DataDirectory;
pub use memory::MemoryStateBackend;
pub use memory_store::MemoryStore;
pub use store::{Durability, Store, StoreView, Visit, prefix_end};

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
}
