//! Checkpoints: what is kept comes back, and damage is never content.

use std::{fs, ops::ControlFlow, path::Path};

use llm_optimizer_config::settings::StateBackendName;
use proptest::prelude::*;

use super::*;
use crate::state::{Durability, MemoryStore, Store, WriteBatch};

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

const CHECKPOINT: CheckpointKind = CheckpointKind::Checkpoint;
const SAVEPOINT: CheckpointKind = CheckpointKind::Savepoint;

fn about(kind: CheckpointKind) -> CheckpointAbout {
    CheckpointAbout {
        kind,
        created_ms: 1_714_521_600_123,
        fingerprint: Some("f00d".into()),
        instance: Some("one".into()),
        positions: [("events/0".to_owned(), "41".to_owned())].into(),
    }
}

fn store_of(rows: &[(Vec<u8>, Vec<u8>)]) -> MemoryStore {
    let store = MemoryStore::new();
    let mut batch = WriteBatch::default();
    for (key, value) in rows {
        batch.put(key, value);
    }
    store.write(&batch, Durability::Synced).unwrap();
    store
}

fn rows_of(store: &dyn Store) -> Rows {
    let mut rows = Vec::new();
    store
        .scan(&[], None, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

/// Rows of several tables and lengths.
fn some_rows(count: u32) -> Rows {
    let row = |number: u32| {
        let table = *b"moscu".get(number as usize % 5).unwrap();
        let key = [&[table], number.to_be_bytes().as_slice()].concat();
        (key, vec![number.to_le_bytes()[0]; (number * 37 % 900) as usize])
    };
    let mut rows: Rows = (0..count).map(row).collect();
    rows.sort();
    rows
}

fn keep(
    checkpoints: &CheckpointStore,
    rows: &[(Vec<u8>, Vec<u8>)],
    kind: CheckpointKind,
) -> Manifest {
    let view = store_of(rows).snapshot().unwrap();
    checkpoints.create(&*view, &about(kind)).unwrap()
}

#[test]
fn a_manifest_says_what_a_checkpoint_holds() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = CheckpointStore::new(folder.path());
    let rows =
        vec![(b"s1".to_vec(), b"abc".to_vec()), (b"s2".to_vec(), vec![]), (b"u".to_vec(), vec![1])];
    let manifest = keep(&checkpoints, &rows, CheckpointKind::Savepoint);
    assert_eq!((manifest.id, manifest.rows(), manifest.kind), (1, 3, CheckpointKind::Savepoint));
    assert_eq!(manifest.created.timestamp_millis(), 1_714_521_600_123);
    assert_eq!(manifest.tables["state"], TableSummary { rows: 2, bytes: 7 });
    assert_eq!(manifest.tables["user"], TableSummary { rows: 1, bytes: 2 });
    assert_eq!(checkpoints.manifest(1).unwrap(), manifest);
    assert_eq!(checkpoints.verify(1).unwrap(), manifest);
}

/// A checkpoint of version 1 as it was written once; it must be readable for ever. `UPDATE=1` writes it
/// if it is missing.
#[test]
fn a_checkpoint_of_version_1_is_read() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/checkpoint/golden");
    if std::env::var_os("UPDATE").is_some() && !golden.exists() {
        let checkpoints = CheckpointStore::new(&golden);
        let view = store_of(&some_rows(40)).snapshot().unwrap();
        checkpoints.create_as(1, &*view, &about(CheckpointKind::Checkpoint)).unwrap();
    }
    let store = MemoryStore::new();
    let manifest = CheckpointStore::new(golden).restore(1, &store).unwrap();
    assert_eq!(manifest.fingerprint.as_deref(), Some("f00d"));
    assert_eq!(rows_of(&store), some_rows(40));
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = CheckpointStore::new(folder.path());
    keep(&checkpoints, &some_rows(300), CheckpointKind::Checkpoint);
    for name in ["manifest.json", "rows-00000.dat"] {
        let path = folder.path().join("1").join(name);
        let bytes = fs::read(&path).unwrap();
        for bit in (0..bytes.len() * 8).step_by(bytes.len() / 400 + 1) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, flipped).unwrap();
            let verified = checkpoints.verify(1);
            let is_noticed = matches!(
                verified,
                Err(CheckpointError::Damaged { .. } | CheckpointError::Version { .. })
            );
            assert!(is_noticed, "{name}, bit {bit}: {verified:?}");
            assert!(checkpoints.restore(1, &MemoryStore::new()).is_err());
        }
        for length in (0..bytes.len()).step_by(bytes.len() / 400 + 1) {
            fs::write(&path, &bytes[..length]).unwrap();
            let verified = checkpoints.verify(1);
            assert!(
                matches!(verified, Err(CheckpointError::Damaged { .. })),
                "{name}, length {length}: {verified:?}"
            );
        }
        fs::write(&path, [&bytes[..], b"\n"].concat()).unwrap();
        assert!(checkpoints.verify(1).is_err(), "{name} is longer than it was");
        fs::remove_file(&path).unwrap();
        let missing = checkpoints.verify(1).unwrap_err().to_string();
        assert_eq!(missing, format!("checkpoint 1 is damaged: {name}: it is missing"));
        fs::write(&path, &bytes).unwrap();
    }
    checkpoints.verify(1).unwrap();
}

