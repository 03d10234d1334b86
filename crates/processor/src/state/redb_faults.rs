//! A redb store on a disk that is full or fails.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use redb::{StorageBackend, backends::FileBackend};

use super::{Durability, RedbStore, Store, WriteBatch, redb_file};
use crate::error::ProcessorError;

const WELL: u8 = 0;
const FULL: u8 = 1;
const SYNC_FAILS: u8 = 2;

/// A disk with a mood.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    mood: Arc<AtomicU8>,
}

impl Disk {
    fn check(&self, bad: u8) -> io::Result<()> {
        match self.mood.load(Ordering::SeqCst) {
            mood if mood != bad => Ok(()),
            FULL => Err(io::ErrorKind::StorageFull.into()),
            _ => Err(io::Error::other("the disk is gone")),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check(FULL)?;
        self.file.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.check(SYNC_FAILS)?;
        self.file.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check(FULL)?;
        self.file.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

/// A store with one row, and the mood of its disk.
fn store(path: &Path) -> (RedbStore, Arc<AtomicU8>) {
    let mood = Arc::new(AtomicU8::new(WELL));
    let of_disk = Arc::clone(&mood);
    let opener = move |path: &Path| {
        redb_file::checked(|| {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            let disk = Disk { file: FileBackend::new(file)?, mood: Arc::clone(&of_disk) };
            redb_file::builder().create_with_backend(disk)
        })
    };
    let store = RedbStore::open_by(path, Box::new(opener)).unwrap();
    store.write(&batch(b"a", 1), Durability::Synced).unwrap();
    (store, mood)
}

fn batch(key: &[u8], value: u8) -> WriteBatch {
    let mut batch = WriteBatch::default();
    batch.put(key, &[value; 3_000]);
    batch
}

#[test]
fn a_full_disk_fails_the_write_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let (store, mood) = store(&path);
    mood.store(FULL, Ordering::SeqCst);
    for _ in 0..3 {
        let failed = store.write(&batch(b"b", 2), Durability::Synced).unwrap_err();
        let is_full = matches!(&failed, ProcessorError::Io { cause, .. } if cause.kind() == io::ErrorKind::StorageFull);
        assert!(is_full, "{failed}");
    }
    mood.store(WELL, Ordering::SeqCst);
    assert_eq!(store.get(b"a").unwrap(), Some(vec![1; 3_000]));
    store.write(&batch(b"b", 2), Durability::Synced).unwrap();
    drop(store);
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(store.get(b"a").unwrap(), Some(vec![1; 3_000]));
    assert_eq!(store.get(b"b").unwrap(), Some(vec![2; 3_000]));
}

#[test]
fn after_a_failed_sync_nothing_more_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let (store, mood) = store(&path);
    mood.store(SYNC_FAILS, Ordering::SeqCst);
    let failed = store.write(&batch(b"b", 2), Durability::Synced).unwrap_err().to_string();
    assert!(failed.contains("the disk is gone"), "{failed}");
    mood.store(WELL, Ordering::SeqCst);
    let refused = store.write(&batch(b"c", 3), Durability::Synced).unwrap_err().to_string();
    assert!(refused.contains("accepts no more writes"), "{refused}");
    assert!(refused.contains("the disk is gone"), "the cause is still told: {refused}");
    drop(store);
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(store.get(b"a").unwrap(), Some(vec![1; 3_000]));
    assert_eq!(store.get(b"c").unwrap(), None);
    // All of the write whose sync failed, or nothing of it.
    assert!(store.get(b"b").unwrap().is_none_or(|value| value == [2; 3_000]));
}

#[test]
fn a_creation_that_was_cut_off_leaves_nothing_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    fs::write(folder.path().join("state.redb.new"), "half a file").unwrap();
    RedbStore::open(&path).unwrap().write(&batch(b"a", 1), Durability::Synced).unwrap();
    assert!(!folder.path().join("state.redb.new").exists());
}
