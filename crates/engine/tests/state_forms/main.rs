//! Forms of rows never change between releases: golden files hold what each version gave out, and are read
//! for ever.
//!
//! A file under `golden/` has one row a line, key and value in hexadecimal digits. A new version gets
//! files of its own: `NEW=1 cargo test -p llm-optimizer-engine --test state_forms` writes those that are
//! missing, and never one that is there.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod scenarios;

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf, sync::Arc};

use llm_optimizer_engine::{
    state::{FORMAT, StateChanges, TaskProgress, key_group_of},
    task::{TaskOutput, WindowTask},
    window::{Timing, TriggerSpec, WindowSpec},
};
use scenarios::{Halves, PARTITION, SCENARIOS, Scenario, all, count_3, event, sliding, task};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn path(scenario: &Scenario) -> PathBuf {
    let file = format!("tests/state_forms/golden/{}_v{FORMAT}.txt", scenario.name);
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn text(rows: &Rows) -> String {
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    };
    let lines = rows.iter().map(|(key, value)| [&hex(key), " ", &hex(value), "\n"].concat());
    lines.collect()
}

fn rows(text: &str) -> Rows {
    let bytes = |hex: &str| -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        digits.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    };
    let line = |line: &str| {
        let (key, value) = line.split_once(' ').unwrap();
        (bytes(key), bytes(value))
    };
    text.lines().map(line).collect()
}

/// The rows of a scenario at its cut, and its task.
fn given(scenario: &Scenario) -> (Rows, WindowTask) {
    let mut task = (scenario.task)().tracking_changes();
    let mut out = TaskOutput::default();
    (scenario.before)(&mut task, &mut out);
    task.fire_dirty(&mut out);
    let mut changes = StateChanges::default();
    assert!(task.changed_rows() > 0, "{}", scenario.name);
    task.take_changes(&mut changes);
    assert_eq!(task.changed_rows(), 0, "{}", scenario.name);
    let rows = changes.iter().filter_map(|(key, value)| Some((key.to_vec(), value?.to_vec())));
    (rows.collect(), task)
}

/// All that still comes out, in one text.
fn after(scenario: &Scenario, mut task: WindowTask) -> String {
    let mut out = TaskOutput::default();
    (scenario.after)(&mut task, &mut out);
    task.end(PARTITION);
    task.advance(0, &mut out);
    assert_eq!((task.open_windows(), task.keys()), (0, 0));
    format!("{:#?}", out.firings)
}

#[test]
fn the_rows_of_a_version_are_those_of_its_golden_files() {
    for scenario in SCENARIOS {
        let (given, _) = given(scenario);
        let path = path(scenario);
        if std::env::var_os("NEW").is_some() && !path.exists() {
            fs::write(&path, text(&given)).unwrap();
        }
        let golden = fs::read_to_string(&path).expect("a golden file");
        let name = scenario.name;
        assert_eq!(text(&given), golden, "rows of {name}: is this a new version of their form?");
    }
}

#[test]
fn golden_rows_become_the_state_that_gave_them() {
    for scenario in SCENARIOS {
        let golden = rows(&fs::read_to_string(path(scenario)).expect("a golden file"));
        let (_, lives) = given(scenario);
        let mut task = (scenario.task)().tracking_changes();
        let pairs = golden.iter().map(|(key, value)| (&key[..], &value[..]));
        task.restore(pairs, lives.progress(), 0).unwrap();
        task.assign_with(PARTITION, lives.partition_progress(PARTITION).unwrap(), 0);
        assert_eq!(after(scenario, task), after(scenario, lives), "{}", scenario.name);
    }
}

#[test]
fn the_rows_have_all_kinds_and_their_keys_the_group() {
    let mut kinds = [0; 8];
    for scenario in SCENARIOS {
        for key in given(scenario).0.keys() {
            assert!(key_group_of(key).unwrap() < 32);
            kinds[usize::from(key[2])] += 1;
        }
    }
    assert_eq!(kinds[0], 0);
    assert!(kinds[1..].iter().all(|rows| *rows > 0), "{kinds:?}");
}

