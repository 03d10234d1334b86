//! The laws of a state backend.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use proptest::prelude::*;

use super::{MemoryStateBackend, RedbStateBackend, StateBackend, WriteBatch};
use crate::error::ProcessorResult;

/// A user's backend: what the trait asks for, over another one.
pub(crate) struct Plain(pub(crate) MemoryStateBackend);

#[async_trait]
impl StateBackend for Plain {
    async fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>> {
        self.0.get(key).await
    }
    async fn put(&self, key: &[u8], value: &[u8]) -> ProcessorResult<()> {
        self.0.put(key, value).await
    }
    async fn delete(&self, key: &[u8]) -> ProcessorResult<()> {
        self.0.delete(key).await
    }
    async fn checkpoint(&self, checkpoint_id: u64) -> ProcessorResult<()> {
        self.0.checkpoint(checkpoint_id).await
    }
    async fn restore(&self, checkpoint_id: u64) -> ProcessorResult<()> {
        self.0.restore(checkpoint_id).await
    }
    async fn list_keys(&self, prefix: &[u8]) -> ProcessorResult<Vec<Vec<u8>>> {
        self.0.list_keys(prefix).await
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}

/// Every backend, and what it needs to live.
fn backends() -> Vec<(&'static str, Arc<dyn StateBackend>, tempfile::TempDir)> {
    let folder = || tempfile::tempdir().unwrap();
    let redb = folder();
    let stored =
        RedbStateBackend::new(redb.path().join("state"), redb.path().join("checkpoints")).unwrap();
    vec![
        ("memory", Arc::new(MemoryStateBackend::new()), folder()),
        ("plain", Arc::new(Plain(MemoryStateBackend::new())), folder()),
        ("redb", Arc::new(stored), redb),
    ]
}

#[test]
fn keys_are_listed_by_prefix_in_the_order_of_their_bytes() {
    for (name, state, _folder) in backends() {
        block_on(async {
            for key in [b"b".as_slice(), b"a\xff", b"a", b"aa", b"", b"\xff\xff"] {
                state.put(key, b"x").await.unwrap();
            }
            assert_eq!(
                state.list_keys(b"a").await.unwrap(),
                [b"a".to_vec(), b"aa".to_vec(), b"a\xff".to_vec()],
                "{name}"
            );
            assert_eq!(state.list_keys(b"\xff").await.unwrap(), [b"\xff\xff".to_vec()]);
            assert_eq!(state.list_keys(b"").await.unwrap().len(), 6);
            assert_eq!(state.list_keys(b"c").await.unwrap(), Vec::<Vec<u8>>::new());
        });
    }
}

#[test]
fn batches_and_scans_are_the_same_everywhere() {
    for (name, state, _folder) in backends() {
        block_on(async {
            let mut batch = WriteBatch::default();
            for key in [b"a".as_slice(), b"b", b"ba", b"bb", b"c"] {
                batch.put(key, key);
            }
            batch.delete(b"a");
            batch.delete_range(b"ba", b"c");
            batch.put(b"bz", b"1");
            state.write_batch(&batch).await.unwrap();
            let row = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
            assert_eq!(
                state.scan(b"", None).await.unwrap(),
                [row(b"b", b"b"), row(b"bz", b"1"), row(b"c", b"c")],
                "{name}"
            );
            assert_eq!(state.scan(b"b\x00", Some(b"c")).await.unwrap(), [row(b"bz", b"1")]);
            assert_eq!(state.scan(b"c", Some(b"b")).await.unwrap(), []);
            state.compact().await.unwrap();
            assert_eq!(state.get(b"c").await.unwrap(), Some(b"c".to_vec()));
        });
    }
}

#[test]
fn restore_without_a_checkpoint_names_those_that_are_there_and_changes_nothing() {
    for (name, state, _folder) in backends() {
        block_on(async {
            state.put(b"k", b"v").await.unwrap();
            let none = state.restore(1).await.unwrap_err().to_string();
            assert_eq!(none, "state: there is no checkpoint 1; kept are: none", "{name}");
            state.checkpoint(3).await.unwrap();
            state.checkpoint(7).await.unwrap();
            let some = state.restore(1).await.unwrap_err().to_string();
            assert_eq!(some, "state: there is no checkpoint 1; kept are: 3, 7", "{name}");
            assert_eq!(state.get(b"k").await.unwrap().as_deref(), Some(b"v".as_slice()));
        });
    }
}

#[derive(Debug, Clone)]
enum Call {
    Put(Vec<u8>, u8),
    Delete(Vec<u8>),
    Checkpoint(u64),
    Restore(u64),
}

fn call() -> impl Strategy<Value = Call> {
    let key = || prop::collection::vec(0_u8..3, 0..3);
    prop_oneof![
        4 => (key(), any::<u8>()).prop_map(|(key, value)| Call::Put(key, value)),
        2 => key().prop_map(Call::Delete),
        1 => (0_u64..3).prop_map(Call::Checkpoint),
        1 => (0_u64..3).prop_map(Call::Restore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn backend_behaves_like_a_map_with_copies(calls in prop::collection::vec(call(), 0..30)) {
        for (_, state, _folder) in backends() {
            behaves_like_a_map_with_copies(&*state, calls.clone())?;
        }
    }
}

fn behaves_like_a_map_with_copies(
    state: &dyn StateBackend,
    calls: Vec<Call>,
) -> Result<(), TestCaseError> {
    {
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut copies = BTreeMap::new();
        for call in calls {
            match call {
                Call::Put(key, value) => {
                    block_on(state.put(&key, &[value])).unwrap();
                    model.insert(key, vec![value]);
                }
                Call::Delete(key) => {
                    block_on(state.delete(&key)).unwrap();
                    model.remove(&key);
                }
                Call::Checkpoint(id) => {
                    block_on(state.checkpoint(id)).unwrap();
                    copies.insert(id, model.clone());
                }
                Call::Restore(id) => {
                    let restored = block_on(state.restore(id));
                    prop_assert_eq!(restored.is_ok(), copies.contains_key(&id));
                    model = copies.get(&id).cloned().unwrap_or(model);
                }
            }
            let keys: Vec<_> = model.keys().cloned().collect();
            prop_assert_eq!(block_on(state.list_keys(&[])).unwrap(), keys);
            for (key, value) in &model {
                let found = block_on(state.get(key)).unwrap();
                prop_assert_eq!(found.as_ref(), Some(value));
            }
        }
    }
    Ok(())
}
