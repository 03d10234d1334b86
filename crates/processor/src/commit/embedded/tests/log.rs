//! The log over a store: what was appended comes back, and sinks have it once.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use llm_optimizer_engine::state::TaskProgress;
use proptest::prelude::*;
use tracing::Subscriber;
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};

use crate::{
    ProcessorError, ProcessorResult,
    commit::{
        Commit, CommitLog, PipelineCommit,
        embedded::{EmbeddedLog, EmbeddedSettings, Patience},
    },
    record::{PartitionKey, Position, SourceKind},
    runtime::PipelineOutputs,
    sink::{
        Output, ResultSink,
        file::{FileSink, OpenMode},
        testing::{output_of_lines, record},
    },
    state::{Durability, MemoryStore, Store, Visit, WriteBatch},
};

fn settings() -> EmbeddedSettings {
    EmbeddedSettings {
        max_outbox_bytes: 1 << 20,
        patience: Patience {
            max_retries: 20,
            initial: Duration::from_millis(1),
            longest: Duration::from_millis(2),
        },
        pipelines: vec!["a".into()],
        planted: None,
        telemetry: Arc::default(),
    }
}

fn log_with(store: &Arc<dyn Store>, sinks: Vec<Box<dyn ResultSink>>) -> EmbeddedLog {
    let outputs = PipelineOutputs { results: sinks, ..PipelineOutputs::default() };
    EmbeddedLog::new(Arc::clone(store), vec![outputs], settings())
}

