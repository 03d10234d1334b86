//! Runs of the real binary that keep state: what is refused, what goes on, what a restart changes.
#![cfg(test)]

mod support;

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write,
};

use llm_optimizer_sim::{
    cases::{Traffic, write_events},
    compare::{compare, compare_sides},
    oracle::Window,
    records::{RecordsOutcome, read_lines, recompute_records},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use support::binary::{FILES, Workplace, query};

const KEPT: &str = "  buffer_size: 200\n  state: { path: state }\n  commit_interval_ms: 20\n  commit_min_interval_ms: 1\n";
const MINUTE: Window = Window::Tumbling { size_ms: 60_000, offset_ms: 0 };

fn place_with(events: usize) -> (Workplace, RecordsOutcome) {
    let (config, yaml) = query(MINUTE, 10_000);
    let place = Workplace::new(&format!("{FILES}{KEPT}{yaml}"));
    write_events(&place.path("events.ndjson"), events, 7, &Traffic::default()).unwrap();
    let log = read_lines(&place.path("events.ndjson")).unwrap();
    (place, recompute_records(&config, vec![log]))
}

fn is_right(place: &Workplace, expected: &RecordsOutcome) -> bool {
    let mut differences = compare(&place.read("results.ndjson"), expected);
    let (late, dead) = (place.read("late.ndjson"), place.read("dead.ndjson"));
    differences.extend(compare_sides(&late, &dead, expected));
    differences.is_empty()
}

fn run(place: &Workplace, more: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = place.run(more, env);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_run_goes_on_with_what_was_added_to_its_file() {
    let (place, expected) = place_with(3_000);
    let all = place.read("events.ndjson");
    let middle = all[..all.len() / 2].rfind('\n').unwrap() + 1;
    // Stopped in the middle: the first run is killed by its crash point, so that no window is concluded.
    place.write("events.ndjson", &all.as_bytes()[..middle]);
    let followed = place.read("c.yaml").replace("path: events", "follow: true, path: events");
    place.write("c.yaml", followed.as_bytes());
    let first = place.start(&[]);
    place.wait_for("results.ndjson", "the first result", |text| !text.is_empty());
    first.terminate();
    assert_eq!(first.wait(), Some(0), "{}", place.read("log.txt"));
    let mut file = OpenOptions::new().append(true).open(place.path("events.ndjson")).unwrap();
    file.write_all(&all.as_bytes()[middle..]).unwrap();
    let (code, log) = run(&place, &[], &[("PROCESSOR_SOURCE__FOLLOW", "false")]);
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("going on where reading stopped"), "{log}");
    assert!(is_right(&place, &expected));
    let (code, _) = run(&place, &[], &[("PROCESSOR_SOURCE__FOLLOW", "false")]);
    assert_eq!(code, Some(0));
    assert!(is_right(&place, &expected), "there is nothing left to do");
}

#[test]
fn another_configuration_is_refused_until_a_new_state_is_asked_for() {
    let (place, expected) = place_with(2_000);
    assert_eq!(run(&place, &[], &[]).0, Some(0));
    let before = place.read("results.ndjson");
    let other = [("PROCESSOR_WINDOWS__TUMBLING__SIZE_SECS", "30")];
    let (code, log) = run(&place, &[], &other);
    assert_eq!(code, Some(78), "{log}");
    for part in
        ["tumbling size 60000 ms", "tumbling size 30000 ms", "--new-state", "keep", "checkpoint"]
    {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert_eq!(place.read("results.ndjson"), before, "nothing is touched");
    let lateness = [("PROCESSOR_WINDOWS__TUMBLING__ALLOWED_LATENESS_SECS", "20")];
    assert_eq!(run(&place, &[], &lateness).0, Some(0), "lateness may change");
    assert_eq!(run(&place, &["--new-state"], &other).0, Some(0));
    let aside = fs::read_dir(place.path("state")).unwrap();
    let mut aside = aside.filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("before-")
    });
    let old = aside.next().unwrap().unwrap().path();
    assert!(old.join("state.redb").exists() && aside.next().is_none());
    assert!(place.read("results.ndjson").starts_with(&before), "a new state adds to the files");
    // The old state still is what it was.
    fs::remove_file(place.path("state/state.redb")).unwrap();
    for entry in fs::read_dir(&old).unwrap() {
        let name = entry.unwrap().file_name();
        drop(fs::remove_dir_all(place.path("state").join(&name)));
        fs::rename(old.join(&name), place.path("state").join(&name)).unwrap();
    }
    place.write("results.ndjson", before.as_bytes());
    let (code, log) = run(&place, &[], &[]);
    assert_eq!(code, Some(0), "{log}");
    assert!(is_right(&place, &expected));
}