#[test]
fn a_damaged_checkpoint_leaves_the_store_empty() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = CheckpointStore::new(folder.path());
    keep(&checkpoints, &some_rows(3_000), CheckpointKind::Checkpoint);
    let path = folder.path().join("1/rows-00000.dat");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let store = MemoryStore::new();
    assert!(matches!(checkpoints.restore(1, &store), Err(CheckpointError::Damaged { .. })));
    assert_eq!(rows_of(&store), []);
}

#[test]
fn the_newest_whole_checkpoint_is_found_and_the_damaged_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = CheckpointStore::new(folder.path());
    for _ in 0..4 {
        keep(&checkpoints, &some_rows(20), CheckpointKind::Checkpoint);
    }
    fs::write(folder.path().join("4/manifest.json"), "{}").unwrap();
    fs::remove_file(folder.path().join("3/rows-00000.dat")).unwrap();
    let newest = checkpoints.newest_valid().unwrap();
    assert_eq!(newest.manifest.map(|manifest| manifest.id), Some(2));
    assert_eq!(newest.damaged.iter().map(|damaged| damaged.id).collect::<Vec<_>>(), [4, 3]);
    // The damaged ones are not found by the list alone, but their numbers are not used again.
    assert_eq!(keep(&checkpoints, &[], CheckpointKind::Checkpoint).id, 5);
}

#[test]
fn retention_keeps_the_newest_and_all_savepoints() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = CheckpointStore::new(folder.path());
    for kind in [SAVEPOINT, CHECKPOINT, CHECKPOINT, SAVEPOINT, CHECKPOINT, CHECKPOINT] {
        keep(&checkpoints, &some_rows(2), kind);
    }
    assert_eq!(checkpoints.retain(2).unwrap(), [3, 2]);
    let left: Vec<u64> = checkpoints.list().unwrap().iter().map(|listed| listed.id).collect();
    assert_eq!(left, [1, 4, 5, 6]);
    assert_eq!(checkpoints.retain(2).unwrap(), [] as [u64; 0]);
}

#[test]
fn what_a_crash_left_half_written_is_never_listed_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = CheckpointStore::new(folder.path());
    let rows = some_rows(10);
    keep(&checkpoints, &rows, CheckpointKind::Checkpoint);
    // Killed while writing 2, while removing 7, and between the renames of a replacement of 1.
    fs::create_dir(folder.path().join(".new-2")).unwrap();
    fs::write(folder.path().join(".new-2/rows-00000.dat"), "half").unwrap();
    fs::create_dir(folder.path().join(".gone-7")).unwrap();
    fs::rename(folder.path().join("1"), folder.path().join(".old-1")).unwrap();
    assert_eq!(checkpoints.list().unwrap().len(), 0);
    assert_eq!(keep(&checkpoints, &rows, CheckpointKind::Checkpoint).id, 8);
    let left: Vec<u64> = checkpoints.list().unwrap().iter().map(|listed| listed.id).collect();
    assert_eq!(left, [1, 8]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    checkpoints.verify(1).unwrap();
}

#[test]
fn a_checkpoint_can_be_made_anew_under_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = CheckpointStore::new(folder.path());
    for count in [5, 9] {
        let view = store_of(&some_rows(count)).snapshot().unwrap();
        checkpoints.create_as(3, &*view, &about(CheckpointKind::Checkpoint)).unwrap();
    }
    assert_eq!(checkpoints.verify(3).unwrap().rows(), 9);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_store_with_rows_is_not_restored_into() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = CheckpointStore::new(folder.path());
    keep(&checkpoints, &some_rows(3), CheckpointKind::Checkpoint);
    let store = store_of(&some_rows(1));
    assert!(matches!(checkpoints.restore(1, &store), Err(CheckpointError::NotEmpty)));
    assert_eq!(rows_of(&store), some_rows(1));
}

#[test]
fn an_unknown_checkpoint_names_those_that_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = CheckpointStore::new(folder.path());
    assert_eq!(
        checkpoints.verify(2).unwrap_err().to_string(),
        "there is no checkpoint 2; kept are: none"
    );
    keep(&checkpoints, &[], CheckpointKind::Checkpoint);
    assert_eq!(
        checkpoints.verify(2).unwrap_err().to_string(),
        "there is no checkpoint 2; kept are: 1"
    );
}