fn file(path: &Path) -> Box<dyn ResultSink> {
    Box::new(FileSink::open(path, OpenMode::Resume).unwrap())
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

/// A commit with these results.
fn commit(sequence: u64, lines: &[&str]) -> Arc<Commit> {
    let json = |line: &&str| {
        let mut record = record(&[]);
        record.result_id = (*line).to_owned();
        serde_json::to_string(&record).unwrap()
    };
    let lines: Vec<String> = lines.iter().map(json).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let output = if lines.is_empty() { Arc::default() } else { output_of_lines(&lines) };
    let pipeline = PipelineCommit { name: "a".into(), output, ..PipelineCommit::default() };
    Arc::new(Commit { sequence, pipelines: vec![pipeline], ..Commit::default() })
}

/// The results in a file, by their id.
fn ids(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let id = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        record["result_id"].as_str().unwrap().to_owned()
    };
    text.lines().map(id).collect()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_mins(1);
    while !done() {
        assert!(Instant::now() < until, "{what} never came");
        thread::sleep(Duration::from_millis(1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What comes back is what was put last, whoever reads it.
    #[test]
    fn recovery_gives_exactly_what_was_appended(
        commits in prop::collection::vec(
            (prop::collection::vec((0u8..20, prop::option::of(any::<u16>())), 0..20), any::<i64>()),
            1..12,
        )
    ) {
        let store = memory();
        let mut expected = std::collections::BTreeMap::new();
        let mut sequence = 0;
        for (changes, watermark) in commits {
            let mut log = log_with(&store, vec![]);
            prop_assert_eq!(log.recover().unwrap().map_or(0, |found| found.sequence), sequence);
            sequence += 1;
            let progress =
                TaskProgress { watermark: Some(watermark), greatest_time: Some(watermark) };
            let mut pipeline =
                PipelineCommit { name: "a".into(), progress, ..PipelineCommit::default() };
            for (key, value) in changes {
                let key = vec![0, key];
                if let Some(value) = value {
                    pipeline.changes.put(&key, &value.to_be_bytes());
                    expected.insert(key, value.to_be_bytes().to_vec());
                } else {
                    pipeline.changes.delete(&key);
                    expected.remove(&key);
                }
            }
            let partition =
                PartitionKey { source: SourceKind::File, name: "f".into(), partition: 0 };
            let positions = vec![(partition, Position::at(watermark))];
            let other = PipelineCommit { name: "aa".into(), ..PipelineCommit::default() };
            let commit = Commit { sequence, positions, pipelines: vec![pipeline, other] };
            log.append(&Arc::new(commit.clone())).unwrap();
            log.close().unwrap();
            let found = log_with(&store, vec![]).recover().unwrap().unwrap();
            prop_assert_eq!((found.sequence, &found.positions), (sequence, &commit.positions));
            let [one, other] = found.pipelines.as_slice() else { panic!("two pipelines") };
            prop_assert_eq!(one.progress, progress);
            let rows: std::collections::BTreeMap<_, _> = one.rows.iter()
                .map(|(key, value)| (key.to_vec(), value.unwrap().to_vec()))
                .collect();
            prop_assert_eq!(&rows, &expected);
            prop_assert!(other.rows.is_empty());
        }
    }
}

#[test]
fn results_are_in_the_file_once_however_the_process_ends() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("results");
    let store = memory();
    for life in 0..5_u64 {
        let mut log = log_with(&store, vec![file(&path)]);
        let last = log.recover().unwrap().map_or(0, |found| found.sequence);
        assert_eq!(last, life * 3);
        for sequence in last + 1..=last + 3 {
            log.append(&commit(sequence, &[&format!("{sequence}a"), &format!("{sequence}b")]))
                .unwrap();
        }
        // Dropped: what was not delivered is delivered by the next life.
        if life == 4 {
            log.close().unwrap();
        }
    }
    let expected: Vec<String> = (1..=15).flat_map(|n| [format!("{n}a"), format!("{n}b")]).collect();
    assert_eq!(ids(&path), expected);
    assert_eq!(count_rows(&store, b'o'), 0, "rows that every sink has are gone");
}

fn count_rows(store: &Arc<dyn Store>, table: u8) -> usize {
    let mut rows = 0;
    let mut count = |_: &[u8], _: &[u8]| {
        rows += 1;
        std::ops::ControlFlow::Continue(())
    };
    store.scan(&[table], Some(&[table + 1]), &mut count).unwrap();
    rows
}

#[test]
fn what_a_crash_left_behind_the_cursor_is_cut_off_and_written_again() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("results");
    let store = memory();
    let mut log = log_with(&store, vec![file(&path)]);
    log.recover().unwrap();
    log.append(&commit(1, &["a"])).unwrap();
    log.close().unwrap();
    let kept = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{kept}{{\"result_id\":\"torn")).unwrap();
    let mut log = log_with(&store, vec![file(&path)]);
    log.recover().unwrap();
    log.append(&commit(2, &["b"])).unwrap();
    log.close().unwrap();
    assert_eq!(ids(&path), ["a", "b"]);
}

#[test]
fn a_file_that_is_shorter_or_another_one_is_refused_with_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("results");
    let store = memory();
    let mut log = log_with(&store, vec![file(&path)]);
    log.recover().unwrap();
    log.append(&commit(1, &["a"])).unwrap();
    log.close().unwrap();
    drop(log);
    let kept = fs::read(&path).unwrap();
    fs::write(&path, &kept[..5]).unwrap();
    let refused = log_with(&store, vec![file(&path)]).recover().unwrap_err().to_string();
    assert!(refused.contains("holds 5 bytes of") && refused.contains("--new-state"), "{refused}");
    fs::rename(&path, place.path().join("moved")).unwrap();
    fs::write(&path, "something else, and longer than what was there: \n".repeat(100)).unwrap();
    let refused = log_with(&store, vec![file(&path)]).recover().unwrap_err().to_string();
    assert!(refused.contains("another file") && refused.contains("another path"), "{refused}");
    assert!(fs::read_to_string(&path).unwrap().starts_with("something else"), "it is not touched");
}

#[test]
fn a_sink_that_is_added_begins_with_what_is_not_delivered_yet_and_one_removed_is_owed_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (one, two) = (place.path().join("one"), place.path().join("two"));
    let store = memory();
    let mut log = log_with(&store, vec![file(&one)]);
    log.recover().unwrap();
    log.append(&commit(1, &["a"])).unwrap();
    log.close().unwrap();
    // A sink that takes nothing any more: what follows stays in the outbox.
    let stuck = Recorder::named("stuck");
    stuck.fails.store(u64::MAX, Ordering::SeqCst);
    let mut log = log_with(&store, vec![Box::new(stuck), file(&one)]);
    log.recover().unwrap();
    log.append(&commit(2, &["b"])).unwrap();
    wait_until("b", || ids(&one) == ["a", "b"]);
    drop(log);
    assert_eq!(count_rows(&store, b'o'), 1);
    let mut log = log_with(&store, vec![file(&one), file(&two)]);
    log.recover().unwrap();
    log.append(&commit(3, &["c"])).unwrap();
    log.close().unwrap();
    assert_eq!(
        (ids(&one), ids(&two)),
        (vec!["a".into(), "b".into(), "c".into()], vec!["b".into(), "c".into()])
    );
    assert_eq!((count_rows(&store, b'o'), count_rows(&store, b'c')), (0, 2));
}

