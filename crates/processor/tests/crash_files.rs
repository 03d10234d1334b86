//! The real binary from file to file, killed again and again: what it leaves equals what a run that was
//! never killed leaves, and what the oracle says.
//!
//! `CRASH_KILLS` kills per case (6) from `CRASH_SEED` (1); `scripts/crash-test` runs many.
#![cfg(test)]

#[path = "crash_files/failing_sync.rs"]
mod failing_sync;
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    io::Write,
    thread,
    time::Duration,
};

use llm_optimizer_processor::commit::CrashPoint;
use llm_optimizer_sim::{
    cases::{Traffic, write_events},
    compare::{check_revisions, compare, compare_sides},
    oracle::Window,
    records::{RecordsOutcome, read_lines, recompute_records},
};
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use support::binary::{FILES, Workplace, query};

const KEPT: &str = "  buffer_size: 200\n  state: { path: state }\n  commit_interval_ms: 20\n  commit_min_interval_ms: 1\n  max_commit_bytes: 200000\n";

const WINDOWS: [(&str, Window); 3] = [
    ("tumbling", Window::Tumbling { size_ms: 60_000, offset_ms: 7_500 }),
    ("sliding", Window::Sliding { size_ms: 60_000, slide_ms: 20_000, offset_ms: 0 }),
    ("session", Window::Session { gap_ms: 1_500 }),
];

/// How a process ends.
type End = Vec<(&'static str, String)>;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A place with events, the kept state and what is expected at the end.
struct Case {
    place: Workplace,
    kept: String,
    expected: RecordsOutcome,
    events: Vec<u8>,
    sessions: bool,
}

impl Case {
    fn new(window: Window, events: usize, seed: u64) -> Self {
        Self::kept(KEPT.to_owned(), window, events, seed)
    }

    /// With state as `kept` says.
    fn kept(kept: String, window: Window, events: usize, seed: u64) -> Self {
        let (config, yaml) = query(window, 10_000);
        let place = Workplace::new(&format!("{FILES}{kept}{yaml}"));
        let traffic = Traffic { malformed_percent: 0.2, ..Traffic::default() };
        write_events(&place.path("events.ndjson"), events, seed, &traffic).unwrap();
        let log = read_lines(&place.path("events.ndjson")).unwrap();
        let expected = recompute_records(&config, vec![log]);
        assert!(expected.counts().late > 10 && expected.counts().dead_lettered > 5);
        let events = std::fs::read(place.path("events.ndjson")).unwrap();
        let sessions = matches!(window, Window::Session { .. });
        Self { place, kept, expected, events, sessions }
    }

    /// A run with `env`, to its own end or its crash.
    fn run(&self, env: &[(&str, &str)]) -> bool {
        let output = self.place.run(&[], env);
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let crashed = output.status.code().is_none();
        assert!(crashed || output.status.success(), "{log}");
        !crashed
    }

    /// What is wrong with what lies there.
    fn differences(&self) -> Vec<String> {
        let results = self.place.read("results.ndjson");
        let (late, dead) = (self.place.read("late.ndjson"), self.place.read("dead.ndjson"));
        let mut differences = compare(&results, &self.expected);
        differences.extend(check_revisions(&results, self.sessions));
        differences.extend(compare_sides(&late, &dead, &self.expected));
        let mut seen = BTreeSet::new();
        for record in records(&results) {
            let id = record["result_id"].as_str().unwrap().to_owned();
            if !seen.insert(id.clone()) {
                differences.push(format!("{id} is there twice"));
            }
        }
        differences
    }

    fn must_be_right(&self, what: &str) {
        let differences = self.differences();
        let first = &differences[..differences.len().min(5)];
        assert!(differences.is_empty(), "{what}: {} differences: {first:#?}", differences.len());
        let report = self.place.report().first;
        let counts = self.expected.counts();
        let found = (report.accepted, report.late_dropped, report.dead_lettered);
        let all = (counts.accepted as u64, counts.late as u64, counts.dead_lettered as u64);
        assert_eq!(found, all, "{what}: counters go on over restarts");
        let undisturbed = self.undisturbed();
        let (found, expected) = (last_revisions(&self.place), last_revisions(&undisturbed));
        assert_eq!(found.len(), expected.len(), "{what}");
        for (id, record) in &expected {
            assert!(same(&found[id], record), "{what}: {}\nis not\n{record}", found[id]);
        }
    }

    /// A run of the same events in memory.
    fn undisturbed(&self) -> Workplace {
        let yaml = self.place.read("c.yaml").replace(&self.kept, "").replace("follow: true, ", "");
        let place = Workplace::new(&yaml);
        place.write("events.ndjson", &self.events);
        let output = place.run(&[], &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        place
    }
}

fn records(lines: &str) -> impl Iterator<Item = Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
}

/// The last revision of each window, without what may differ. Sessions that others took in are none.
fn last_revisions(place: &Workplace) -> BTreeMap<String, Value> {
    let mut last = BTreeMap::new();
    let mut superseded = BTreeSet::new();
    for mut record in records(&place.read("results.ndjson")) {
        let id = record["window_id"].as_str().unwrap().to_owned();
        for old in record["supersedes"].as_array().into_iter().flatten() {
            superseded.insert(old.as_str().unwrap().split('-').next().unwrap().to_owned());
        }
        let fields = record.as_object_mut().unwrap();
        for field in ["pane", "result_id", "supersedes", "timestamp"] {
            fields.remove(field);
        }
        superseded.remove(&id);
        last.insert(id, record);
    }
    last.retain(|id, _| !superseded.contains(id));
    last
}

/// Equal, but for 1e-9 of sum, average, stddev.
fn same(found: &Value, expected: &Value) -> bool {
    let near = |name: &str, a: &Value, b: &Value| {
        let rounds = ["sum", "average", "stddev"].contains(&name);
        match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) if rounds => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
            _ => a == b,
        }
    };
    let (a, b) = (found.as_object().unwrap(), expected.as_object().unwrap());
    a.len() == b.len()
        && a.iter().all(|(field, value)| match (field.as_str(), value.as_object()) {
            ("results", Some(numbers)) => {
                let others = b["results"].as_object().unwrap();
                numbers.len() == others.len()
                    && numbers.iter().all(|(name, number)| near(name, number, &others[name]))
            }
            _ => b.get(field) == Some(value),
        })
}

