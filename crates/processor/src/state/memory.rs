//! A store in memory.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{
    StateBackend, WriteBatch,
    memory_store::{Rows, apply, range},
};
use crate::error::{ProcessorError, ProcessorResult, StateError};

type Entries = Rows;

/// Keeps keys, values and checkpoints in memory; all of it ends with the process.
///
/// A checkpoint shares its values with the store, so it costs the keys and what changes after it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> llm_optimizer_processor::ProcessorResult<()> {
/// use llm_optimizer_processor::{MemoryStateBackend, StateBackend};
///
/// let state = MemoryStateBackend::new();
/// state.put(b"model=a", b"1").await?;
/// state.checkpoint(1).await?;
/// state.put(b"model=a", b"2").await?;
/// state.restore(1).await?;
/// assert_eq!(state.get(b"model=a").await?, Some(b"1".to_vec()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct MemoryStateBackend {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: Entries,
    checkpoints: BTreeMap<u64, Entries>,
}

impl MemoryStateBackend {
    /// An empty store without checkpoints.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No call leaves the store half changed, so one that panicked does no harm.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StateBackend for MemoryStateBackend {
    fn is_volatile(&self) -> bool {
        true
    }

    async fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>> {
        Ok(self.kept().entries.get(key).map(|value| value.to_vec()))
    }

    async fn put(&self, key: &[u8], value: &[u8]) -> ProcessorResult<()> {
        self.kept().entries.insert(key.to_vec(), value.into());
        Ok(())
    }

    async fn delete(&self, key: &[u8]) -> ProcessorResult<()> {
        self.kept().entries.remove(key);
        Ok(())
    }

    async fn checkpoint(&self, checkpoint_id: u64) -> ProcessorResult<()> {
        let mut kept = self.kept();
        let copy = kept.entries.clone();
        kept.checkpoints.insert(checkpoint_id, copy);
        Ok(())
    }

    async fn restore(&self, checkpoint_id: u64) -> ProcessorResult<()> {
        let mut kept = self.kept();
        let Some(copy) = kept.checkpoints.get(&checkpoint_id).cloned() else {
            return Err(no_checkpoint(checkpoint_id, &kept.checkpoints));
        };
        kept.entries = copy;
        Ok(())
    }

    async fn list_keys(&self, prefix: &[u8]) -> ProcessorResult<Vec<Vec<u8>>> {
        let kept = self.kept();
        let from = kept
            .entries
            .range::<[u8], _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        let keys = from.map(|(key, _)| key).take_while(|key| key.starts_with(prefix));
        Ok(keys.cloned().collect())
    }

    async fn write_batch(&self, batch: &WriteBatch) -> ProcessorResult<()> {
        let mut kept = self.kept();
        batch.iter().for_each(|change| apply(&mut kept.entries, change));
        Ok(())
    }

    async fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> ProcessorResult<Vec<(Vec<u8>, Vec<u8>)>> {
        let kept = self.kept();
        let rows = range(&kept.entries, from, to);
        Ok(rows.map(|(key, value)| (key.clone(), value.to_vec())).collect())
    }
}

fn no_checkpoint(id: u64, there: &BTreeMap<u64, Entries>) -> ProcessorError {
    let ids: Vec<String> = there.keys().map(u64::to_string).collect();
    let kept = if ids.is_empty() { "none".into() } else { ids.join(", ") };
    StateError::UnknownCheckpoint { id, kept }.into()
}
