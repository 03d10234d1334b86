//! Source, machine, driver and transactions together against a real broker, with a worker that only counts: whatever
//! happens to it, `read_committed` readers see every count once.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // in helpers of tests

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use crossbeam_channel::{Receiver, bounded};
use llm_optimizer_config::settings::{KafkaConsumerConfig, KafkaProducerConfig};
use llm_optimizer_engine::core::PartitionId;
use llm_optimizer_processor::{
    ProcessorResult,
    commit::{
        CommitNumber, CommitSettings,
        kafka::{ExitReason, KafkaCommitSettings, Progress, StartAt, TaskCut, TaskStart},
    },
    kafka::{
        CommitIoSettings, CommitRecords, Generation, GroupDesk, GroupMeta, InternalTopic,
        KafkaDriver, KafkaSource, KafkaSourceOptions, OffsetProgress, OrderNumber, Requirements,
        SourceMeta, TransactionSettings, WorkerOrder,
    },
    record::RecordBatch,
    sink::EncodedResult,
    source::{Source, SourceEvent, StopToken},
};
use support::{
    kafka::{Broker, PATIENCE, broker, fresh},
    results::record,
};

const KEY_GROUPS: u16 = 4;

/// What all processes of a test have in common.
#[derive(Clone)]
struct Plan {
    broker: Broker,
    input: String,
    output: String,
    group: String,
}

impl Plan {
    fn new(broker: &Broker, partitions: i32) -> Self {
        let (input, output) = (broker.topic(partitions), broker.topic(1));
        Self { broker: broker.clone(), input, output, group: fresh("group") }
    }

    fn changelog(&self) -> InternalTopic {
        InternalTopic::changelog(&self.group, "default", KEY_GROUPS).unwrap()
    }

    /// The counts that are visible, in the order in which they became so.
    fn visible(&self) -> Vec<(String, u64)> {
        let read = self.broker.read_to_end(&self.output);
        read.into_iter().map(|read| (read.key.unwrap(), read.value.parse().unwrap())).collect()
    }
}

/// A process that counts values by their last digit.
struct Counter {
    plan: Plan,
    driver: KafkaDriver,
    events: Receiver<SourceEvent>,
    stop: StopToken,
    source: Option<JoinHandle<ProcessorResult<()>>>,
    counts: BTreeMap<String, u64>,
    changed: BTreeSet<String>,
    positions: BTreeMap<PartitionId, i64>,
    wanted: BTreeMap<PartitionId, OrderNumber>,
    live: BTreeSet<PartitionId>,
    sequence: u64,
    is_paused: bool,
    moved: bool,
    acknowledged: Vec<CommitNumber>,
    failed: Vec<CommitNumber>,
    sent_again: Vec<CommitNumber>,
    starts: Vec<Vec<TaskStart>>,
    exit: Option<ExitReason>,
    is_finished: bool,
}

impl Counter {
    fn start(plan: &Plan, instance: &str) -> Self {
        Self::start_with(plan, instance, 1)
    }

