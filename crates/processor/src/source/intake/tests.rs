//! The inbox: what is accepted is read once, whatever happens to the store and the process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use llm_optimizer_engine::core::PartitionId;

use super::{
    Inbox, IntakeMetrics, IntakeSource, Receipt, Records, Refusal, RequestName, carry_over,
    inbox::{Admission, ROW_OVERHEAD},
    load, position_in,
};
use crate::{
    ProcessorError, ProcessorResult,
    commit::embedded::keys,
    record::{PartitionKey, Position, SourceKind},
    runtime::{Health, Part},
    source::{
        Source, SourceEvent,
        clock::ManualClock,
        testing::{Row, Running, start, wait_for},
        text::BatchLimits,
    },
    state::{Durability, MemoryStore, Store, StoreError, StoreView, Visit, WriteBatch},
};

/// A store whose writes can be made to fail.
#[derive(Debug, Default)]
struct Disk {
    rows: MemoryStore,
    is_full: AtomicBool,
    is_broken: AtomicBool,
    keeps_failed: AtomicBool,
}

impl Store for Disk {
    fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>> {
        self.rows.get(key)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> ProcessorResult<()> {
        let path = "disk".into();
        if self.is_broken.load(Ordering::Acquire) {
            return Err(StoreError::Halted { path, reason: "broken".into() }.into());
        }
        let is_full = self.is_full.load(Ordering::Acquire);
        if !is_full || self.keeps_failed.load(Ordering::Acquire) {
            self.rows.write(batch, durability)?;
        }
        if is_full {
            let cause = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(ProcessorError::Io { action: "write", path, cause });
        }
        Ok(())
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> ProcessorResult<()> {
        self.rows.scan(from, to, visit)
    }

    fn snapshot(&self) -> ProcessorResult<Box<dyn StoreView>> {
        self.rows.snapshot()
    }

    fn compact(&self) -> ProcessorResult<()> {
        Ok(())
    }

    fn size_bytes(&self) -> ProcessorResult<u64> {
        self.rows.size_bytes()
    }
}

const ROOMY: u64 = 1 << 20;

fn records(texts: &[&str]) -> Records {
    let mut records = Records::default();
    for text in texts {
        records.push(text.as_bytes());
    }
    records
}

/// A source over what is in `store`, that goes on at `position`.
fn source(store: &Arc<Disk>, max_bytes: u64, position: i64) -> (IntakeSource, Arc<Inbox>) {
    let inbox = load(store.as_ref(), max_bytes, IntakeMetrics::default()).unwrap();
    let pair = (Arc::clone(store) as Arc<dyn Store>, Arc::clone(&inbox));
    let limits = BatchLimits { max_records: 3, ..BatchLimits::default() };
    let clock = Arc::new(ManualClock::default());
    let mut source = IntakeSource::new(pair, SourceKind::Http, limits, clock);
    source.resume(&at(position)).unwrap();
    (source, inbox)
}

fn at(position: i64) -> Vec<(PartitionKey, Position)> {
    let key = PartitionKey { source: SourceKind::Http, name: "inbox".into(), partition: 0 };
    vec![(key, Position::at(position))]
}

fn running(store: &Arc<Disk>, max_bytes: u64, position: i64) -> (Running, Arc<Inbox>) {
    let (source, inbox) = source(store, max_bytes, position);
    let running = start(source, 100);
    assert!(matches!(running.next(), SourceEvent::Assigned(_)));
    (running, inbox)
}

fn accept(inbox: &Inbox, texts: &[&str]) -> Result<Receipt, Refusal> {
    futures::executor::block_on(inbox.accept(records(texts), None))
}

fn rows(texts: &[&str], first: i64) -> Vec<Row> {
    (first..).zip(texts).map(|(offset, text)| ((*text).to_owned(), offset, None)).collect()
}

/// As a commit at `position` would.
fn commit(store: &Disk, inbox: &Inbox, position: u64) {
    let mut batch = WriteBatch::default();
    inbox.rows_behind(position).iter().for_each(|first| batch.delete(&keys::inbox(*first)));
    let _turn = inbox.commit_turn();
    store.write(&batch, Durability::Synced).unwrap();
    inbox.forget_behind(position);
}

#[test]
fn what_is_accepted_is_read_in_order_with_its_numbers() {
    let store = Arc::new(Disk::default());
    let (running, inbox) = running(&store, ROOMY, 0);
    let receipt = accept(&inbox, &["a", "b"]).unwrap();
    assert_eq!(receipt, Receipt { accepted: 2, first: 0, is_repeated: false });
    assert_eq!(accept(&inbox, &["c", "d", "e"]).unwrap().first, 2);
    assert_eq!(running.rows(5), rows(&["a", "b", "c", "d", "e"], 0));
    assert!(running.stop_latency() < Duration::from_millis(400));
    assert_eq!(accept(&inbox, &["f"]), Err(Refusal::Stopping));
}

#[test]
fn what_was_accepted_before_a_crash_is_read_after_it_from_the_position_of_the_commit() {
    let store = Arc::new(Disk::default());
    let (first, inbox) = running(&store, ROOMY, 0);
    accept(&inbox, &["a", "b", "c"]).unwrap();
    accept(&inbox, &["d", "e"]).unwrap();
    first.stop_latency();
    // The commit is in the middle of the first row: it stays, and is read from there.
    commit(&store, &inbox, 2);
    let (second, inbox) = running(&store, ROOMY, 2);
    assert_eq!(second.rows(3), rows(&["c", "d", "e"], 2));
    commit(&store, &inbox, 5);
    assert_eq!(inbox.statistics().records, 0);
    second.stop_latency();
    let (third, inbox) = running(&store, ROOMY, 5);
    assert_eq!(accept(&inbox, &["f"]).unwrap().first, 5);
    assert_eq!(third.rows(1), rows(&["f"], 5));
}

#[test]
fn records_that_are_gone_are_not_passed_over() {
    let store = Arc::new(Disk::default());
    let (running, inbox) = running(&store, ROOMY, 0);
    accept(&inbox, &["a", "b"]).unwrap();
    accept(&inbox, &["c"]).unwrap();
    accept(&inbox, &["d"]).unwrap();
    running.stop_latency();
    let positions = |position| {
        load(store.as_ref(), ROOMY, IntakeMetrics::default()).unwrap().begin_at(position)
    };
    assert!(positions(5).unwrap_err().to_string().contains("records 0 to 4"));
    let mut batch = WriteBatch::default();
    batch.delete(&keys::inbox(0));
    store.write(&batch, Durability::Synced).unwrap();
    assert!(positions(1).is_err() && positions(2).is_ok());
    batch.clear();
    batch.put(&keys::inbox(0), b"\x01");
    store.write(&batch, Durability::Synced).unwrap();
    assert!(
        load(store.as_ref(), ROOMY, IntakeMetrics::default())
            .unwrap_err()
            .to_string()
            .contains("record 0")
    );
    batch.clear();
    for first in [0, 2] {
        batch.delete(&keys::inbox(first));
    }
    batch.put(&keys::inbox(1), &store.get(&keys::inbox(3)).unwrap().unwrap());
    store.write(&batch, Durability::Synced).unwrap();
    assert!(
        load(store.as_ref(), ROOMY, IntakeMetrics::default())
            .unwrap_err()
            .to_string()
            .contains("gap before record 3")
    );
}

#[test]
fn a_full_inbox_refuses_until_a_commit_makes_room() {
    let store = Arc::new(Disk::default());
    let one = records(&["aaaa"]).stored_bytes() + ROW_OVERHEAD;
    let (running, inbox) = running(&store, 2 * one, 0);
    accept(&inbox, &["aaaa"]).unwrap();
    accept(&inbox, &["bbbb"]).unwrap();
    let full = Err(Refusal::Full { max_bytes: 2 * one });
    assert_eq!(accept(&inbox, &["cccc"]), full);
    assert_eq!(inbox.check_room(), Err(Refusal::Full { max_bytes: 2 * one }));
    let long = "x".repeat(usize::try_from(2 * one).unwrap());
    assert!(matches!(accept(&inbox, &[&long]), Err(Refusal::TooLarge { .. })));
    assert_eq!(running.rows(2).len(), 2);
    commit(&store, &inbox, 1);
    accept(&inbox, &["cccc"]).unwrap();
    assert_eq!(accept(&inbox, &["dddd"]), full);
    assert_eq!(running.rows(1), rows(&["cccc"], 2));
}

#[test]
fn a_full_disk_refuses_and_is_forgotten_when_there_is_room() {
    for keeps_failed in [false, true] {
        let store = Arc::new(Disk::default());
        let (first, inbox) = running(&store, ROOMY, 0);
        store.is_full.store(true, Ordering::Release);
        store.keeps_failed.store(keeps_failed, Ordering::Release);
        let name = |text: &str| Some(RequestName::new(text.as_bytes(), b""));
        let sent = futures::executor::block_on(inbox.accept(records(&["lost", "lost"]), name("1")));
        assert!(matches!(sent, Err(Refusal::Failed(_))), "{sent:?}");
        store.is_full.store(false, Ordering::Release);
        assert_eq!(accept(&inbox, &["a"]).unwrap().first, 0);
        assert_eq!(first.rows(1), rows(&["a"], 0));
        first.stop_latency();
        let (second, inbox) = running(&store, ROOMY, 0);
        assert_eq!(second.rows(1), rows(&["a"], 0));
        let sent = futures::executor::block_on(inbox.accept(records(&["b"]), name("1"))).unwrap();
        assert_eq!((sent.first, sent.is_repeated), (1, false), "the refused request is not known");
    }
}

#[test]
fn trouble_with_the_store_is_told_and_its_end_is_noticed_without_a_request() {
    let store = Arc::new(Disk::default());
    let health = Arc::new(Health::default());
    let (source, inbox) = source(&store, ROOMY, 0);
    let running = start(source.with_health(Arc::clone(&health)), 100);
    wait_for(|| inbox.check().is_ok());
    store.is_full.store(true, Ordering::Release);
    assert!(matches!(accept(&inbox, &["a"]), Err(Refusal::Failed(_))));
    assert!(health.is_in_trouble(Part::Intake));
    store.is_full.store(false, Ordering::Release);
    wait_for(|| !health.is_in_trouble(Part::Intake));
    assert_eq!(accept(&inbox, &["b"]).unwrap().first, 0);
    assert_eq!(running.rows(1), rows(&["b"], 0));
}

#[test]
fn a_store_that_takes_nothing_more_ends_the_source() {
    let store = Arc::new(Disk::default());
    let (running, inbox) = running(&store, ROOMY, 0);
    store.is_broken.store(true, Ordering::Release);
    assert!(matches!(accept(&inbox, &["a"]), Err(Refusal::Failed(_))));
    assert!(matches!(accept(&inbox, &["b"]), Err(Refusal::Failed(_))));
    let outcome = running.all().1.unwrap_err();
    assert!(outcome.to_string().contains("broken"), "{outcome}");
}

#[test]
fn a_request_is_known_again_also_after_a_restart() {
    let store = Arc::new(Disk::default());
    let name = Some(RequestName::new(b"one", b"body"));
    let (first, inbox) = running(&store, ROOMY, 0);
    let send =
        |inbox: &Inbox| futures::executor::block_on(inbox.accept(records(&["a", "b"]), name));
    assert!(!send(&inbox).unwrap().is_repeated);
    let repeated = Receipt { accepted: 2, first: 0, is_repeated: true };
    assert_eq!(send(&inbox), Ok(repeated));
    assert_eq!(first.rows(2), rows(&["a", "b"], 0));
    commit(&store, &inbox, 2);
    first.stop_latency();
    let (second, inbox) = running(&store, ROOMY, 2);
    assert_eq!(send(&inbox), Ok(repeated));
    let other = Some(RequestName::new(b"one", b"another body"));
    let answer = futures::executor::block_on(inbox.accept(records(&["a"]), other));
    assert_eq!(answer, Err(Refusal::OtherContent));
    accept(&inbox, &["c"]).unwrap();
    assert_eq!(second.rows(1), rows(&["c"], 2));
}

#[test]
fn requests_that_wait_are_written_together_and_commits_go_first() {
    let store = Arc::new(Disk::default());
    let (running, inbox) = running(&store, ROOMY, 0);
    let turn = inbox.commit_turn();
    let waiting: Vec<_> = (0..8)
        .map(|_| match inbox.submit(records(&["a"]), None).unwrap() {
            Admission::Waiting(outcome) => outcome,
            done @ Admission::Done(_) => panic!("{done:?}"),
        })
        .collect();
    assert!(store.get(&keys::inbox(0)).unwrap().is_none(), "the commit is not done");
    drop(turn);
    let firsts: Vec<u64> = waiting
        .into_iter()
        .map(|outcome| futures::executor::block_on(outcome).unwrap().unwrap().first)
        .collect();
    assert_eq!(firsts, (0..8).collect::<Vec<_>>());
    assert!(store.get(&keys::inbox(1)).unwrap().is_none(), "eight requests are one row");
    assert_eq!(running.rows(8).len(), 8);
}

#[test]
fn nothing_is_accepted_before_the_source_runs() {
    let store = Arc::new(Disk::default());
    let (source, inbox) = source(&store, ROOMY, 0);
    assert_eq!(accept(&inbox, &["a"]), Err(Refusal::Starting));
    let running = start(source, 100);
    wait_for(|| inbox.check().is_ok());
    accept(&inbox, &["a"]).unwrap();
    assert_eq!(running.rows(1), rows(&["a"], 0));
}

#[test]
fn what_the_queue_has_no_room_for_at_the_stop_is_read_by_the_next_run() {
    let store = Arc::new(Disk::default());
    let (source, inbox) = source(&store, ROOMY, 0);
    let stuck = start(source, 2);
    wait_for(|| inbox.check().is_ok());
    let texts: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    accept(&inbox, &texts).unwrap();
    stuck.wait_until_queue_is_full();
    stuck.stop_latency();
    // Of what was sent nothing is committed, so everything is read again.
    let (again, _) = running(&store, ROOMY, 0);
    assert_eq!(again.rows(30), rows(&texts, 0));
}

#[test]
fn what_is_not_committed_is_carried_over_into_a_new_state() {
    let (old, new) = (Arc::new(Disk::default()), Arc::new(Disk::default()));
    let (running_old, inbox) = running(&old, ROOMY, 0);
    accept(&inbox, &["a", "b", "c"]).unwrap();
    accept(&inbox, &["d"]).unwrap();
    running_old.stop_latency();
    assert_eq!(carry_over(old.as_ref(), 2, new.as_ref()).unwrap(), 2);
    let (running_new, inbox) = running(&new, ROOMY, 0);
    assert_eq!(running_new.rows(2), rows(&["c", "d"], 0));
    assert_eq!(accept(&inbox, &["e"]).unwrap().first, 2);
}

#[test]
fn the_position_is_that_of_the_inbox_whoever_filled_it() {
    let other = PartitionKey { source: SourceKind::File, name: "inbox".into(), partition: 0 };
    let mut stored = at(7);
    stored
        .push((PartitionKey { source: SourceKind::Otlp, ..stored[0].0.clone() }, Position::at(9)));
    stored.push((other, Position::at(99)));
    assert_eq!(position_in(&stored), Some(9));
    assert_eq!(position_in(&[]), None);
}

#[test]
fn records_say_when_they_were_accepted() {
    let store = Arc::new(Disk::default());
    let (running, inbox) = running(&store, ROOMY, 0);
    accept(&inbox, &["a"]).unwrap();
    let batch = loop {
        if let SourceEvent::Batch(batch) = running.next() {
            break batch;
        }
    };
    assert_eq!(batch.records[0].append_time_ms, Some(ManualClock::BEGIN_MS));
    assert_eq!((batch.received_ms, batch.origin.id), (ManualClock::BEGIN_MS, PartitionId(0)));
}
