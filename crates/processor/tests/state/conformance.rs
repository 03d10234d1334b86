//! The laws of a store, for every store: what it does is compared with a map.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use llm_optimizer_processor::{
    ProcessorResult,
    state::{Durability, Store, StoreView, WriteBatch},
};
use proptest::{prelude::*, test_runner::TestCaseResult};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A kind of store. `open` opens what is in a folder, or makes it there.
pub(crate) struct Kind {
    pub(crate) open: fn(&Path) -> ProcessorResult<Box<dyn Store>>,
    /// Whether rows outlive the store.
    pub(crate) is_durable: bool,
    pub(crate) cases: u32,
}

#[derive(Debug, Clone)]
enum Change {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Change>, bool),
    Scan(Vec<u8>, Option<Vec<u8>>),
    Snapshot,
    Compact,
    Reopen,
    Kill,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(254), Just(255)], 0..4)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        // Long enough to be compressed, or to need pages of its own.
        (any::<u8>(), 0..9_000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (key(), value()).prop_map(|(key, value)| Change::Put(key, value)),
        2 => key().prop_map(Change::Delete),
        1 => (key(), key()).prop_map(|(from, to)| Change::DeleteRange(from, to)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (prop::collection::vec(change(), 0..40), any::<bool>())
            .prop_map(|(changes, synced)| Step::Write(changes, synced)),
        3 => (key(), prop::option::of(key())).prop_map(|(from, to)| Step::Scan(from, to)),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

/// Runs all laws.
pub(crate) fn check(kind: &Kind) {
    let config =
        ProptestConfig { cases: kind.cases, failure_persistence: None, ..Default::default() };
    proptest!(config, |(steps in prop::collection::vec(step(), 0..25))| {
        behaves_like_a_map(kind, steps)?;
    });
    big_batches_are_whole(kind);
    a_scan_ends_where_its_visitor_says(kind);
    a_snapshot_stays_while_others_write(kind);
}

fn behaves_like_a_map(kind: &Kind, steps: Vec<Step>) -> TestCaseResult {
    let folder = tempfile::tempdir().unwrap();
    let mut path = folder.path().join("0");
    let mut store = (kind.open)(&path).unwrap();
    let mut model = Rows::new();
    // What may be there after a kill: the rows after the last synced write, and all since.
    let mut possible = vec![model.clone()];
    let mut snapshots: Vec<(Box<dyn StoreView>, Rows)> = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Write(changes, synced) => {
                let durability = if synced { Durability::Synced } else { Durability::Buffered };
                store.write(&batch_of(&changes), durability).unwrap();
                apply(&mut model, &changes);
                if synced {
                    possible.clear();
                }
                possible.push(model.clone());
            }
            Step::Scan(from, to) => {
                let expected: Vec<_> = model
                    .iter()
                    .filter(|(key, _)| **key >= from && to.as_ref().is_none_or(|to| *key < to))
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                prop_assert_eq!(rows_between(&*store, &from, to.as_deref()), expected);
            }
            Step::Snapshot => snapshots.push((store.snapshot().unwrap(), model.clone())),
            Step::Compact if snapshots.is_empty() => store.compact().unwrap(),
            Step::Reopen if kind.is_durable => {
                snapshots.clear();
                drop(store);
                store = (kind.open)(&path).unwrap();
                possible = vec![model.clone()];
            }
            Step::Kill if kind.is_durable => {
                // What a process leaves that is killed now: its files as they are.
                snapshots.clear();
                let copy = folder.path().join((number + 1).to_string());
                copy_folder(&path, &copy);
                drop(store);
                (path, store) = (copy.clone(), (kind.open)(&copy).unwrap());
                let found: Rows = rows_between(&*store, &[], None).into_iter().collect();
                prop_assert!(possible.contains(&found), "a mix, or less than was synced");
                model = found;
                possible = vec![model.clone()];
            }
            // Not while somebody reads; not where rows go with the store.
            Step::Compact | Step::Reopen | Step::Kill => {}
        }
        check_rows(&*store, &model)?;
    }
    for (view, expected) in snapshots {
        let mut found = Vec::new();
        view.scan(&[], None, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
        prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }
    Ok(())
}

fn check_rows(store: &dyn Store, model: &Rows) -> TestCaseResult {
    let expected: Vec<_> = model.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    prop_assert_eq!(rows_between(store, &[], None), expected);
    for key in [b"".as_slice(), &[0], &[1, 254], &[255, 255, 255]] {
        prop_assert_eq!(store.get(key).unwrap(), model.get(key).cloned());
    }
    prop_assert!(
        store.size_bytes().unwrap() > 0 || model.is_empty() || model.values().all(Vec::is_empty)
    );
    Ok(())
}

fn big_batches_are_whole(kind: &Kind) {
    let folder = tempfile::tempdir().unwrap();
    let store = (kind.open)(folder.path()).unwrap();
    let mut batch = WriteBatch::default();
    for number in 0..5_000_u32 {
        batch.put(&number.to_be_bytes(), &[7; 440]);
        // The last change of a key wins, wherever it stands.
        batch.put(&(number / 2).to_be_bytes(), &number.to_le_bytes());
    }
    store.write(&batch, Durability::Synced).unwrap();
    let rows = rows_between(&*store, &[], None);
    assert_eq!(rows.len(), 5_000);
    assert!(rows.iter().skip(2_500).all(|(_, value)| *value == [7; 440]));
    assert_eq!(rows[2_499].1, 4_999_u32.to_le_bytes());
    let mut none = WriteBatch::default();
    none.delete_range(&[], &[255; 5]);
    store.write(&none, Durability::Synced).unwrap();
    assert_eq!(rows_between(&*store, &[], None), []);
}

fn a_scan_ends_where_its_visitor_says(kind: &Kind) {
    let folder = tempfile::tempdir().unwrap();
    let store = (kind.open)(folder.path()).unwrap();
    let mut batch = WriteBatch::default();
    (0..9_u8).for_each(|key| batch.put(&[key], &[key]));
    store.write(&batch, Durability::Buffered).unwrap();
    let mut seen = Vec::new();
    store
        .scan(&[3], None, &mut |key, _| {
            seen.push(key[0]);
            if key[0] == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(seen, [3, 4, 5]);
}

fn a_snapshot_stays_while_others_write(kind: &Kind) {
    let folder = tempfile::tempdir().unwrap();
    let store = (kind.open)(folder.path()).unwrap();
    let mut batch = WriteBatch::default();
    (0..200_u8).for_each(|key| batch.put(&[key], b"before"));
    store.write(&batch, Durability::Synced).unwrap();
    let view = store.snapshot().unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..20_u8 {
                let mut batch = WriteBatch::default();
                (0..200_u8).for_each(|key| batch.put(&[key], &[round; 300]));
                batch.delete(&[round]);
                store.write(&batch, Durability::Buffered).unwrap();
            }
        });
        for _ in 0..5 {
            let mut rows = 0;
            view.scan(&[], None, &mut |_, value| {
                assert_eq!(value, b"before");
                rows += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
            assert_eq!(rows, 200);
        }
        writer.join().unwrap();
    });
    assert_eq!(view.get(&[3]).unwrap().as_deref(), Some(b"before".as_slice()));
    assert_eq!(store.get(&[3]).unwrap(), Some(vec![19; 300]));
}

/// All rows of a part of a store.
pub(crate) fn rows_between(
    store: &dyn Store,
    from: &[u8],
    to: Option<&[u8]>,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    store
        .scan(from, to, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

fn batch_of(changes: &[Change]) -> WriteBatch {
    let mut batch = WriteBatch::default();
    for change in changes {
        match change {
            Change::Put(key, value) => batch.put(key, value),
            Change::Delete(key) => batch.delete(key),
            Change::DeleteRange(from, to) => batch.delete_range(from, to),
        }
    }
    batch
}

fn apply(model: &mut Rows, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Put(key, value) => {
                model.insert(key.clone(), value.clone());
            }
            Change::Delete(key) => {
                model.remove(key);
            }
            Change::DeleteRange(from, to) => model.retain(|key, _| key < from || key >= to),
        }
    }
}

/// Copies files and folders, as a kill of the process would leave them.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place: PathBuf = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}