    fn start_with(plan: &Plan, instance: &str, fingerprint: u64) -> Self {
        if std::env::var("RUST_LOG").is_ok() {
            let _ = tracing_subscriber::fmt()
                .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
                .try_init();
        }
        let id = format!("{}-{instance}", plan.group);
        let transaction = TransactionSettings {
            bootstrap_servers: plan.broker.servers.clone(),
            transactional_id: id,
            transaction_timeout: Duration::from_secs(6),
        };
        let settings = KafkaConsumerConfig {
            bootstrap_servers: plan.broker.servers.clone(),
            group_id: plan.group.clone(),
            topics: vec![plan.input.clone()],
            max_poll_records: 20,
            ..KafkaConsumerConfig::default()
        };
        let generation = Arc::new(Generation::default());
        let requirements = Requirements {
            transaction: transaction.clone(),
            producer: KafkaProducerConfig::default(),
            group: plan.group.clone(),
            session_timeout: Duration::from_secs(6),
            topics: vec![plan.changelog()],
            read: Some((plan.input.clone(), 0)),
            written: vec![plan.output.clone()],
            generation: Arc::clone(&generation),
        };
        let io = CommitIoSettings {
            producer: KafkaProducerConfig::default(),
            transaction,
            group: plan.group.clone(),
            instance_id: instance.to_owned(),
            changelogs: vec![plan.changelog().name],
            key_groups: KEY_GROUPS,
            generation,
            copy: None,
            fingerprint: None,
        };
        let commit = CommitSettings { interval_ms: 50, min_interval_ms: 10, max_bytes: 1 << 20 };
        let incarnation = uuid::Uuid::new_v4().as_u64_pair().0;
        let machine =
            KafkaCommitSettings::new(commit, instance.to_owned(), incarnation, fingerprint);
        let (desk, news) = GroupDesk::new();
        let driver = KafkaDriver::start(machine, io, None, Arc::clone(&desk), news).unwrap();
        let options = KafkaSourceOptions {
            instance_id: instance.to_owned(),
            until_end: false,
            max_record_bytes: 1 << 20,
        };
        let source =
            Box::new(KafkaSource::new(&settings, options).with_commits(desk, requirements));
        let (queue, events) = bounded(8);
        let stop = StopToken::default();
        let token = stop.clone();
        let source = std::thread::spawn(move || source.run(&queue, &token));
        Self {
            plan: plan.clone(),
            driver,
            events,
            stop,
            source: Some(source),
            counts: BTreeMap::new(),
            changed: BTreeSet::new(),
            positions: BTreeMap::new(),
            wanted: BTreeMap::new(),
            live: BTreeSet::new(),
            sequence: 0,
            is_paused: true,
            moved: false,
            acknowledged: Vec::new(),
            failed: Vec::new(),
            sent_again: Vec::new(),
            starts: Vec::new(),
            exit: None,
            is_finished: false,
        }
    }

    /// Works until `enough`.
    fn until(&mut self, what: &str, mut enough: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(self) {
            assert!(Instant::now() < deadline, "waited in vain: {what}");
            self.step();
        }
    }

