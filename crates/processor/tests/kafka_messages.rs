//! What the log says while Kafka is not as it should be: once, what happened and what to do.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used)] // in helpers of tests

mod support;

use std::{
    io::Write,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use support::{
    kafka::{Broker, broker, fresh, own_broker},
    source_run::{SourceRun, options, settings},
};

/// Log lines of this process.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The log of all tests in this file.
    fn of_all() -> Self {
        static ALL: OnceLock<Lines> = OnceLock::new();
        let all = ALL.get_or_init(|| {
            let lines = Self::default();
            let writer = lines.clone();
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(tracing::Level::INFO)
                .with_writer(move || writer.clone())
                .init();
            lines
        });
        all.clone()
    }

    /// Number of lines that hold all of `words`.
    fn count(&self, words: &[&str]) -> usize {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }
}

#[test]
fn an_absent_broker_is_said_once_with_what_to_do() {
    let lines = Lines::of_all();
    let absent = Broker { servers: "127.0.0.1:1".into() };
    let mut run = SourceRun::start(&settings(&absent, &["topic"]), options(), 16);
    run.during(Duration::from_secs(8));
    run.stop().1.unwrap();
    assert_eq!(lines.count(&["127.0.0.1:1", "no kafka broker answers", "check bootstrap"]), 1);
    assert_eq!(lines.count(&["127.0.0.1:1"]), 1, "and nothing else");
}

#[test]
fn an_absent_topic_is_named_and_where_a_restart_begins_is_said() {
    let Some(broker) = broker() else { return };
    let lines = Lines::of_all();
    let topic = fresh("topic");
    let mut run = SourceRun::start(&settings(&broker, &[&topic]), options(), 16);
    run.during(Duration::from_secs(2));
    assert_eq!(lines.count(&["WARN", "a topic does not exist", "create it", &topic]), 1);
    assert_eq!(lines.count(&[&topic, "every restart begin at `earliest`"]), 1);
    broker.create(&topic, 1, &[]);
    run.until("assignment", |seen| !seen.assigned.is_empty());
    assert_eq!(lines.count(&[&topic, "reading from kafka"]), 1);
}

#[test]
fn an_outage_is_said_once_and_so_is_its_end() {
    let Some(own) = own_broker() else { return };
    let lines = Lines::of_all();
    let topic = own.broker.topic(1);
    let servers = &own.broker.servers;
    own.broker.produce(&topic, 0, 0..10);
    let mut run = SourceRun::start(&settings(&own.broker, &[&topic]), options(), 16);
    run.until("the records", |seen| seen.count() == 10);
    own.stop();
    run.during(Duration::from_secs(3));
    assert_eq!(lines.count(&[servers, "no kafka broker answers"]), 1);
    own.start();
    own.broker.produce(&topic, 0, 10..20);
    run.until("the rest", |seen| seen.count() == 20);
    assert_eq!(lines.count(&[servers, "kafka answers again"]), 1);
}
