//! What a redb store says about files that are not as it left them.

use std::{fs, ops::ControlFlow, path::Path, time::Instant};

use llm_optimizer_config::settings::StateBackendName;
use llm_optimizer_processor::{
    ProcessorError, ProcessorResult,
    state::{Durability, RedbStore, Store, WriteBatch, open_store},
};

use super::conformance::rows_between;

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// A store with rows in some commits; it stays open.
fn filled(path: &Path) -> (RedbStore, Rows) {
    let store = RedbStore::open(path).unwrap();
    for round in 0..4_u8 {
        let mut batch = WriteBatch::default();
        for number in 0..60_u32 {
            batch.put(&(number * 7 % 60).to_be_bytes(), &[round + number as u8; 90]);
        }
        store.write(&batch, Durability::Synced).unwrap();
    }
    let rows = rows_between(&store, &[], None);
    (store, rows)
}

/// The file with its head, copied.
fn copy(from: &Path, to: &Path, bytes: &[u8]) {
    fs::write(to, bytes).unwrap();
    let head = |path: &Path| path.with_extension("redb.head");
    fs::copy(head(from), head(to)).unwrap();
}

fn read(path: &Path) -> ProcessorResult<Rows> {
    let store = RedbStore::open(path)?;
    let mut rows = Vec::new();
    store.scan(&[], None, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

/// Flips bits and cuts ends of the file at `path`; returns how often it was noticed.
fn damage_everywhere(path: &Path, rows: &Rows) -> usize {
    let bytes = fs::read(path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let damaged = path.with_file_name("damaged.redb");
    // The header closely, where a bit decides most; then samples.
    let in_header = (0..320 * 8).step_by(5);
    let behind = (320 * 8..used * 8).step_by(used * 8 / 250 + 1);
    let mut noticed = 0;
    for bit in in_header.chain(behind) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        copy(path, &damaged, &flipped);
        noticed += usize::from(was_noticed(&damaged, rows, &format!("bit {bit}")));
    }
    for length in (0..bytes.len()).step_by(bytes.len() / 30 + 1) {
        copy(path, &damaged, &bytes[..length]);
        noticed += usize::from(was_noticed(&damaged, rows, &format!("length {length}")));
    }
    noticed
}

fn was_noticed(path: &Path, rows: &Rows, what: &str) -> bool {
    match read(path) {
        Ok(found) => {
            assert!(found == *rows, "{what}: other rows than were written");
            false
        }
        Err(ProcessorError::Store(_)) => true,
        Err(other) => panic!("{what}: {other}"),
    }
}

#[test]
fn a_changed_or_cut_file_is_an_error_or_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let (store, rows) = filled(&path);
    let killed = folder.path().join("killed.redb");
    copy(&path, &killed, &fs::read(&path).unwrap());
    drop(store);
    for path in [path, killed] {
        let noticed = damage_everywhere(&path, &rows);
        assert!(noticed > 150, "only {noticed} times something was wrong");
    }
}

#[test]
fn an_older_copy_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let (store, _) = filled(&path);
    drop(store);
    let old = fs::read(&path).unwrap();
    let store = RedbStore::open(&path).unwrap();
    let mut batch = WriteBatch::default();
    batch.put(b"new", b"1");
    store.write(&batch, Durability::Synced).unwrap();
    drop(store);
    fs::write(&path, old).unwrap();
    let refused = RedbStore::open(&path).unwrap_err().to_string();
    assert!(refused.contains("ends at write 4, but write 5 was made"), "{refused}");
    assert!(refused.contains("processor checkpoint restore"), "{refused}");
}

#[test]
fn a_lost_file_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    drop(filled(&path));
    fs::remove_file(&path).unwrap();
    let refused = RedbStore::open(&path).unwrap_err().to_string();
    assert!(refused.contains("ends at write 0, but write 4 was made"), "{refused}");
    assert!(!path.exists());
}

#[test]
fn files_of_others_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let letter = folder.path().join("letter.redb");
    fs::write(&letter, "dear reader").unwrap();
    let empty = folder.path().join("empty.redb");
    fs::write(&empty, "").unwrap();
    for path in [&letter, &empty] {
        let refused = RedbStore::open(path).unwrap_err().to_string();
        assert!(refused.contains("no state of the processor"), "{refused}");
    }
    assert_eq!(fs::read_to_string(letter).unwrap(), "dear reader");
    assert_eq!(fs::read_to_string(empty).unwrap(), "");
}

#[test]
fn a_store_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let _open = RedbStore::open(&path).unwrap();
    let refused = RedbStore::open(&path).unwrap_err().to_string();
    assert!(refused.contains("is in use by another process"), "{refused}");
}

#[test]
fn redb_does_not_begin_anew_beside_rocksdb() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("CURRENT"), "MANIFEST-000001\n").unwrap();
    let refused = open_store(StateBackendName::Redb, folder.path()).unwrap_err().to_string();
    assert!(refused.contains("holds state of rocksdb"), "{refused}");
}

#[test]
fn a_folder_with_half_a_restore_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("restoring"), "12\n").unwrap();
    let refused = open_store(StateBackendName::Redb, folder.path()).unwrap_err().to_string();
    assert!(refused.contains("restore of checkpoint 12 was interrupted"), "{refused}");
}

#[test]
fn compaction_gives_room_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbStore::open(folder.path().join("state.redb")).unwrap();
    let mut batch = WriteBatch::default();
    for number in 0..20_000_u32 {
        batch.put(&number.to_be_bytes(), &xorshift(number));
    }
    store.write(&batch, Durability::Synced).unwrap();
    let full = store.size_bytes().unwrap();
    let mut none = WriteBatch::default();
    none.delete_range(&100_u32.to_be_bytes(), &[255; 5]);
    store.write(&none, Durability::Synced).unwrap();
    store.compact().unwrap();
    assert!(store.size_bytes().unwrap() < full / 2);
    assert_eq!(rows_between(&store, &[], None).len(), 100);
}

/// 200 bytes that do not compress.
fn xorshift(seed: u32) -> Vec<u8> {
    let mut state = u64::from(seed) * 2 + 1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..200).map(|_| byte()).collect()
}

#[test]
fn a_store_of_some_size_opens_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let store = RedbStore::open(&path).unwrap();
    let mut batch = WriteBatch::default();
    for number in 0..40_000_u32 {
        batch.put(&number.to_be_bytes(), &xorshift(number));
    }
    store.write(&batch, Durability::Synced).unwrap();
    let killed = folder.path().join("killed.redb");
    copy(&path, &killed, &fs::read(&path).unwrap());
    let begun = Instant::now();
    let opened = RedbStore::open(&killed).unwrap();
    println!("{} bytes opened in {:?}", opened.size_bytes().unwrap(), begun.elapsed());
    assert_eq!(opened.get(&7_u32.to_be_bytes()).unwrap(), Some(xorshift(7)));
}