fn killed_at_random(name: &str, window: Window) {
    let seed = from_environment("CRASH_SEED", 1);
    kill_at_random(name, &Case::new(window, 30_000, seed), seed);
}

fn kill_at_random(name: &str, case: &Case, seed: u64) {
    let kills = from_environment("CRASH_KILLS", 6);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut killed = 0;
    // A run that ends before it is killed has nothing left to do: it is followed by a fresh one.
    while killed < kills {
        let running = case.place.start(&[]);
        thread::sleep(Duration::from_millis(rng.random_range(1..250)));
        if running.kill() {
            killed += 1;
        } else {
            case.must_be_right(&format!("{name}, seed {seed}, after {killed} kills"));
            for output in ["state", "results.ndjson", "late.ndjson", "dead.ndjson"] {
                case.place.remove(output);
            }
        }
    }
    assert!(case.run(&[]));
    case.must_be_right(&format!("{name}, seed {seed}, after {killed} kills"));
}

#[test]
fn tumbling_windows_survive_kills_at_random_moments() {
    killed_at_random(WINDOWS[0].0, WINDOWS[0].1);
}

#[test]
fn sliding_windows_survive_kills_at_random_moments() {
    killed_at_random(WINDOWS[1].0, WINDOWS[1].1);
}

#[test]
fn sessions_survive_kills_at_random_moments() {
    killed_at_random(WINDOWS[2].0, WINDOWS[2].1);
}

#[cfg(feature = "rocksdb")]
#[test]
fn windows_kept_in_rocksdb_survive_kills_at_random_moments() {
    let seed = from_environment("CRASH_SEED", 1);
    let kept = KEPT.replace("path: state", "path: state, backend: rocksdb");
    kill_at_random("sliding, rocksdb", &Case::kept(kept, WINDOWS[1].1, 30_000, seed), seed);
}

fn crash(point: CrashPoint, times: u64) -> End {
    vec![("PROCESSOR_CRASH_POINT", format!("{point}:{times}"))]
}

/// Dies at each of these ends in turn, then ends in order.
fn dies(case: &Case, ends: &[End]) -> usize {
    let mut crashes = 0;
    for end in ends {
        let env: Vec<(&str, &str)> =
            end.iter().map(|(name, value)| (*name, value.as_str())).collect();
        crashes += usize::from(!case.run(&env));
    }
    assert!(case.run(&[]), "without a crash point it ends");
    crashes
}

