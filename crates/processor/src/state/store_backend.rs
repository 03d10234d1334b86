//! The state backends that outlive the process: a store, and checkpoints in a folder.

use std::{collections::BTreeMap, ops::ControlFlow, path::Path, sync::Arc};

use async_trait::async_trait;

use super::{
    Change, Durability, Lent, RedbStore, StateBackend, Store, WriteBatch, open, prefix_end,
};
use crate::{
    checkpoint::{CheckpointAbout, CheckpointKind, CheckpointStore},
    error::{ProcessorError, ProcessorResult},
    source::clock::{Clock, SystemClock},
};

/// The table of rows that users of a backend put: the first byte of their keys in the store.
const TABLE: &[u8] = b"u";

/// A [`StateBackend`] over a [`Store`]: every write is synced, checkpoints are kept in a folder.
///
/// Keys begin with the byte `u` in the store, so it can be shared with others. Within a tokio runtime
/// the work is done on its threads for blocking work, without one on the caller's.
#[derive(Debug)]
pub struct StoreStateBackend<S: ?Sized> {
    store: Arc<S>,
    checkpoints: CheckpointStore,
}

/// State in one file of redb.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> llm_optimizer_processor::ProcessorResult<()> {
/// use llm_optimizer_processor::{StateBackend, state::RedbStateBackend};
/// # let folder = tempfile::tempdir().unwrap();
/// # let (path, checkpoints) = (folder.path().join("state"), folder.path().join("checkpoints"));
///
/// let state = RedbStateBackend::new(path, checkpoints)?;
/// state.put(b"model=a", b"1").await?;
/// state.checkpoint(1).await?;
/// state.put(b"model=a", b"2").await?;
/// state.restore(1).await?;
/// assert_eq!(state.get(b"model=a").await?, Some(b"1".to_vec()));
/// # Ok(())
/// # }
/// ```
pub type RedbStateBackend = StoreStateBackend<RedbStore>;

/// State in a folder of `RocksDB` (feature `rocksdb`).
#[cfg(feature = "rocksdb")]
pub type RocksDBStateBackend = StoreStateBackend<super::RocksDbStore>;

impl StoreStateBackend<RedbStore> {
    /// The store in the folder `path`, made if there is none, and checkpoints in `checkpoint_path`.
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    pub fn new(path: impl AsRef<Path>, checkpoint_path: impl AsRef<Path>) -> ProcessorResult<Self> {
        let store = RedbStore::open(open::redb_file_in(path.as_ref()))?;
        Ok(Self::over(Arc::new(store), checkpoint_path))
    }
}

#[cfg(feature = "rocksdb")]
impl StoreStateBackend<super::RocksDbStore> {
    /// The store in the folder `path`, made if there is none, and checkpoints in `checkpoint_path`.
    ///
    /// # Errors
    /// As [`RocksDbStore::open`](super::RocksDbStore::open).
    pub fn new(path: impl AsRef<Path>, checkpoint_path: impl AsRef<Path>) -> ProcessorResult<Self> {
        let store = super::RocksDbStore::open(path)?;
        Ok(Self::over(Arc::new(store), checkpoint_path))
    }
}

impl<S: Store + ?Sized + 'static> StoreStateBackend<S> {
    /// Rows in `store`, checkpoints in the folder `checkpoint_path`.
    #[must_use]
    pub fn over(store: Arc<S>, checkpoint_path: impl AsRef<Path>) -> Self {
        Self { store, checkpoints: CheckpointStore::new(checkpoint_path.as_ref()) }
    }

    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&S) -> ProcessorResult<T> + Send + 'static,
    ) -> ProcessorResult<T> {
        let store = Arc::clone(&self.store);
        blocking(move || work(&store)).await
    }

    async fn write(&self, batch: WriteBatch) -> ProcessorResult<()> {
        self.with_store(move |store| store.write(&batch, Durability::Synced)).await
    }
}