#[test]
fn a_checkpoint_of_a_later_format_is_not_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = CheckpointStore::new(folder.path());
    fs::create_dir(folder.path().join("1")).unwrap();
    fs::write(folder.path().join("1/manifest.json"), r#"{"format_version": 2, "more": []}"#)
        .unwrap();
    let later = checkpoints.verify(1).unwrap_err();
    assert!(matches!(later, CheckpointError::Version { id: 1, found: 2, known: 1 }), "{later}");
}

#[test]
fn about_reads_positions_and_fingerprint_of_the_store() {
    let commit = br#"{"version":1,"positions":[{"partition":{"source":"events","partition":3},"position":17}]}"#;
    let rows =
        vec![(b"mcommit".to_vec(), commit.to_vec()), (b"mfingerprint".to_vec(), b"{}".to_vec())];
    let view = store_of(&rows).snapshot().unwrap();
    let about = CheckpointAbout::of(&*view, CheckpointKind::Checkpoint, 5).unwrap();
    assert_eq!(about.positions["source=events partition=3"], "17");
    assert_eq!(about.fingerprint.map(|text| text.len()), Some(16));
    let nothing = CheckpointAbout::of(
        &*MemoryStore::new().snapshot().unwrap(),
        CheckpointKind::Checkpoint,
        5,
    );
    assert_eq!(nothing.unwrap().fingerprint, None);
}

#[test]
fn a_damaged_store_falls_back_to_the_newest_whole_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let checkpoints = CheckpointStore::new(path.join("checkpoints"));
    let backend = StateBackendName::Redb;
    let open = || open_or_fall_back(backend, path, &checkpoints, 77);
    drop(open().unwrap());
    let spoil =
        || fs::write(path.join("state.redb"), b"redb\x1a\x0a\xa9\x0d\x0a and no more").unwrap();
    spoil();
    // Without a checkpoint there is nothing to fall back to, and nothing is touched.
    let refused = open().unwrap_err().to_string();
    assert!(refused.contains("is damaged") && refused.contains("checkpoint restore"), "{refused}");
    assert!(!path.join("restoring").exists() && path.join("state.redb").exists());

    keep(&checkpoints, &some_rows(7), CHECKPOINT);
    keep(&checkpoints, &some_rows(9), CHECKPOINT);
    fs::remove_file(checkpoints.path().join("2/rows-00000.dat")).unwrap();
    let (store, fallback) = open().unwrap();
    let fallback = fallback.unwrap();
    assert_eq!(rows_of(&*store), some_rows(7));
    assert_eq!((fallback.restored.id, fallback.passed_over.len()), (1, 1));
    assert_eq!(fallback.moved_to, Some(path.join("state.redb.damaged-77")));
    drop(store);
    let (store, fallback) = open().unwrap();
    assert!(fallback.is_none());
    assert_eq!(rows_of(&*store), some_rows(7));
}

fn rows() -> impl Strategy<Value = Rows> {
    let key = prop::collection::vec(prop_oneof![Just(b's'), Just(b'o'), any::<u8>()], 0..4);
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..6),
        (any::<u8>(), 0..70_000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ];
    prop::collection::btree_map(key, value, 0..40).prop_map(|rows| rows.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_kept_comes_back(rows in rows()) {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointStore::new(folder.path());
        let manifest = keep(&checkpoints, &rows, CheckpointKind::Checkpoint);
        prop_assert_eq!(manifest.rows(), rows.len() as u64);
        let store = MemoryStore::new();
        prop_assert_eq!(checkpoints.restore(manifest.id, &store).unwrap(), manifest);
        prop_assert_eq!(rows_of(&store), rows);
    }

    #[test]
    fn a_difference_counts_each_row_once(before in rows(), after in rows()) {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointStore::new(folder.path());
        keep(&checkpoints, &before, CheckpointKind::Checkpoint);
        keep(&checkpoints, &after, CheckpointKind::Checkpoint);
        let difference = checkpoints.diff(1, 2).unwrap();
        let sum = |count: fn(&TableDifference) -> u64| difference.tables.values().map(count).sum::<u64>();
        let in_both = before.iter().filter(|row| after.contains(row)).count() as u64;
        prop_assert_eq!(sum(|table| table.unchanged), in_both);
        prop_assert_eq!(sum(|table| table.removed + table.changed + table.unchanged), before.len() as u64);
        prop_assert_eq!(sum(|table| table.added + table.changed + table.unchanged), after.len() as u64);
        prop_assert_eq!(difference.positions, vec![]);
    }
}