#[test]
fn one_process_at_a_time_keeps_its_state_in_a_folder() {
    let (place, _) = place_with(500);
    let followed = place.read("c.yaml").replace("path: events", "follow: true, path: events");
    place.write("c.yaml", followed.as_bytes());
    let first = place.start(&[]);
    place.wait_for("results.ndjson", "the first result", |text| !text.is_empty());
    let (code, log) = run(&place, &[], &[]);
    assert!(code != Some(0) && log.contains("in use by another process"), "{code:?}: {log}");
    first.terminate();
    assert_eq!(first.wait(), Some(0));
}

#[test]
fn an_endless_run_keeps_its_state_without_being_told() {
    let (place, _) = place_with(500);
    let yaml = place.read("c.yaml").replace("path: events", "follow: true, path: events");
    place.write("c.yaml", yaml.replace("  state: { path: state }\n", "").as_bytes());
    let first = place.start(&[]);
    place.wait_for("results.ndjson", "the first result", |text| !text.is_empty());
    assert!(first.kill());
    assert!(place.path("processor-state/state.redb").exists());
    assert!(place.path("processor-state/instance_id").exists());
    let memory = [("PROCESSOR_STATE__BACKEND", "memory")];
    let (code, log) = run(&place, &[], &memory);
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("runs that end by themselves"), "{log}");
}

#[test]
fn a_file_that_was_replaced_is_refused_with_what_to_do() {
    let (place, expected) = place_with(2_000);
    let crash = [("PROCESSOR_CRASH_POINT", "after_cursor:9")];
    assert_eq!(run(&place, &[], &crash).0, None);
    fs::rename(place.path("results.ndjson"), place.path("kept")).unwrap();
    let (code, log) = run(&place, &[], &[]);
    assert_eq!(code, Some(73), "{log}");
    assert!(log.contains("put the file back"), "{log}");
    fs::rename(place.path("kept"), place.path("results.ndjson")).unwrap();
    assert_eq!(run(&place, &[], &[]).0, Some(0));
    assert!(is_right(&place, &expected));
    place.write("events.ndjson", b"{}\n");
    let (code, log) = run(&place, &[], &[]);
    assert!(code == Some(66) && log.contains("truncated or written anew"), "{code:?}: {log}");
}

#[test]
fn a_sink_on_a_full_device_ends_the_run_and_loses_nothing() {
    let (place, expected) = place_with(2_000);
    let yaml = place.read("c.yaml");
    let full = yaml.replace("sinks: [", "sinks: [ { type: file, path: /dev/full },");
    place.write("c.yaml", full.as_bytes());
    let few = [
        ("PROCESSOR_ERROR_HANDLING__MAX_RETRIES", "1"),
        ("PROCESSOR_ERROR_HANDLING__INITIAL_RETRY_DELAY_MS", "1"),
    ];
    let (code, log) = run(&place, &[], &few);
    assert_eq!(code, Some(74), "{log}");
    assert!(log.contains("/dev/full"), "{log}");
    place.write("c.yaml", yaml.as_bytes());
    let (code, log) = run(&place, &[], &[]);
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("not configured any more"), "{log}");
    assert!(is_right(&place, &expected));
}

#[test]
fn a_damaged_store_is_refused_or_does_not_matter() {
    let (place, expected) = place_with(6_000);
    assert_eq!(run(&place, &[], &[("PROCESSOR_CRASH_POINT", "after_sink_write:9")]).0, None);
    let state = fs::read_dir(place.path("state")).unwrap().map(|entry| entry.unwrap());
    let state = state.filter(|entry| entry.file_type().unwrap().is_file());
    let mut names: Vec<String> =
        state.map(|entry| format!("state/{}", entry.file_name().to_string_lossy())).collect();
    names.extend(["results.ndjson", "late.ndjson", "dead.ndjson"].map(str::to_owned));
    let kept: Vec<_> = names.iter().map(|name| fs::read(place.path(name)).unwrap()).collect();
    let whole = fs::read(place.path("state/state.redb")).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut refused = 0;
    for round in 0..24 {
        for (name, bytes) in names.iter().zip(&kept) {
            place.write(name, bytes);
        }
        let mut store = whole.clone();
        let is_cut = round % 6 == 5;
        if is_cut {
            store.truncate(rng.random_range(0..store.len()));
        } else {
            let used = store.iter().rposition(|byte| *byte != 0).unwrap();
            let at = rng.random_range(0..=used);
            store[at] ^= 1 << rng.random_range(0..8);
        }
        place.write("state/state.redb", &store);
        let (code, log) = run(&place, &[], &[]);
        if code == Some(0) {
            assert!(!is_cut, "round {round}: a part of the store is gone");
            assert!(is_right(&place, &expected), "round {round}: wrong results in silence");
        } else {
            refused += 1;
            let says =
                ["checkpoint", "--new-state", "restore"].iter().any(|word| log.contains(word));
            assert!(says && code.is_some(), "round {round}: {code:?} {log}");
        }
    }
    assert!(refused >= 4, "{refused}");
}