#[test]
fn a_crash_at_every_named_point_changes_nothing() {
    for (number, point) in CrashPoint::EMBEDDED.into_iter().enumerate() {
        let (name, window) = WINDOWS[number % WINDOWS.len()];
        let case = Case::new(window, 8_000, 3);
        let ends: Vec<End> = [1, 2, 7].into_iter().map(|times| crash(point, times)).collect();
        let crashes = dies(&case, &ends);
        assert!(crashes > 0, "{point} is never passed");
        case.must_be_right(&format!("{name}, {point}"));
    }
}

#[test]
fn crashes_during_recovery_itself_change_nothing() {
    let during =
        [CrashPoint::BeforeTruncation, CrashPoint::AfterTruncation, CrashPoint::AfterRecovery];
    for (number, first) in
        [CrashPoint::DuringSinkWrite, CrashPoint::AfterSinkWrite, CrashPoint::AfterSinkSync]
            .into_iter()
            .enumerate()
    {
        let case = Case::new(WINDOWS[number].1, 8_000, 4);
        let mut ends = Vec::new();
        for times in [3, 1, 2] {
            ends.push(crash(first, times));
            ends.extend(during.map(|point| crash(point, 1)));
            ends.push(crash(CrashPoint::AfterTruncation, 3));
        }
        assert!(dies(&case, &ends) >= 12);
        case.must_be_right(first.name());
    }
}

#[test]
fn a_followed_file_that_grows_meanwhile_loses_nothing_to_kills() {
    let seed = from_environment("CRASH_SEED", 1);
    let kills = from_environment("CRASH_KILLS", 6);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let case = Case::new(WINDOWS[0].1, 20_000, seed);
    let yaml = case
        .place
        .read("c.yaml")
        .replace("path: events.ndjson", "follow: true, path: events.ndjson");
    case.place.write("c.yaml", yaml.as_bytes());
    case.place.write("events.ndjson", b"");
    let mut file = OpenOptions::new().append(true).open(case.place.path("events.ndjson")).unwrap();
    let bytes = case.events.as_slice();
    let step = bytes.len() / usize::try_from(kills + 1).unwrap();
    for life in 0..kills {
        let running = case.place.start(&[]);
        // Lines are torn: a record may be half there when the process dies.
        let from = step * usize::try_from(life).unwrap();
        for part in bytes[from..from + step].chunks(step / 5) {
            file.write_all(part).unwrap();
            thread::sleep(Duration::from_millis(rng.random_range(1..50)));
        }
        assert!(running.kill(), "a followed file does not end");
    }
    file.write_all(&bytes[step * usize::try_from(kills).unwrap()..]).unwrap();
    // As a file that is read to its end, what is left is concluded.
    assert!(case.run(&[("PROCESSOR_SOURCE__FOLLOW", "false")]));
    case.must_be_right(&format!("followed, seed {seed}"));
}

#[test]
fn planted_faults_are_found() {
    for (fault, point) in [
        ("cursor_before_write", CrashPoint::BeforeSinkWrite),
        // What was written but not synced may be lost with the process; that would hide the fault.
        ("skip_rewind", CrashPoint::AfterSinkSync),
    ] {
        let case = Case::new(WINDOWS[0].1, 8_000, 5);
        let mut end = crash(point, 4);
        end.push(("PROCESSOR_PLANTED_FAULT", fault.to_owned()));
        let env: Vec<(&str, &str)> =
            end.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert!(!case.run(&env), "it crashes");
        assert!(case.run(&[("PROCESSOR_PLANTED_FAULT", fault)]));
        assert!(!case.differences().is_empty(), "{fault} is not found");
    }
}

#[test]
fn crash_points_are_drawn_at_random_too() {
    let (kills, seed) = (from_environment("CRASH_KILLS", 6), from_environment("CRASH_SEED", 1));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (name, window) = *WINDOWS.choose(&mut rng).unwrap();
    let case = Case::new(window, 20_000, seed);
    let ends: Vec<End> = (0..kills)
        .map(|_| crash(*CrashPoint::EMBEDDED.choose(&mut rng).unwrap(), rng.random_range(1..9)))
        .collect();
    dies(&case, &ends);
    case.must_be_right(&format!("{name}, seed {seed}, {ends:?}"));
}
