//! The laws of a state backend.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::{MemoryStateBackend, StateBackend};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}

#[test]
fn keys_are_listed_by_prefix_in_the_order_of_their_bytes() {
    let state = MemoryStateBackend::new();
    block_on(async {
        for key in [b"b".as_slice(), b"a\xff", b"a", b"aa", b"", b"\xff\xff"] {
            state.put(key, b"x").await.unwrap();
        }
        assert_eq!(
            state.list_keys(b"a").await.unwrap(),
            [b"a".to_vec(), b"aa".to_vec(), b"a\xff".to_vec()]
        );
        assert_eq!(state.list_keys(b"\xff").await.unwrap(), [b"\xff\xff".to_vec()]);
        assert_eq!(state.list_keys(b"").await.unwrap().len(), 6);
        assert_eq!(state.list_keys(b"c").await.unwrap(), Vec::<Vec<u8>>::new());
    });
}

#[test]
fn restore_without_a_checkpoint_names_those_that_are_there_and_changes_nothing() {
    let state: Arc<dyn StateBackend> = Arc::new(MemoryStateBackend::new());
    block_on(async {
        state.put(b"k", b"v").await.unwrap();
        let none = state.restore(1).await.unwrap_err().to_string();
        assert_eq!(none, "state: there is no checkpoint 1; kept are: none");
        state.checkpoint(3).await.unwrap();
        state.checkpoint(7).await.unwrap();
        let some = state.restore(1).await.unwrap_err().to_string();
        assert_eq!(some, "state: there is no checkpoint 1; kept are: 3, 7");
        assert_eq!(state.get(b"k").await.unwrap().as_deref(), Some(b"v".as_slice()));
    });
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
    #[test]
    fn store_behaves_like_a_map_with_copies(calls in prop::collection::vec(call(), 0..40)) {
        let state = MemoryStateBackend::new();
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
}
