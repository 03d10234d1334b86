//! The copy over a store in memory: what is written, what is refused, and that nobody waits for it.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex},
};

use super::*;
use crate::{
    source::clock::SystemClock,
    state::{Durability, MemoryStore, StoreView, Visit, WriteBatch},
};

const TOPIC: &str = "g-p-changelog";

fn settings(store: Arc<dyn Store>) -> LocalCopySettings {
    LocalCopySettings {
        store,
        clock: Arc::new(SystemClock::new()),
        pipelines: vec!["p".into()],
        group: "g".into(),
        fingerprint: b"{}".to_vec(),
        instance_id: "one".into(),
        keeper: None,
    }
}

fn topics() -> Vec<String> {
    vec![TOPIC.to_owned()]
}

/// A copy that takes commits, over what `store` has.
fn begun(store: &Arc<dyn Store>) -> LocalCopy {
    let copy = LocalCopy::start(settings(Arc::clone(store))).unwrap();
    copy.groups(&topics(), 2);
    copy.restore(RestoredState { parts: Vec::new(), newest: vec![None] });
    copy
}

/// A commit of rows of key group 1, whose meta record lies at `offset`.
fn commit(
    sequence: u64,
    offset: i64,
    rows: &[(&[u8], Option<&[u8]>)],
) -> (Arc<CommitRecords>, Vec<MetaOffset>) {
    let topic: Arc<str> = TOPIC.into();
    let mut records = CommitRecords::default();
    for (key, value) in rows {
        records.push_row(&topic, 1, &[&[0, 1], *key].concat(), *value);
    }
    let note = serde_json::to_vec(&crate::runtime::Counters::default()).unwrap();
    records.push_meta(&topic, 1, &GroupMeta { sequence, note, ..GroupMeta::default() });
    let offsets = vec![MetaOffset { topic: TOPIC.into(), partition: 1, offset }];
    (Arc::new(records), offsets)
}

fn keep(copy: &LocalCopy, (records, offsets): (Arc<CommitRecords>, Vec<MetaOffset>)) {
    copy.keep(records, offsets);
}

fn rows_of(copy: &LocalCopy, group: &CopiedGroup) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let restored = copy.rows(group).unwrap();
    restored.rows().map(|(key, value)| (key[2..].to_vec(), value.to_vec())).collect()
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

#[test]
fn commits_are_there_after_a_restart_with_their_place() {
    let store = memory();
    let copy = begun(&store);
    keep(&copy, commit(1, 10, &[(b"a", Some(b"1")), (b"b", Some(b"1"))]));
    keep(&copy, commit(2, 20, &[(b"a", Some(b"2")), (b"b", None), (b"c", Some(b"2"))]));
    drop(copy);
    let copy = LocalCopy::start(settings(store)).unwrap();
    let groups = copy.groups(&topics(), 2);
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert_eq!((groups[0].key_group, groups[0].offset), (1, 21));
    let expected = [(b"a".to_vec(), b"2".to_vec()), (b"c".to_vec(), b"2".to_vec())];
    assert_eq!(rows_of(&copy, &groups[0]), BTreeMap::from(expected));
    assert_eq!(copy.rows(&groups[0]).unwrap().meta.unwrap().sequence, 2);
}

#[test]
fn the_identity_is_that_of_the_newest_commit() {
    let identity = |sequence| {
        let copy = begun(&memory());
        keep(&copy, commit(sequence, 10, &[]));
        copy.groups(&topics(), 2)[0].identity
    };
    assert_eq!(identity(1), identity(1));
    assert_ne!(identity(1), identity(2));
}

#[test]
fn a_copy_of_something_else_is_wiped() {
    let changed: [fn(&mut LocalCopySettings); 2] =
        [|s| s.group = "h".into(), |s| s.fingerprint = b"{1}".to_vec()];
    for change in changed {
        let store = memory();
        let copy = begun(&store);
        keep(&copy, commit(1, 10, &[(b"a", Some(b"1"))]));
        drop(copy);
        let mut other = settings(Arc::clone(&store));
        change(&mut other);
        let copy = LocalCopy::start(other).unwrap();
        assert_eq!(copy.groups(&topics(), 2), []);
        assert!(store.get(rows::HEADER).unwrap().is_none(), "nothing is left");
    }
    let store = memory();
    let copy = begun(&store);
    keep(&copy, commit(1, 10, &[(b"a", Some(b"1"))]));
    assert_eq!(copy.groups(&[format!("{TOPIC}-1")], 2), [], "of another state");
}

#[test]
fn what_is_read_back_takes_the_place_of_what_was_there_or_goes_over_it() {
    let store = memory();
    let copy = begun(&store);
    keep(&copy, commit(1, 10, &[(b"a", Some(b"1")), (b"b", Some(b"1"))]));
    let read = |rows: &[(&[u8], Option<&[u8]>)], is_rest| {
        let (records, _) = commit(7, 70, rows);
        let mut group = RestoredGroup::of_copy(1, GroupMeta::default(), 0);
        for (offset, record) in (60..).zip(records.iter()) {
            let key = record.key.unwrap();
            let decoded = crate::kafka::ChangelogRecord::decode(1, key, record.payload).unwrap();
            group.take(decoded, offset, record.payload);
        }
        let newest = vec![group.meta.clone()];
        RestoredState {
            parts: vec![RestoredPart { pipeline: 0, group: Arc::new(group), is_rest }],
            newest,
        }
    };
    let all = |copy: &LocalCopy| {
        let groups = copy.groups(&topics(), 2);
        (groups[0].offset, rows_of(copy, &groups[0]).into_keys().collect::<Vec<_>>())
    };
    copy.groups(&topics(), 2);
    copy.restore(read(&[(b"b", None), (b"c", Some(b"3"))], true));
    assert_eq!(all(&copy), (63, vec![b"a".to_vec(), b"c".to_vec()]));
    copy.restore(read(&[(b"z", Some(b"3"))], false));
    assert_eq!(all(&copy), (62, vec![b"z".to_vec()]));
}