/// Reads a part and dies three times, a savepoint after each of the first two; then the store is cut, and perhaps the newest
/// savepoint is damaged.
fn goes_on_from_a_checkpoint(newest_is_damaged: bool) {
    let (place, expected) = place_with(4_000);
    let all = place.read("events.ndjson");
    let yaml = place.read("c.yaml").replace("path: events", "follow: true, path: events");
    place.write("c.yaml", yaml.as_bytes());
    place.write("events.ndjson", b"");
    let lines = || place.read("results.ndjson").lines().count();
    let mut file = OpenOptions::new().append(true).open(place.path("events.ndjson")).unwrap();
    let mut parts = all.as_bytes().chunks(all.len() / 4);
    let (mut kept, mut before) = (0, 0);
    for life in 0..3 {
        file.write_all(parts.next().unwrap()).unwrap();
        let running = place.start(&[]);
        place.wait_for("results.ndjson", "more results", |text| text.lines().count() > before);
        assert!(running.kill());
        before = lines();
        if life < 2 {
            let made = place.command(&["checkpoint", "create", "--config", "c.yaml"]).output();
            assert!(made.unwrap().status.success());
            kept = before;
        }
    }
    assert!(before > kept && kept > 0, "{before} results, {kept} of them in a savepoint");
    parts.for_each(|part| file.write_all(part).unwrap());
    let store = fs::read(place.path("state/state.redb")).unwrap();
    place.write("state/state.redb", &store[..store.len() / 2]);
    if newest_is_damaged {
        let mut rows = fs::read(place.path("state/checkpoints/2/rows-00000.dat")).unwrap();
        let middle = rows.len() / 2;
        rows[middle] ^= 1;
        place.write("state/checkpoints/2/rows-00000.dat", &rows);
    }
    let (code, log) = run(&place, &[], &[("PROCESSOR_SOURCE__FOLLOW", "false")]);
    assert_eq!(code, Some(0), "{log}");
    let from = if newest_is_damaged { "checkpoint=1" } else { "checkpoint=2" };
    assert!(log.contains(from), "{log}");
    assert!(is_right(&place, &expected), "wrong results after a fallback: {log}");
    let results = place.read("results.ndjson");
    let ids: BTreeSet<String> = results
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["result_id"].to_string())
        .collect();
    assert!(ids.len() > before);
    assert_eq!(ids.len(), lines(), "a result is there twice");
}

#[test]
fn a_damaged_store_goes_on_from_the_newest_whole_checkpoint_and_results_are_right() {
    goes_on_from_a_checkpoint(false);
    goes_on_from_a_checkpoint(true);
}

/// Events at 0.1 s, then, after the window has fired because nothing came, at 0.5 s (late) and 100 s.
fn idle_firing(restarts: bool) -> (Vec<Value>, usize) {
    let place = Workplace::new(&format!(
        "processor:
  source: {{ type: file, path: events.ndjson, follow: true }}
  sinks: [{{ type: file, path: results.ndjson }}]
  side_outputs: {{ late: {{ type: file, path: late.ndjson }} }}
{KEPT}  event: {{ profile: custom, timestamp: at, timestamp_unit: ms, key: [model], values: {{ ms: ms }} }}
  windows: {{ default_type: tumbling, tumbling: {{ size_secs: 1 }} }}
  watermark: {{ max_out_of_orderness_secs: 0, idle_timeout_secs: 0.1 }}
  aggregation: {{ enabled: [count] }}
"
    ));
    let event = |at: u32| format!("{{\"at\":{at},\"model\":\"a\",\"ms\":1}}\n");
    place.write("events.ndjson", event(100).as_bytes());
    let mut running = place.start(&[]);
    place.wait_for("results.ndjson", "the idle firing", |text| text.lines().count() == 1);
    if restarts {
        assert!(running.kill());
        running = place.start(&[]);
    }
    let mut file = OpenOptions::new().append(true).open(place.path("events.ndjson")).unwrap();
    file.write_all(format!("{}{}", event(500), event(100_000)).as_bytes()).unwrap();
    place.wait_for("late.ndjson", "the late event", |text| text.lines().count() == 1);
    running.terminate();
    assert_eq!(running.wait(), Some(0), "{}", place.read("log.txt"));
    assert_eq!(run(&place, &[], &[("PROCESSOR_SOURCE__FOLLOW", "false")]).0, Some(0));
    let results = place.read("results.ndjson");
    let results = results.lines().map(|line| {
        let mut result: Value = serde_json::from_str(line).unwrap();
        result.as_object_mut().unwrap().remove("timestamp");
        result
    });
    (results.collect(), place.read("late.ndjson").lines().count())
}

#[test]
fn a_restart_between_an_idle_firing_and_the_next_event_changes_nothing() {
    let undisturbed = idle_firing(false);
    assert_eq!((undisturbed.0.len(), undisturbed.1), (2, 1));
    assert_eq!(idle_firing(true), undisturbed);
}