/// Does work that waits for the disk where it holds up nobody else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> ProcessorResult<T> + Send + 'static,
) -> ProcessorResult<T> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime
            .spawn_blocking(work)
            .await
            .unwrap_or_else(|lost| Err(ProcessorError::Internal(lost.to_string()))),
        Err(_) => work(),
    }
}

/// The key in the store.
fn inner(key: &[u8]) -> Vec<u8> {
    [TABLE, key].concat()
}

/// The key of the user.
fn outer(key: &[u8]) -> Vec<u8> {
    key.strip_prefix(TABLE).unwrap_or(key).to_vec()
}

/// The end of a range in the store.
fn inner_end(to: Option<&[u8]>) -> Option<Vec<u8>> {
    to.map_or_else(|| prefix_end(TABLE), |to| Some(inner(to)))
}

#[async_trait]
impl<S: Store + ?Sized + 'static> StateBackend for StoreStateBackend<S> {
    async fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>> {
        let key = inner(key);
        self.with_store(move |store| store.get(&key)).await
    }

    async fn put(&self, key: &[u8], value: &[u8]) -> ProcessorResult<()> {
        let mut batch = WriteBatch::default();
        batch.put(&inner(key), value);
        self.write(batch).await
    }

    async fn delete(&self, key: &[u8]) -> ProcessorResult<()> {
        let mut batch = WriteBatch::default();
        batch.delete(&inner(key));
        self.write(batch).await
    }

    async fn checkpoint(&self, checkpoint_id: u64) -> ProcessorResult<()> {
        let checkpoints = self.checkpoints.clone();
        let about = CheckpointAbout {
            kind: CheckpointKind::Checkpoint,
            created_ms: SystemClock::new().now_ms(),
            fingerprint: None,
            instance: None,
            positions: BTreeMap::new(),
        };
        self.with_store(move |store| {
            checkpoints.create_as(checkpoint_id, &*store.snapshot()?, &about)?;
            Ok(())
        })
        .await
    }

    async fn restore(&self, checkpoint_id: u64) -> ProcessorResult<()> {
        let checkpoints = self.checkpoints.clone();
        self.with_store(move |store| {
            let manifest = checkpoints.verify(checkpoint_id)?;
            let mut batch = WriteBatch::default();
            if let Some(end) = prefix_end(TABLE) {
                batch.delete_range(TABLE, &end);
            }
            for row in checkpoints.rows(&manifest) {
                let (key, value) = row?;
                if key.starts_with(TABLE) {
                    batch.put(&key, &value);
                }
            }
            store.write(&batch, Durability::Synced)
        })
        .await
    }

    async fn list_keys(&self, prefix: &[u8]) -> ProcessorResult<Vec<Vec<u8>>> {
        let from = inner(prefix);
        self.with_store(move |store| {
            let mut keys = Vec::new();
            store.scan(&from, prefix_end(&from).as_deref(), &mut |key, _| {
                keys.push(outer(key));
                ControlFlow::Continue(())
            })?;
            Ok(keys)
        })
        .await
    }

    async fn write_batch(&self, batch: &WriteBatch) -> ProcessorResult<()> {
        let mut renamed = WriteBatch::default();
        for change in batch.iter() {
            match change {
                Change::Put { key, value } => renamed.put(&inner(key), value),
                Change::Delete { key } => renamed.delete(&inner(key)),
                Change::DeleteRange { from, to } => renamed.delete_range(&inner(from), &inner(to)),
            }
        }
        self.write(renamed).await
    }

    async fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> ProcessorResult<Vec<(Vec<u8>, Vec<u8>)>> {
        let (from, to) = (inner(from), inner_end(to));
        self.with_store(move |store| {
            let mut rows = Vec::new();
            store.scan(&from, to.as_deref(), &mut |key, value| {
                rows.push((outer(key), value.to_vec()));
                ControlFlow::Continue(())
            })?;
            Ok(rows)
        })
        .await
    }

    async fn compact(&self) -> ProcessorResult<()> {
        self.with_store(S::compact).await
    }

    fn store(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::new(Lent::new(Arc::clone(&self.store), ())))
    }
}