/// Takes results, fails as often as it is told.
#[derive(Clone)]
struct Recorder {
    name: String,
    is_live: bool,
    fails: Arc<AtomicU64>,
    taken: Arc<Mutex<Vec<String>>>,
    /// Whoever has it locked holds the sink.
    gate: Arc<Mutex<()>>,
}

impl Recorder {
    fn named(name: &str) -> Self {
        let (fails, taken, gate) = Default::default();
        Self { name: name.into(), is_live: false, fails, taken, gate }
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

impl ResultSink for Recorder {
    fn name(&self) -> &str {
        &self.name
    }

    fn deliver(&mut self, output: &Arc<Output>) -> ProcessorResult<()> {
        drop(self.gate.lock().unwrap());
        let left = self.fails.load(Ordering::SeqCst);
        if left > 0 {
            self.fails.store(left - 1, Ordering::SeqCst);
            return Err(ProcessorError::Sink { name: self.name.clone(), reason: "not now".into() });
        }
        let ids = output.results.iter().map(|result| {
            let json: serde_json::Value = serde_json::from_slice(&result.json).unwrap();
            json["result_id"].as_str().unwrap().to_owned()
        });
        self.taken.lock().unwrap().extend(ids);
        Ok(())
    }

    fn cursor_name(&self) -> Option<String> {
        (!self.is_live).then(|| self.name.clone())
    }

    fn close(&mut self) -> ProcessorResult<()> {
        Ok(())
    }
}

#[test]
fn a_sink_that_fails_is_tried_again_and_holds_nobody_back() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("results");
    let (store, sink) = (memory(), Recorder::named("sink"));
    sink.fails.store(3, Ordering::SeqCst);
    let mut log = log_with(&store, vec![Box::new(sink.clone()), file(&path)]);
    log.recover().unwrap();
    for sequence in 1..=3 {
        log.append(&commit(sequence, &[&sequence.to_string()])).unwrap();
    }
    log.close().unwrap();
    assert_eq!(sink.taken(), ["1", "2", "3"]);
    assert_eq!(ids(&path), ["1", "2", "3"]);
}

#[test]
fn a_sink_that_fails_for_good_ends_the_run_and_loses_nothing() {
    let (store, sink) = (memory(), Recorder::named("sink"));
    sink.fails.store(u64::MAX, Ordering::SeqCst);
    let mut log = log_with(&store, vec![Box::new(sink.clone())]);
    log.recover().unwrap();
    log.append(&commit(1, &["a"])).unwrap();
    wait_until("the failure", || log.check().is_err());
    assert!(log.append(&commit(2, &["b"])).is_err(), "nothing more is taken");
    drop(log);
    sink.fails.store(0, Ordering::SeqCst);
    let mut log = log_with(&store, vec![Box::new(sink.clone())]);
    assert_eq!(log.recover().unwrap().unwrap().sequence, 1);
    log.close().unwrap();
    assert_eq!(sink.taken(), ["a"]);
}

/// Hears the first warning.
struct Warned(Arc<AtomicBool>);

impl<S: Subscriber> Layer<S> for Warned {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        self.0.fetch_or(*event.metadata().level() == tracing::Level::WARN, Ordering::SeqCst);
    }
}

#[test]
fn a_full_outbox_holds_commits_back_until_a_sink_has_taken_something() {
    let (store, sink) = (memory(), Recorder::named("sink"));
    let held = sink.gate.lock().unwrap();
    let outputs = PipelineOutputs { results: vec![Box::new(sink.clone())], ..Default::default() };
    let settings = EmbeddedSettings { max_outbox_bytes: 1, ..settings() };
    let mut log = EmbeddedLog::new(Arc::clone(&store), vec![outputs], settings);
    log.recover().unwrap();
    log.append(&commit(1, &["a"])).unwrap();
    let is_full = Arc::new(AtomicBool::new(false));
    let warned = tracing_subscriber::registry().with(Warned(Arc::clone(&is_full)));
    let second = thread::spawn(move || {
        tracing::subscriber::with_default(warned, || log.append(&commit(2, &["b"]))).unwrap();
        log.close().unwrap();
    });
    wait_until("the warning that the outbox is full", || is_full.load(Ordering::SeqCst));
    assert_eq!(count_rows(&store, b'o'), 1, "there is no room");
    drop(held);
    second.join().unwrap();
    assert_eq!(sink.taken(), ["a", "b"]);
}

