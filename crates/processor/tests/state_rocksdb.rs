//! The laws of stores for `RocksDB`, and what it does with damaged and used folders.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation)] // in helpers of tests

#[path = "state/conformance.rs"]
mod conformance;

use std::{fs, path::Path, sync::Arc};

use conformance::{Kind, copy_folder, rows_between};
use llm_optimizer_config::settings::StateBackendName;
use llm_optimizer_processor::{
    RocksDBStateBackend, StateBackend,
    checkpoint::{CheckpointAbout, CheckpointKind, CheckpointStore},
    state::{Durability, RedbStore, RocksDbStore, Store, WriteBatch, open_store},
};

#[test]
fn rocksdb_store_keeps_the_laws() {
    let open = |path: &Path| Ok(Box::new(RocksDbStore::open(path)?) as Box<_>);
    conformance::check(&Kind { open, is_durable: true, cases: 40 });
}

/// A store with rows, closed.
fn filled(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let store = RocksDbStore::open(path).unwrap();
    for round in 0..3_u8 {
        let mut batch = WriteBatch::default();
        for number in 0..50_u32 {
            batch.put(&number.to_be_bytes(), &[round; 100]);
        }
        store.write(&batch, Durability::Synced).unwrap();
    }
    rows_between(&store, &[], None)
}

#[test]
fn a_changed_or_cut_file_is_an_error_or_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let rows = filled(&whole);
    let names: Vec<_> = fs::read_dir(&whole).unwrap().map(|entry| entry.unwrap()).collect();
    let mut detected = 0;
    for (number, entry) in names.iter().enumerate() {
        let name = entry.file_name();
        let bytes = fs::read(entry.path()).unwrap_or_default();
        // LOG is for people; LOCK is empty.
        if bytes.is_empty() || name == "LOG" {
            continue;
        }
        let bits = bytes.len() * 8;
        for at in (number..bits).step_by((bits / 24).max(1)) {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            for damaged in [flipped, bytes[..at / 8].to_vec()] {
                let copy = folder.path().join("copy");
                copy_folder(&whole, &copy);
                // The number of the last write lies beside the folder.
                fs::copy(whole.with_extension("head"), copy.with_extension("head")).unwrap();
                fs::write(copy.join(&name), &damaged).unwrap();
                detected += usize::from(!is_intact(&copy, &rows));
                fs::remove_dir_all(&copy).unwrap();
            }
        }
    }
    assert!(detected > 30, "only {detected} times something was wrong");
}

/// Whether the store can be read; if it can, it must hold what was written.
fn is_intact(path: &Path, rows: &[(Vec<u8>, Vec<u8>)]) -> bool {
    let Ok(store) = RocksDbStore::open(path) else { return false };
    let mut found = Vec::new();
    let read = store.scan(&[], None, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        std::ops::ControlFlow::Continue(())
    });
    if read.is_ok() {
        assert!(found == rows, "other rows than were written");
    }
    read.is_ok()
}

#[test]
fn a_second_opening_and_a_foreign_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let _open = RocksDbStore::open(&path).unwrap();
    let twice = RocksDbStore::open(&path).unwrap_err().to_string();
    assert!(twice.contains("in use by another process"), "{twice}");
    fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    let foreign = RocksDbStore::open(folder.path()).unwrap_err().to_string();
    assert!(foreign.contains("no state of the processor"), "{foreign}");
}

#[test]
fn one_backend_does_not_begin_anew_beside_the_state_of_the_other() {
    let folder = tempfile::tempdir().unwrap();
    drop(open_store(StateBackendName::Rocksdb, folder.path()).unwrap());
    let refused = open_store(StateBackendName::Redb, folder.path()).unwrap_err().to_string();
    assert!(refused.contains("holds state of rocksdb, and state.backend is redb"), "{refused}");

    let folder = tempfile::tempdir().unwrap();
    drop(RedbStore::open(folder.path().join("state.redb")).unwrap());
    let refused = open_store(StateBackendName::Rocksdb, folder.path()).unwrap_err().to_string();
    assert!(refused.contains("holds state of redb, and state.backend is rocksdb"), "{refused}");
}

#[test]
fn a_checkpoint_moves_state_from_one_backend_to_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let kept = CheckpointStore::new(folder.path().join("kept"));
    let rocks = RocksDbStore::open(folder.path().join("a")).unwrap();
    let mut batch = WriteBatch::default();
    for number in 0..500_u32 {
        batch.put(&number.to_be_bytes(), &[7; 300]);
    }
    rocks.write(&batch, Durability::Synced).unwrap();
    let keep = |store: &dyn Store| {
        let view = store.snapshot().unwrap();
        let about = CheckpointAbout::of(&*view, CheckpointKind::Savepoint, 0).unwrap();
        kept.create(&*view, &about).unwrap()
    };
    let first = keep(&rocks);
    let redb = RedbStore::open(folder.path().join("b.redb")).unwrap();
    kept.restore(first.id, &redb).unwrap();
    let second = keep(&redb);
    let rocks = RocksDbStore::open(folder.path().join("c")).unwrap();
    kept.restore(second.id, &rocks).unwrap();
    assert_eq!(rows_between(&rocks, &[], None).len(), 500);
    assert_eq!(first.files, second.files);
}

#[test]
fn backend_of_the_specification_restores_what_its_checkpoint_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (path, kept) = (folder.path().join("state"), folder.path().join("checkpoints"));
    let state: Arc<dyn StateBackend> = Arc::new(RocksDBStateBackend::new(&path, &kept).unwrap());
    futures::executor::block_on(async {
        state.put(b"k", b"1").await.unwrap();
        state.checkpoint(7).await.unwrap();
        state.put(b"k", b"2").await.unwrap();
        state.put(b"other", b"3").await.unwrap();
        state.restore(7).await.unwrap();
        assert_eq!(state.get(b"k").await.unwrap(), Some(b"1".to_vec()));
        assert_eq!(state.list_keys(b"").await.unwrap(), [b"k".to_vec()]);
    });
}