#[test]
fn a_commit_without_a_place_leaves_the_copy_where_it_is() {
    let store = memory();
    let copy = begun(&store);
    keep(&copy, commit(1, 10, &[(b"a", Some(b"1"))]));
    keep(&copy, commit(2, -1, &[(b"b", Some(b"2"))]));
    keep(&copy, commit(3, 30, &[(b"a", Some(b"3"))]));
    drop(copy);
    let copy = begun(&store);
    let groups = copy.groups(&topics(), 2);
    assert_eq!(groups[0].offset, 11);
    assert_eq!(rows_of(&copy, &groups[0])[b"a".as_slice()], b"1");
}

#[test]
fn between_a_look_and_what_was_read_back_no_commit_is_taken() {
    let store = memory();
    let copy = begun(&store);
    copy.groups(&topics(), 2);
    keep(&copy, commit(1, 10, &[(b"a", Some(b"1"))]));
    assert_eq!(copy.groups(&topics(), 2), []);
}

#[test]
fn a_checkpoint_of_the_copy_says_positions_as_one_of_the_embedded_log() {
    use crate::{
        checkpoint::{CheckpointAbout, CheckpointKind},
        kafka::{OffsetProgress, SourceMeta},
    };
    let store = memory();
    let copy = begun(&store);
    let topic: Arc<str> = TOPIC.into();
    let mut records = CommitRecords::default();
    let source = SourceMeta {
        topic: "in".into(),
        partition: 3,
        to: 77,
        progress: OffsetProgress::default(),
    };
    let note = serde_json::to_vec(&crate::runtime::Counters::default()).unwrap();
    let meta = GroupMeta { sequence: 5, sources: vec![source], note, ..GroupMeta::default() };
    records.push_meta(&topic, 1, &meta);
    let place = MetaOffset { topic: TOPIC.into(), partition: 1, offset: 4 };
    copy.keep(Arc::new(records), vec![place]);
    drop(copy);
    let view = store.snapshot().unwrap();
    let about = CheckpointAbout::of(&*view, CheckpointKind::Savepoint, 0).unwrap();
    assert_eq!(about.instance.as_deref(), Some("one"));
    let (input, position) = about.positions.into_iter().next().unwrap();
    assert!(
        input.contains("in") && input.contains('3') && position.contains("77"),
        "{input} {position}"
    );
}

/// A store whose writes wait until they are let go.
#[derive(Debug, Default)]
struct SlowStore {
    inner: MemoryStore,
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Store for SlowStore {
    fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>> {
        self.inner.get(key)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> ProcessorResult<()> {
        let open = self.is_open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
        self.inner.write(batch, durability)
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> ProcessorResult<()> {
        self.inner.scan(from, to, visit)
    }

    fn snapshot(&self) -> ProcessorResult<Box<dyn StoreView>> {
        self.inner.snapshot()
    }

    fn compact(&self) -> ProcessorResult<()> {
        self.inner.compact()
    }

    fn size_bytes(&self) -> ProcessorResult<u64> {
        self.inner.size_bytes()
    }
}

#[test]
fn commits_never_wait_for_the_disk_and_what_is_too_much_is_left_behind() {
    let slow = Arc::new(SlowStore::default());
    *slow.is_open.lock().unwrap() = true;
    let store: Arc<dyn Store> = Arc::clone(&slow) as Arc<dyn Store>;
    let copy = begun(&store);
    // The thread has taken what was read back once it answers again; then the disk stands still.
    copy.groups(&topics(), 2);
    copy.restore(RestoredState { parts: Vec::new(), newest: vec![None] });
    keep(&copy, commit(1, 10, &[(b"a", Some(b"1"))]));
    while copy.shared.waiting_bytes.load(Ordering::Acquire) > 0 {
        thread::yield_now();
    }
    *slow.is_open.lock().unwrap() = false;
    let large = vec![7_u8; 800_000];
    let bytes = i64::try_from(MAX_WAITING_BYTES).unwrap();
    for number in 0..2 * bytes / 800_000 {
        let sequence = 2 + number.unsigned_abs();
        keep(&copy, commit(sequence, 20 + number, &[(b"a", Some(&large))]));
    }
    assert!(copy.shared.is_behind.load(Ordering::Acquire), "it says so");
    assert!(copy.shared.waiting_bytes.load(Ordering::Acquire) <= MAX_WAITING_BYTES);
    *slow.is_open.lock().unwrap() = true;
    slow.opened.notify_all();
    drop(copy);
    let copy = begun(&store);
    let groups = copy.groups(&topics(), 2);
    let newest = 20 + 2 * bytes / 800_000;
    assert!((11..newest).contains(&groups[0].offset), "a beginning of all commits: {groups:?}");
}