#[test]
fn triggers_may_be_taken_away_and_revisions_go_on() {
    let windows = || {
        [
            sliding(),
            WindowSpec::tumbling(1_000, 0, 0).unwrap(),
            WindowSpec::session(1_000, 0).unwrap(),
            WindowSpec::assigned(Arc::new(Halves), 0).unwrap(),
        ]
    };
    for (with, without) in windows().into_iter().zip(windows()) {
        let shown = format!("{with:?}");
        let (mut out, mut changes) = (TaskOutput::default(), StateChanges::default());
        let mut triggered = task(with, count_3(), all()).tracking_changes();
        (0..7).for_each(|n| event(&mut triggered, &mut out, ("user=1", n * 10), 1.0));
        assert!(out.firings.iter().any(|firing| firing.timing == Timing::Early), "{shown}");
        triggered.take_changes(&mut changes);
        let rows: Rows =
            changes.iter().filter_map(|(k, v)| Some((k.to_vec(), v?.to_vec()))).collect();
        let mut plain = task(without, TriggerSpec::EventTime, all()).tracking_changes();
        let pairs = rows.iter().map(|(key, value)| (&key[..], &value[..]));
        plain.restore(pairs, triggered.progress(), 0).unwrap();
        plain.assign_with(PARTITION, triggered.partition_progress(PARTITION).unwrap(), 0);
        (0..7).for_each(|n| event(&mut plain, &mut out, ("user=1", 70 + n), 1.0));
        plain.end(PARTITION);
        plain.advance(0, &mut out);
        let mut revisions: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        let is_session = shown.contains("Session");
        for firing in &out.firings {
            // A session's end grows.
            let end = if is_session { 0 } else { firing.end_ms };
            revisions.entry(end).or_default().push(firing.revision);
        }
        for revisions in revisions.values() {
            let expected: Vec<u32> = (0..).take(revisions.len()).collect();
            assert_eq!(*revisions, expected, "{shown}: {:#?}", out.firings);
        }
        assert!(plain.keys() == 0 && plain.open_windows() == 0, "{shown}");
        let mut left = StateChanges::default();
        plain.take_changes(&mut left);
        let mut rows = rows;
        for (key, value) in left.iter() {
            match value {
                Some(value) => rows.insert(key.to_vec(), value.to_vec()),
                None => rows.remove(key),
            };
        }
        assert!(rows.is_empty(), "{shown}: nothing is left behind: {rows:?}");
    }
}

#[test]
fn a_value_of_another_version_is_named() {
    let scenario = &SCENARIOS[0];
    let (mut rows, task) = given(scenario);
    let value = rows.first_entry().unwrap().into_mut();
    value[0] = FORMAT + 1;
    let pairs = rows.iter().map(|(key, value)| (&key[..], &value[..]));
    let damage = (scenario.task)().restore(pairs, task.progress(), 0).unwrap_err().to_string();
    assert!(damage.ends_with("has format version 2, but this release reads version 1"), "{damage}");
}

#[test]
fn rows_of_other_windows_are_foreign() {
    let [sliced, session] = ["sliced", "sessions"]
        .map(|name| SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap());
    let (rows, _) = given(sliced);
    let pairs = rows.iter().map(|(key, value)| (&key[..], &value[..]));
    let damage = (session.task)().restore(pairs, TaskProgress::default(), 0).unwrap_err();
    assert!(damage.to_string().ends_with("is of a kind that this pipeline does not have"));
}

#[test]
fn a_row_that_is_there_twice_or_lacks_a_part_is_damaged() {
    let scenario = &SCENARIOS[0];
    let (rows, _) = given(scenario);
    let pairs = || rows.iter().map(|(key, value)| (&key[..], &value[..]));
    let restore = |pairs: Vec<(&[u8], &[u8])>| {
        let damage = (scenario.task)().restore(pairs.into_iter(), TaskProgress::default(), 0);
        damage.unwrap_err().to_string()
    };
    let twice = restore(pairs().chain(pairs().take(1)).collect());
    assert!(twice.ends_with("is damaged: it is there twice"), "{twice}");
    // The last four bytes of a key are column and part.
    let without = |end: [u8; 4]| pairs().filter(move |(key, _)| !key.ends_with(&end)).collect();
    let lacking = restore(without([0, 1, 0, 0]));
    assert!(lacking.ends_with("column 1 lacks a part"), "{lacking}");
}