    /// Works for `time`.
    fn during(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            self.step();
        }
    }

    fn step(&mut self) {
        self.progress();
        self.driver.take();
        self.obey();
        if self.is_paused {
            std::thread::sleep(Duration::from_millis(2));
        } else if let Ok(event) = self.events.recv_timeout(Duration::from_millis(2)) {
            self.read(event);
        }
    }

    fn progress(&mut self) {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let bytes = self.changed.len() as u64 * 100;
        self.driver.progress(i64::try_from(now).unwrap(), bytes, self.moved);
        self.obey();
    }

    fn obey(&mut self) {
        while let Some(order) = self.driver.next_order() {
            match order {
                WorkerOrder::Drop => {
                    self.counts.clear();
                    self.changed.clear();
                    self.positions.clear();
                    self.live.clear();
                    self.wanted.clear();
                    self.moved = false;
                }
                WorkerOrder::Begin { order, starts, rows } => {
                    for group in &rows.pipelines[0] {
                        for (key, value) in group.rows() {
                            let key = String::from_utf8(key[2..].to_vec()).unwrap();
                            self.counts.insert(key, u64::from_le_bytes(value.try_into().unwrap()));
                        }
                    }
                    self.sequence = rows.newest(0).map_or(0, |meta| meta.sequence);
                    self.go_on(order, starts);
                }
                WorkerOrder::GoOn { order, starts } => self.go_on(order, starts),
                WorkerOrder::Cut(number) => self.cut(number),
                WorkerOrder::Acknowledged(number) => self.acknowledged.push(number),
                WorkerOrder::Pause => self.is_paused = true,
                WorkerOrder::Resume => self.is_paused = false,
                WorkerOrder::Shrunk(_) => {}
                WorkerOrder::Failed(number) => self.failed.push(number),
                WorkerOrder::SentAgain(number) => self.sent_again.push(number),
                WorkerOrder::Finished => self.is_finished = true,
                WorkerOrder::Exit(reason) => self.exit = Some(reason),
            }
        }
    }

    fn go_on(&mut self, order: OrderNumber, starts: Vec<TaskStart>) {
        for start in &starts {
            self.live.remove(&start.partition);
            self.wanted.insert(start.partition, order);
            let position = match start.position {
                StartAt::Offset(position) => position,
                StartAt::Configured | StartAt::Beginning => 0,
            };
            self.positions.insert(start.partition, position);
        }
        self.starts.push(starts);
    }

    fn read(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Assigned(origins) => {
                for origin in origins {
                    let order = self.wanted.get(&origin.id).copied();
                    let begun = order.and_then(|order| self.driver.begun_at(&origin, order));
                    if let Some(position) = begun {
                        self.live.insert(origin.id);
                        self.positions.insert(origin.id, position);
                    }
                }
            }
            SourceEvent::Batch(batch) if self.live.contains(&batch.origin.id) => self.count(&batch),
            _ => {}
        }
    }

    fn count(&mut self, batch: &RecordBatch) {
        for record in &batch.records {
            let value = std::str::from_utf8(batch.bytes(&record.payload)).unwrap();
            let key = value[value.len() - 1..].to_owned();
            *self.counts.entry(key.clone()).or_default() += 1;
            self.changed.insert(key);
        }
        self.positions.insert(batch.origin.id, batch.next_position.offset);
        self.moved = true;
    }

    fn cut(&mut self, number: CommitNumber) {
        let (changelog, output): (Arc<str>, Arc<str>) =
            (self.plan.changelog().name.as_str().into(), self.plan.output.as_str().into());
        let mut records = CommitRecords::default();
        for key in std::mem::take(&mut self.changed) {
            let group = u16::from(key.as_bytes()[0]) % KEY_GROUPS;
            let row_key = [&group.to_be_bytes(), key.as_bytes()].concat();
            let count = self.counts[&key];
            records.push_row(&changelog, group, &row_key, Some(&count.to_le_bytes()));
            records.push_result(&output, &result(&key, count));
        }
        self.sequence += 1;
        let progress = OffsetProgress::default();
        let source = |(id, to): (&PartitionId, &i64)| {
            let (topic, partition) = self.driver.partition(*id).unwrap().clone();
            SourceMeta { topic, partition, to: *to, progress }
        };
        let sources = self.positions.iter().map(source).collect();
        let meta =
            GroupMeta { sequence: self.sequence, fingerprint: 1, sources, ..GroupMeta::default() };
        records.push_meta(&changelog, 0, &meta);
        let task = |(id, position): (&PartitionId, &i64)| TaskCut {
            partition: *id,
            position: *position,
            progress: Progress { watermarks: vec![Some(*position)], ..Progress::default() },
        };
        let tasks = self.positions.iter().map(task).collect();
        self.moved = false;
        self.driver.frozen(number, records, tasks);
    }

    fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Ends in order.
    fn finish(mut self) {
        self.progress();
        self.driver.shutdown();
        self.obey();
        self.until("the last commit", |counter| counter.is_finished);
        self.stop();
    }

    /// Ends at once, in the middle of whatever is under way.
    fn crash(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.stop.stop();
        while self.events.recv_timeout(Duration::from_secs(10)).is_ok() {}
        if let Some(source) = self.source.take() {
            source.join().unwrap().unwrap();
        }
    }
}

fn result(key: &str, count: u64) -> EncodedResult {
    EncodedResult { record: record(key), json: count.to_string().into_bytes() }
}

/// Every key's counts grow, and end with the true one.
fn assert_counted_once(visible: &[(String, u64)], truth: &BTreeMap<String, u64>) {
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for (key, count) in visible {
        let before = last.insert(key.clone(), *count).unwrap_or(0);
        assert!(before < *count, "key {key}: {count} after {before}");
    }
    assert_eq!(&last, truth);
}

fn truth(values: impl Iterator<Item = u64>) -> BTreeMap<String, u64> {
    let mut truth = BTreeMap::new();
    for value in values {
        *truth.entry((value % 10).to_string()).or_default() += 1;
    }
    truth
}

#[test]
fn a_process_that_ends_in_order_is_followed_where_it_stopped() {
    let Some(broker) = broker() else { return };
    let plan = Plan::new(&broker, 2);
    plan.broker.produce(&plan.input, 0, 0..50);
    plan.broker.produce(&plan.input, 1, 50..100);
    let mut first = Counter::start(&plan, "one");
    first.until("the first hundred", |counter| counter.total() == 100);
    first.finish();
    let count = broker.count(&plan.output);

    plan.broker.produce(&plan.input, 1, 100..150);
    let mut second = Counter::start(&plan, "one");
    second.until("the rest", |counter| counter.total() == 150);
    let starts = &second.starts[0];
    assert!(starts.iter().all(|start| start.position == StartAt::Offset(50)), "{starts:?}");
    assert!(
        starts.iter().all(|start| start.progress.as_ref().unwrap().watermarks == [Some(50)]),
        "{starts:?}"
    );
    second.finish();
    assert!(broker.count(&plan.output) > count);
    assert_counted_once(&plan.visible(), &truth(0..150));
}

