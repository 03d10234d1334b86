//! Accumulators of windows: they come back, expire, and never collide.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::{MemoryStateBackend, StateBackend, WindowStateManager};
use crate::{
    aggregation::AggregationState, core::GroupingKey, source::clock::Clock, window::Window,
};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap()
}

fn window(start: i64, end: i64, key: Option<&str>) -> Window {
    Window { start: at(start), end: at(end), key: key.map(GroupingKey::new) }
}

/// Stands where it is put.
#[derive(Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
    fn pause(&self, _span: Duration) {}
}

#[test]
fn accumulator_with_many_values_comes_back_as_it_was() {
    let manager = WindowStateManager::new(Arc::new(MemoryStateBackend::new()), "test");
    let window = window(0, 60_000, Some("model=a"));
    let mut state = AggregationState::new(window.clone());
    block_on(manager.put_accumulator(&window, &state)).unwrap();
    assert_eq!(block_on(manager.get_accumulator(&window)).unwrap(), Some(state.clone()));
    // Enough for the sketch, and a sum that is not finite.
    (0..2_000_i32).for_each(|n| state.add_value(f64::from(n) * 1.1));
    state.sum = f64::INFINITY;
    block_on(manager.put_accumulator(&window, &state)).unwrap();
    assert_eq!(block_on(manager.get_accumulator(&window)).unwrap(), Some(state));
}

#[test]
fn namespaces_and_keys_with_separators_do_not_collide() {
    let backend: Arc<dyn StateBackend> = Arc::new(MemoryStateBackend::new());
    let one = WindowStateManager::<u64>::new(backend.clone(), "a");
    let other = WindowStateManager::<u64>::new(backend, "a:b");
    block_on(one.put_accumulator(&window(0, 1, Some("b:c")), &1)).unwrap();
    block_on(other.put_accumulator(&window(0, 1, Some("c")), &2)).unwrap();
    assert_eq!(block_on(one.get_accumulator(&window(0, 1, Some("b:c")))).unwrap(), Some(1));
    assert_eq!(block_on(one.get_accumulator(&window(0, 1, None))).unwrap(), None);
    assert_eq!(block_on(one.list_windows()).unwrap(), [window(0, 1, Some("b:c"))]);
    block_on(one.delete_window(&window(0, 1, Some("b:c")))).unwrap();
    assert_eq!(block_on(one.list_windows()).unwrap(), []);
    assert_eq!(block_on(other.list_windows()).unwrap(), [window(0, 1, Some("c"))]);
}

#[test]
fn accumulators_expire_and_are_cleaned_up() {
    let backend: Arc<dyn StateBackend> = Arc::new(MemoryStateBackend::new());
    let clock = Arc::new(Hand::default());
    let manager = WindowStateManager::<u64>::new(backend.clone(), "n")
        .with_ttl(Duration::from_secs(10))
        .with_clock(clock.clone());
    let (early, late) = (window(0, 1, None), window(1, 2, None));
    block_on(manager.put_accumulator(&early, &1)).unwrap();
    clock.0.store(5_000, Ordering::Relaxed);
    block_on(manager.put_accumulator(&late, &2)).unwrap();
    clock.0.store(9_999, Ordering::Relaxed);
    assert_eq!(block_on(manager.get_accumulator(&early)).unwrap(), Some(1));
    assert_eq!(block_on(manager.cleanup()).unwrap(), 0);
    clock.0.store(10_000, Ordering::Relaxed);
    assert_eq!(block_on(manager.get_accumulator(&early)).unwrap(), None);
    assert_eq!(block_on(manager.list_windows()).unwrap(), std::slice::from_ref(&late));
    assert_eq!(block_on(backend.list_keys(b"")).unwrap().len(), 2);
    assert_eq!(block_on(manager.cleanup()).unwrap(), 1);
    assert_eq!(block_on(backend.list_keys(b"")).unwrap().len(), 1);
    assert_eq!(block_on(manager.get_accumulator(&late)).unwrap(), Some(2));
}

#[test]
fn a_damaged_accumulator_is_an_error_that_names_its_key() {
    let backend: Arc<dyn StateBackend> = Arc::new(MemoryStateBackend::new());
    let manager = WindowStateManager::<u64>::new(backend.clone(), "n");
    let window = window(0, 1, Some("model=a"));
    block_on(manager.put_accumulator(&window, &1)).unwrap();
    let key = block_on(backend.list_keys(b"")).unwrap().remove(0);
    let mut frame = block_on(backend.get(&key)).unwrap().unwrap();
    *frame.last_mut().unwrap() ^= 1;
    block_on(backend.put(&key, &frame)).unwrap();
    let damaged = block_on(manager.get_accumulator(&window)).unwrap_err().to_string();
    assert!(damaged.contains("model=a is damaged: checksum mismatch"), "{damaged}");
    assert!(block_on(manager.list_windows()).is_err());
}

proptest! {
    #[test]
    fn windows_are_listed_as_they_were_by_end_start_and_key(
        windows in prop::collection::btree_set(
            (-5_i64..5, -5_i64..5, prop::option::of("[ab:]{0,2}")), 0..12)
    ) {
        let manager = WindowStateManager::<u64>::new(Arc::new(MemoryStateBackend::new()), "n");
        let mut expected = Vec::new();
        for (end, start, key) in windows {
            let window = window(start * 500, end * 500, key.as_deref());
            block_on(manager.put_accumulator(&window, &1)).unwrap();
            expected.push(window);
        }
        let listed = block_on(manager.list_windows()).unwrap();
        prop_assert_eq!(listed.len(), expected.len());
        prop_assert!(expected.iter().all(|window| listed.contains(window)));
        prop_assert!(listed.is_sorted_by_key(|window| (window.end, window.start)));
    }
}
