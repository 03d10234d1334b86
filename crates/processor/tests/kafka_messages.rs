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
    let said = ["127.0.0.1:1", "no kafka broker answers", "check bootstrap"];
    run.until("the line", |_| lines.count(&said) > 0);
    run.during(Duration::from_secs(4));
    run.stop().1.unwrap();
    assert_eq!(lines.count(&said), 1);
    assert_eq!(lines.count(&["127.0.0.1:1"]), 1, "and nothing else");
}

#[test]
fn an_absent_topic_is_named_and_where_a_restart_begins_is_said() {
    let Some(broker) = broker() else { return };
    let lines = Lines::of_all();
    let topic = fresh("topic");
    let mut run = SourceRun::start(&settings(&broker, &[&topic]), options(), 16);
    let said = ["WARN", "a topic does not exist", "create it", topic.as_str()];
    run.until("the line", |_| lines.count(&said) > 0);
    run.during(Duration::from_secs(1));
    assert_eq!(lines.count(&said), 1);
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
    let said = [servers.as_str(), "no kafka broker answers"];
    run.until("the line", |_| lines.count(&said) > 0);
    run.during(Duration::from_secs(2));
    assert_eq!(lines.count(&said), 1);
    own.start();
    own.broker.produce(&topic, 0, 10..20);
    let said = [servers.as_str(), "kafka answers again"];
    run.until("the rest, and that it is over", |seen| seen.count() == 20 && lines.count(&said) > 0);
    assert_eq!(lines.count(&said), 1);
}