#[test]
fn crashes_at_any_moment_lose_nothing_and_repeat_nothing() {
    let Some(broker) = broker() else { return };
    let plan = Plan::new(&broker, 2);
    let mut produced = 0_u64;
    for round in 0..6_u64 {
        for partition in 0..2 {
            plan.broker.produce(&plan.input, partition, produced..produced + 100);
            produced += 100;
        }
        let mut counter = Counter::start(&plan, "one");
        counter.until("it counts", |counter| counter.total() > produced - 200);
        counter.during(Duration::from_millis(round * 17));
        counter.crash();
    }
    let mut last = Counter::start(&plan, "one");
    last.until("everything is counted", |counter| counter.total() == produced);
    last.finish();
    assert_counted_once(&plan.visible(), &truth(0..produced));
}

#[test]
fn a_brief_outage_of_the_broker_ends_no_process() {
    let Some(own) = support::kafka::own_broker() else { return };
    let plan = Plan::new(&own.broker, 1);
    own.broker.produce(&plan.input, 0, 0..100);
    let mut counter = Counter::start(&plan, "one");
    counter.until("the first hundred", |counter| {
        counter.total() == 100 && !counter.acknowledged.is_empty()
    });
    own.stop();
    counter.during(Duration::from_secs(2));
    own.start();
    own.broker.produce(&plan.input, 0, 100..200);
    counter.until("it goes on", |counter| counter.total() == 200);
    assert!(counter.sent_again.iter().all(|number| counter.failed.contains(number)));
    assert_eq!(counter.exit, None);
    counter.finish();
    assert_counted_once(&plan.visible(), &truth(0..200));
}

#[test]
fn a_configuration_that_does_not_fit_the_state_is_refused() {
    let Some(broker) = broker() else { return };
    let plan = Plan::new(&broker, 1);
    plan.broker.produce(&plan.input, 0, 0..10);
    let mut first = Counter::start(&plan, "one");
    first.until("ten", |counter| counter.total() == 10);
    first.finish();
    let mut other = Counter::start_with(&plan, "one", 2);
    other.until("it is refused", |counter| counter.exit.is_some());
    assert!(
        matches!(other.exit, Some(ExitReason::FingerprintDiffers { stored: 1, configured: 2 })),
        "{:?}",
        other.exit
    );
    other.crash();
}

#[test]
fn a_second_instance_takes_over_when_the_first_dies() {
    let Some(broker) = broker() else { return };
    let plan = Plan::new(&broker, 2);
    plan.broker.produce(&plan.input, 0, 0..100);
    let mut first = Counter::start(&plan, "one");
    first.until("the first hundred", |counter| counter.total() == 100);
    first.crash();
    plan.broker.produce(&plan.input, 1, 100..200);
    // It waits for the first one's session to end.
    let mut second = Counter::start(&plan, "two");
    second.until("the rest", |counter| counter.total() == 200);
    second.finish();
    assert_counted_once(&plan.visible(), &truth(0..200));
}

#[test]
fn records_deleted_before_they_were_read_end_the_run() {
    let Some(broker) = broker() else { return };
    let plan = Plan::new(&broker, 1);
    plan.broker.produce(&plan.input, 0, 0..10);
    let mut first = Counter::start(&plan, "one");
    first.until("ten", |counter| counter.total() == 10);
    first.finish();
    plan.broker.produce(&plan.input, 0, 10..20);
    plan.broker.delete_records(&plan.input, 0, 15);
    let mut second = Counter::start(&plan, "one");
    second.until("it ends", |counter| counter.exit.is_some());
    assert!(
        matches!(second.exit, Some(ExitReason::PositionGone { position: 10, log_start: 15, .. })),
        "{:?}",
        second.exit
    );
    second.crash();
}
