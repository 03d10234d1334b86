//! Topics of one run of the binary, filled in parts, and what must come out of all of it.

use llm_optimizer_sim::{
    cases::{EventLines, Traffic},
    compare::compare,
    records::{LogRecord, RecordsConfig, RecordsOutcome, recompute_records},
};

use super::{
    binary::Workplace,
    kafka::{Broker, fresh, wait_until},
};

pub(crate) const PARTITIONS: i32 = 2;

/// A topic that is read, one that is written, the group, and what was written so far.
pub(crate) struct Scene {
    pub(crate) broker: Broker,
    pub(crate) input: String,
    pub(crate) results: String,
    pub(crate) group: String,
    lines: Vec<Vec<Vec<u8>>>,
}

impl Scene {
    /// `per_partition` records, of which nothing is written yet.
    pub(crate) fn new(broker: Broker, per_partition: usize) -> Self {
        let lines = |partition: i32| {
            let traffic = Traffic { malformed_percent: 0.2, ..Traffic::default() };
            let seed = 700 + u64::try_from(partition).unwrap();
            EventLines::new(seed, traffic).take(per_partition).collect()
        };
        Self {
            input: broker.topic(PARTITIONS),
            results: broker.topic(1),
            group: fresh("group"),
            lines: (0..PARTITIONS).map(lines).collect(),
            broker,
        }
    }

    /// The changelog of the group's first state.
    pub(crate) fn changelog(&self) -> String {
        format!("{}-default-changelog", self.group)
    }

    /// The configuration; `query` is that of the windows, `more` goes below `processor:`.
    pub(crate) fn yaml(&self, query: &str, more: &str) -> String {
        let (servers, group) = (&self.broker.servers, &self.group);
        let Self { input, results, .. } = self;
        // A live run: neither idleness nor the clock takes part.
        let query = query.replace(
            "max_out_of_orderness_secs: 5",
            "max_out_of_orderness_secs: 5, idle_timeout_secs: 0, max_future_skew_secs: 100000000",
        );
        format!(
            "processor:
  source: {{ type: kafka }}
  sinks: [ {{ type: kafka }} ]
  key_groups: 8
  commit_interval_ms: 50
  kafka:
    consumer: {{ bootstrap_servers: \"{servers}\", group_id: {group}, topics: [{input}], max_poll_records: 100 }}
    producer: {{ bootstrap_servers: \"{servers}\", result_topic: {results} }}
{more}{query}"
        )
    }

    /// Writes the records from one index to before another, in every partition.
    pub(crate) fn produce(&self, from: usize, to: usize) {
        for (partition, lines) in (0..PARTITIONS).zip(&self.lines) {
            self.broker.produce_bytes(&self.input, partition, &lines[from..to]);
        }
    }

    /// Runs live until `per_partition` records of each partition are committed, then ends the run in order, and gives its log.
    pub(crate) fn run_until(
        &self,
        place: &Workplace,
        flags: &[&str],
        per_partition: usize,
    ) -> String {
        let child = place.start(flags);
        wait_until("what was produced is committed", || {
            let committed = self.broker.committed(&self.group, &self.input, PARTITIONS);
            committed == i64::try_from(per_partition).unwrap() * i64::from(PARTITIONS)
        });
        child.terminate();
        let code = child.wait();
        let log = place.read("log.txt");
        assert_eq!(code, Some(0), "{log}");
        log
    }

    /// Runs to the end of the input and gives the log.
    pub(crate) fn run_to_end(place: &Workplace, flags: &[&str]) -> String {
        let flags: Vec<&str> = ["--until-end"].iter().chain(flags).copied().collect();
        let output = place.run(&flags, &[]);
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{log}");
        log
    }

    /// What must come out of all that there is.
    pub(crate) fn expected(&self, config: &RecordsConfig) -> RecordsOutcome {
        let log = |lines: &Vec<Vec<u8>>| {
            let numbered = (0..).zip(lines.iter().cloned());
            numbered.map(|(offset, bytes)| LogRecord { offset, line: None, bytes }).collect()
        };
        recompute_records(config, self.lines.iter().map(log).collect())
    }

    /// Every result of `topic` is there once, and they are those of a run that was never interrupted.
    pub(crate) fn must_be_exactly_once(&self, topic: &str, config: &RecordsConfig) {
        let lines: Vec<String> =
            self.broker.read_to_end(topic).into_iter().map(|read| read.value).collect();
        let ids: std::collections::BTreeSet<String> = lines
            .iter()
            .map(|line| {
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                record["result_id"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(ids.len(), lines.len(), "results are there twice");
        let differences = compare(&lines.join("\n"), &self.expected(config));
        let some = &differences[..differences.len().min(5)];
        assert!(differences.is_empty(), "{} differences: {some:#?}", differences.len());
    }
}

/// The number after `name=` in the line of `log` that contains `text`.
pub(crate) fn logged(log: &str, text: &str, name: &str) -> u64 {
    let line = log.lines().find(|line| line.contains(text));
    let line = line.unwrap_or_else(|| panic!("no line with `{text}`:\n{log}"));
    let plain: String = strip(line);
    let start = plain.find(&format!("{name}=")).unwrap_or_else(|| panic!("no {name} in {plain}"));
    let digits = plain[start + name.len() + 1..].chars().take_while(char::is_ascii_digit);
    digits.collect::<String>().parse().unwrap()
}

/// A line without colours.
fn strip(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            let _ = rest.by_ref().find(|c| *c == 'm');
        } else {
            plain.push(c);
        }
    }
    plain
}
