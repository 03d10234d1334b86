//! From a file to topics, the process killed again and again: nothing is lost, what comes again is the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    io::Write,
};

use llm_optimizer_processor::commit::{CRASH_POINT_VARIABLE, CrashPoint};
use llm_optimizer_sim::{
    cases::{Traffic, write_events},
    compare::{check_revisions, compare, compare_sides},
    oracle::Window,
    records::{RecordsOutcome, read_lines, recompute_records},
};

use super::{
    MAX_RECORD_BYTES, Topics, as_lines,
    support::{
        binary::{Workplace, query},
        kafka::{Broker, Read, broker, wait_until},
    },
};

/// Passed once per life, before anything is read.
const RECOVERY: [CrashPoint; 3] =
    [CrashPoint::BeforeTruncation, CrashPoint::AfterTruncation, CrashPoint::AfterRecovery];

const WINDOW: Window = Window::Sliding { size_ms: 60_000, slide_ms: 20_000, offset_ms: 0 };

/// A file that grows, the topics it is counted into, and what must be there in the end.
struct Case {
    broker: Broker,
    topics: Topics,
    place: Workplace,
    expected: RecordsOutcome,
    events: Vec<u8>,
}

impl Case {
    fn new(events: usize) -> Option<Self> {
        let broker = broker()?;
        let topics = Topics::new(&broker);
        let (mut config, query) = query(WINDOW, 5_000);
        config.max_record_bytes = MAX_RECORD_BYTES;
        let (servers, Topics { results, late, dead, .. }) = (&broker.servers, &topics);
        let place = Workplace::new(&format!(
            "processor:
  source: {{ type: file, path: events.ndjson, follow: true }}
  sinks: [ {{ type: kafka }} ]
  side_outputs: {{ late: {{ type: kafka, topic: {late} }}, dead_letter: {{ type: kafka, topic: {dead} }} }}
  kafka: {{ producer: {{ bootstrap_servers: \"{servers}\", result_topic: {results} }} }}
  limits: {{ max_record_bytes: {MAX_RECORD_BYTES} }}
  state: {{ path: state }}
  buffer_size: 50
  commit_interval_ms: 10
  commit_min_interval_ms: 1
  max_commit_bytes: 5000
{query}"
        ));
        let max_record_bytes = MAX_RECORD_BYTES;
        let traffic = Traffic { malformed_percent: 0.2, max_record_bytes, ..Traffic::default() };
        let path = place.path("events.ndjson");
        write_events(&path, events, 9, &traffic).unwrap();
        let expected = recompute_records(&config, vec![read_lines(&path).unwrap()]);
        let events = std::fs::read(&path).unwrap();
        place.write("events.ndjson", b"");
        Some(Self { broker, topics, place, expected, events })
    }

    /// Lets the file grow by one part per life; a life ends at `points` in turn, or, for `None`, as soon as results come.
    fn live(&self, points: &[Option<CrashPoint>], env: &[(&str, &str)]) {
        let path = self.place.path("events.ndjson");
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        // Lines are torn, and the last part is left for the run that ends.
        let mut parts = self.events.chunks(self.events.len() / (points.len() + 1));
        for point in points {
            let before = self.broker.count(&self.topics.results);
            let times = |point: CrashPoint| if RECOVERY.contains(&point) { 1 } else { 2 };
            let at = point.map(|point| format!("{point}:{}", times(point)));
            let crash = at.as_deref().map(|at| (CRASH_POINT_VARIABLE, at));
            let env: Vec<_> = env.iter().copied().chain(crash).collect();
            let running = self.place.start_with(&[], &env);
            file.write_all(parts.next().unwrap()).unwrap();
            if point.is_some() {
                assert_eq!(running.wait(), None, "{point:?}: {}", self.place.read("log.txt"));
            } else {
                wait_until("results", || self.broker.count(&self.topics.results) > before);
                assert!(running.kill(), "a followed file does not end");
            }
        }
        parts.for_each(|part| file.write_all(part).unwrap());
        let output = self.place.run(&[], &[("PROCESSOR_SOURCE__FOLLOW", "false")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What is wrong with the topics, and how many results came again.
    fn differences(&self) -> (Vec<String>, usize) {
        let Self { broker, topics, expected, .. } = self;
        let results = broker.read_to_end(&topics.results);
        let (first, again) = once(&results, |read| field(read, "/result_id"));
        let window = |read| (field(read, "/window_id"), field(read, "/pane/revision"));
        let revisions: BTreeSet<_> = first.iter().map(|read| window(read)).collect();
        assert_eq!(revisions.len(), first.len(), "a revision has one result_id");
        let first = lines(&first);
        let mut differences = compare(&first, expected);
        differences.extend(check_revisions(&first, false));
        let sides = [&topics.late, &topics.dead].map(|topic| {
            let reads = broker.read_to_end(topic);
            as_lines(once(&reads, |read| read.header("offset").unwrap()).0)
        });
        differences.extend(compare_sides(&sides[0], &sides[1], expected));
        // Who reads all of it and keeps the last of each window has the same.
        differences.extend(compare(&lines(&results.iter().collect::<Vec<_>>()), expected));
        (differences, again)
    }
}

fn lines(reads: &[&Read]) -> String {
    reads.iter().map(|read| read.value.as_str()).collect::<Vec<_>>().join("\n")
}

/// The first record of each `id`, in their order, and how many came again; those must be the same.
fn once<'a>(reads: &'a [Read], id: impl Fn(&'a Read) -> String) -> (Vec<&'a Read>, usize) {
    let mut seen = BTreeMap::new();
    let (mut first, mut again) = (Vec::new(), 0);
    for read in reads {
        let same = seen.entry(id(read)).or_insert(&read.bytes);
        assert_eq!(*same, &read.bytes, "what comes again is the same");
        if std::ptr::eq(*same, &raw const read.bytes) {
            first.push(read);
        } else {
            again += 1;
        }
    }
    (first, again)
}

/// A field of a result.
fn field(read: &Read, pointer: &str) -> String {
    let record: serde_json::Value = serde_json::from_str(&read.value).unwrap();
    record.pointer(pointer).unwrap().to_string()
}

#[test]
fn topics_that_are_fed_from_a_file_miss_nothing_after_kills_and_repeat_only_what_they_had() {
    let Some(case) = Case::new(12_000) else { return };
    // A topic is not cut back, and no line of it is written in halves.
    let is_passed = |point: &CrashPoint| *point != CrashPoint::DuringSinkWrite;
    let points = CrashPoint::EMBEDDED.into_iter().filter(is_passed);
    let mut ends: Vec<Option<CrashPoint>> = points.map(Some).collect();
    (0..4).for_each(|kill| ends.insert(kill * 3, None));
    case.live(&ends, &[]);
    let (differences, again) = case.differences();
    let some = &differences[..differences.len().min(5)];
    assert!(differences.is_empty(), "{} differences: {some:#?}", differences.len());
    assert!(again > 0, "no kill fell between the topic and its cursor: nothing is shown");
}

/// The control of the test above.
#[test]
fn a_cursor_that_is_ahead_of_its_topic_is_found() {
    let Some(case) = Case::new(4_000) else { return };
    let planted = [("PROCESSOR_PLANTED_FAULT", "cursor_before_write")];
    case.live(&[Some(CrashPoint::BeforeSinkWrite)], &planted);
    assert!(!case.differences().0.is_empty(), "what was lost is not missed");
}