#[test]
fn a_live_sink_is_fed_after_the_commit_and_owed_nothing() {
    let store = memory();
    let sink = Recorder { is_live: true, ..Recorder::named("console") };
    let mut log = log_with(&store, vec![Box::new(sink.clone())]);
    log.recover().unwrap();
    log.append(&commit(1, &["a"])).unwrap();
    log.append(&commit(2, &[])).unwrap();
    assert_eq!((count_rows(&store, b'o'), count_rows(&store, b'c')), (0, 0));
    log.close().unwrap();
    assert_eq!(sink.taken(), ["a"]);
}

/// A store whose writes fail as often as it is told.
#[derive(Debug)]
struct FullDisk {
    store: MemoryStore,
    fails: AtomicU64,
}

impl Store for FullDisk {
    fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>> {
        self.store.get(key)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> ProcessorResult<()> {
        let left = self.fails.load(Ordering::SeqCst);
        if left > 0 {
            self.fails.store(left - 1, Ordering::SeqCst);
            let cause = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(ProcessorError::Io { action: "write", path: "state".into(), cause });
        }
        self.store.write(batch, durability)
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> ProcessorResult<()> {
        self.store.scan(from, to, visit)
    }

    fn snapshot(&self) -> ProcessorResult<Box<dyn crate::state::StoreView>> {
        self.store.snapshot()
    }

    fn compact(&self) -> ProcessorResult<()> {
        self.store.compact()
    }

    fn size_bytes(&self) -> ProcessorResult<u64> {
        self.store.size_bytes()
    }
}

#[test]
fn a_full_disk_is_no_commit_and_heals() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("results");
    let disk = Arc::new(FullDisk { store: MemoryStore::new(), fails: AtomicU64::new(0) });
    let store: Arc<dyn Store> = disk.clone();
    let mut log = log_with(&store, vec![file(&path)]);
    log.recover().unwrap();
    disk.fails.store(2, Ordering::SeqCst);
    let commit = commit(1, &["a"]);
    assert!(log.append(&commit).is_err());
    assert!(log.append(&commit).is_err());
    assert_eq!(ids(&path), Vec::<String>::new(), "nothing leaves before it is committed");
    log.append(&commit).unwrap();
    log.close().unwrap();
    assert_eq!(ids(&path), ["a"]);
}

/// A file whose syncs fail as often as it is told; what was written since is not sure then.
struct FailingSync {
    file: FileSink,
    fails: u64,
}

impl ResultSink for FailingSync {
    fn name(&self) -> &str {
        self.file.name()
    }

    fn deliver(&mut self, output: &Arc<Output>) -> ProcessorResult<()> {
        self.file.deliver(output)
    }

    fn cursor_name(&self) -> Option<String> {
        self.file.cursor_name()
    }

    fn mark(&self) -> Option<crate::sink::SinkMark> {
        self.file.mark()
    }

    fn sync(&mut self) -> ProcessorResult<()> {
        if self.fails > 0 {
            self.fails -= 1;
            let cause = std::io::Error::other("the device says no");
            return Err(ProcessorError::Io { action: "sync", path: self.name().into(), cause });
        }
        self.file.sync()
    }

    fn rewind(&mut self, to: Option<&crate::sink::SinkMark>) -> ProcessorResult<()> {
        self.file.rewind(to)
    }

    fn close(&mut self) -> ProcessorResult<()> {
        self.file.close()
    }
}

#[test]
fn after_a_failed_sync_everything_behind_the_cursor_is_written_again() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("results");
    let store = memory();
    let sink = FailingSync { file: FileSink::open(&path, OpenMode::Resume).unwrap(), fails: 3 };
    let mut log = log_with(&store, vec![Box::new(sink)]);
    log.recover().unwrap();
    for sequence in 1..=4 {
        log.append(&commit(sequence, &[&sequence.to_string()])).unwrap();
    }
    log.close().unwrap();
    assert_eq!(ids(&path), ["1", "2", "3", "4"]);
}

#[test]
fn rows_without_a_commit_are_damage_not_an_empty_state() {
    for key in [b"s\0\x01a".as_slice(), b"o\0\0\0\0\0\0\0\x01"] {
        let store = memory();
        let mut batch = WriteBatch::default();
        batch.put(key, b"1");
        store.write(&batch, Durability::Synced).unwrap();
        let refused = log_with(&store, vec![]).recover().unwrap_err().to_string();
        assert!(refused.contains("no commit"), "{refused}");
        batch.clear();
        batch.delete_range(b"\0", b"\xff");
        store.write(&batch, Durability::Synced).unwrap();
        assert!(log_with(&store, vec![]).recover().unwrap().is_none());
    }
}
