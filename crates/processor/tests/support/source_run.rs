//! A Kafka source that runs on its thread, and what it has told so far.

use std::{
    collections::BTreeMap,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, bounded};
use llm_optimizer_config::settings::KafkaConsumerConfig;
use llm_optimizer_processor::{
    ProcessorResult,
    kafka::{KafkaSource, KafkaSourceOptions},
    record::RecordBatch,
    source::{PartitionPauses, Source, SourceEvent, StopToken},
};

use super::kafka::{Broker, PATIENCE, fresh};

/// (topic, partition).
pub(crate) type Place = (String, i32);

/// A running source.
pub(crate) struct SourceRun {
    pub(crate) events: Receiver<SourceEvent>,
    pub(crate) stop: StopToken,
    thread: Option<JoinHandle<ProcessorResult<()>>>,
    places: Vec<Place>,
    pub(crate) seen: Seen,
}

/// What a source has told.
#[derive(Default)]
pub(crate) struct Seen {
    /// The lists of `Assigned` events.
    pub(crate) assigned: Vec<Vec<Place>>,
    /// Values of each partition in the order they came.
    pub(crate) values: BTreeMap<Place, Vec<String>>,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) caught_up: Vec<Place>,
    pub(crate) behind: Vec<Place>,
    pub(crate) ended: Vec<Place>,
    pub(crate) revoked: usize,
}

/// Settings for a group of the test's own.
pub(crate) fn settings(broker: &Broker, topics: &[&str]) -> KafkaConsumerConfig {
    KafkaConsumerConfig {
        bootstrap_servers: broker.servers.clone(),
        group_id: fresh("group"),
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        max_poll_records: 100,
        ..KafkaConsumerConfig::default()
    }
}

/// Options of an instance that reads for ever.
pub(crate) fn options() -> KafkaSourceOptions {
    KafkaSourceOptions { instance_id: "one".into(), until_end: false, max_record_bytes: 1 << 20 }
}

impl SourceRun {
    /// Starts a source with a queue of `capacity` events.
    pub(crate) fn start(
        settings: &KafkaConsumerConfig,
        options: KafkaSourceOptions,
        capacity: usize,
    ) -> Self {
        Self::start_paused(settings, options, capacity, PartitionPauses::default())
    }

    /// The same with a say in which partitions are read.
    pub(crate) fn start_paused(
        settings: &KafkaConsumerConfig,
        options: KafkaSourceOptions,
        capacity: usize,
        pauses: PartitionPauses,
    ) -> Self {
        let source = Box::new(KafkaSource::new(settings, options).with_pauses(pauses));
        let (queue, events) = bounded(capacity);
        let stop = StopToken::default();
        let token = stop.clone();
        let thread = std::thread::spawn(move || source.run(&queue, &token));
        Self { events, stop, thread: Some(thread), places: Vec::new(), seen: Seen::default() }
    }

    /// Takes events until `enough`, at most [`PATIENCE`].
    pub(crate) fn until(&mut self, what: &str, enough: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(&self.seen) {
            assert!(Instant::now() < deadline, "waited in vain: {what}; {}", self.summary());
            match self.events.recv_timeout(Duration::from_millis(100)) {
                Ok(event) => self.take(event),
                Err(error) if error.is_disconnected() => {
                    panic!("the source ended early ({what}): {:?}", self.join())
                }
                Err(_) => {}
            }
        }
    }

    /// Takes events for `time`: for showing that nothing comes.
    pub(crate) fn during(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while let Ok(event) = self.events.recv_deadline(deadline) {
            self.take(event);
        }
    }

    /// Takes events until the source ends by itself.
    pub(crate) fn until_end(&mut self) -> ProcessorResult<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.events.recv_deadline(deadline) {
                Ok(event) => self.take(event),
                Err(error) if error.is_timeout() => panic!("does not end; {}", self.summary()),
                Err(_) => return self.join(),
            }
        }
    }

    /// Stops the source and gives what it returned and how long that took.
    pub(crate) fn stop(mut self) -> (Duration, ProcessorResult<()>) {
        let begun = Instant::now();
        self.stop.stop();
        let result = self.join();
        (begun.elapsed(), result)
    }

    fn join(&mut self) -> ProcessorResult<()> {
        self.thread.take().expect("it is joined once").join().expect("the source does not panic")
    }

    fn summary(&self) -> String {
        let counts: Vec<_> = self.seen.values.iter().map(|(at, all)| (at, all.len())).collect();
        format!("assigned {:?}, records {counts:?}", self.seen.assigned)
    }

    fn take(&mut self, event: SourceEvent) {
        let place = |places: &[Place], id: u32| places[usize::try_from(id).unwrap()].clone();
        match event {
            SourceEvent::Assigned(origins) => {
                for origin in &origins {
                    // Ids are handed out from 0, each partition in its turn.
                    assert_eq!(usize::try_from(origin.id.0).unwrap(), self.places.len());
                    self.places.push((origin.name.clone(), origin.partition));
                }
                let names = origins.iter().map(|o| (o.name.clone(), o.partition)).collect();
                self.seen.assigned.push(names);
            }
            SourceEvent::Revoked(_) => self.seen.revoked += 1,
            SourceEvent::Batch(batch) => {
                let at = (batch.origin.name.clone(), batch.origin.partition);
                assert!(self.places.contains(&at), "a batch before its assignment");
                let values = self.seen.values.entry(at).or_default();
                values.extend(batch.records.iter().map(|record| {
                    String::from_utf8(batch.bytes(&record.payload).to_vec()).unwrap()
                }));
                self.seen.batches.push(batch);
            }
            SourceEvent::CaughtUp(id) => self.seen.caught_up.push(place(&self.places, id.0)),
            SourceEvent::Behind(id) => self.seen.behind.push(place(&self.places, id.0)),
            SourceEvent::Ended(id) => self.seen.ended.push(place(&self.places, id.0)),
        }
    }
}

impl Drop for SourceRun {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            // A failed test has said why already.
            let _ = thread.join();
        }
    }
}

impl Seen {
    /// Number of records.
    pub(crate) fn count(&self) -> usize {
        self.values.values().map(Vec::len).sum()
    }

    /// Values of one partition.
    pub(crate) fn of(&self, topic: &str, partition: i32) -> &[String] {
        self.values.get(&(topic.to_owned(), partition)).map_or(&[], Vec::as_slice)
    }
}

/// The values `0..count` as they are written.
pub(crate) fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}
