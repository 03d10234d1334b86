//! A sync of the real binary fails, and then the power: what was said to be durable is there, and all the rest comes again.
//!
//! A library between the process and its syncs (`failing_sync.c`) fails the one that it is told to, and knows what of each file was
//! synced. The power failure leaves that much and no more, so that a commit or a cursor that trusted a failed sync shows.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::{Case, KEPT, WINDOWS};

/// Calls that fail: of which file, from which of them on, how many.
type Fault<'a> = (&'a str, u32, u32);

/// A disk whose syncs fail when they are told to.
struct Disk {
    dir: TempDir,
}

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash_files/failing_sync.c");
        let flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"];
        let mut cc = Command::new("cc");
        let built = cc.args(flags).arg(dir.path().join("disk.so")).arg(source).status();
        assert!(built.expect("cc, by which Rust links").success());
        Self { dir }
    }

    fn keep(&self) -> PathBuf {
        self.dir.path().join("keep")
    }

    /// A run from the start on this disk.
    fn run(&self, case: &Case, (file, at, count): Fault<'_>, planted: &str) -> Ended {
        for output in ["state", "results.ndjson", "late.ndjson", "dead.ndjson", "report.json"] {
            case.place.remove(output);
        }
        drop(fs::remove_dir_all(self.keep()));
        fs::create_dir(self.keep()).unwrap();
        let (at, count) = (at.to_string(), count.to_string());
        let (library, keep) = (self.dir.path().join("disk.so"), self.keep());
        let mut env = vec![
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("FAULT_KEEP", keep.to_str().unwrap()),
            ("FAULT_FILE", file),
            ("FAULT_AT", &at),
            ("FAULT_COUNT", &count),
        ];
        env.extend((!planted.is_empty()).then_some(("PROCESSOR_PLANTED_FAULT", planted)));
        let output = case.place.run(&[], &env);
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let calls = fs::read_to_string(keep.join("log")).unwrap_or_default();
        Ended { code: output.status.code(), log, calls }
    }

    /// Of each file as much is left as was synced. The number beside the store stays: it may never be ahead of the store.
    fn power_fails(&self, case: &Case) {
        let names = ["results.ndjson", "late.ndjson", "dead.ndjson", "state/state.redb"];
        let of_rocksdb = fs::read_dir(case.place.path("state/rocksdb")).into_iter().flatten();
        let logs = of_rocksdb.map(|entry| entry.unwrap().path());
        let logs = logs.filter(|path| path.extension().is_some_and(|it| it == "log"));
        for path in names.map(|name| case.place.path(name)).into_iter().chain(logs) {
            let Ok(about) = fs::metadata(&path) else { continue };
            let synced = fs::read(self.keep().join(about.ino().to_string())).unwrap_or_default();
            fs::write(&path, synced).unwrap();
        }
    }
}

/// How a run on such a disk ended.
struct Ended {
    code: Option<i32>,
    log: String,
    calls: String,
}

impl Ended {
    /// Syncs of the file `name` that `became` so.
    fn syncs(&self, became: &str, name: &str) -> u32 {
        let suffix = format!("/{name}");
        let is_it = |call: &&str| call.starts_with(became) && call.ends_with(&suffix);
        u32::try_from(self.calls.lines().filter(is_it).count()).unwrap()
    }
}

/// A commit for nearly every 16 records.
fn case(backend: &str) -> Case {
    let kept = KEPT.replace("path: state", &format!("path: state, backend: {backend}"));
    let kept = kept.replace("buffer_size: 200", "buffer_size: 16");
    let kept = kept.replace("commit_interval_ms: 20", "commit_interval_ms: 1");
    let kept = kept.replace("max_commit_bytes: 200000", "max_commit_bytes: 200");
    let retries = "  error_handling: { policy: retry, initial_retry_delay_ms: 1 }\n";
    Case::kept(format!("{kept}{retries}"), WINDOWS[0].1, 4_000, 6)
}

/// Syncs fail: the run heals, or ends and says what happened. Then the power fails: the next run has lost nothing. Whether it
/// healed.
fn survives(case: &Case, disk: &Disk, fault: Fault<'_>) -> bool {
    let ended = disk.run(case, fault, "");
    let log = &ended.log;
    assert!(ended.syncs("failed", fault.0) > 0, "{fault:?} was not reached: {log}");
    if ended.code != Some(0) {
        assert!(matches!(ended.code, Some(73 | 74)), "{fault:?}: {:?}: {log}", ended.code);
        let last = log.lines().last().unwrap();
        assert!(last.contains("ERROR") && last.contains("Input/output error"), "{fault:?}: {log}");
        assert!(last.contains(fault.0.trim_end_matches(".new")), "{fault:?} is not named: {log}");
    }
    disk.power_fails(case);
    // What is tried is the state that was left, not how it came about.
    let larger = [("PROCESSOR_BUFFER_SIZE", "500"), ("PROCESSOR_MAX_COMMIT_BYTES", "200000")];
    assert!(case.run(&larger));
    case.must_be_right(&format!("{fault:?}"));
    ended.code == Some(0)
}

#[test]
fn a_sync_that_fails_loses_nothing_even_if_the_power_fails_too() {
    let (case, disk) = (case("redb"), Disk::new());
    let undisturbed = disk.run(&case, ("", 0, 0), "");
    let commits = undisturbed.syncs("synced", "state.redb");
    assert!(undisturbed.code == Some(0) && commits >= 200, "{commits}: {}", undisturbed.log);
    // The store and its folder as they are made, opened, and written by the first and later commits.
    for (file, at) in [("state.redb.new", 1), ("state.redb.new", 8), ("state", 1)] {
        assert!(!survives(&case, &disk, (file, at, 1)), "{file}, {at}");
    }
    for at in [1, 4, 6, 7, 8, 9, 100, 101, 180] {
        assert!(!survives(&case, &disk, ("state.redb", at, 1)), "store, {at}");
    }
    for (file, at) in [("results.ndjson", 1), ("results.ndjson", 3), ("dead.ndjson", 1)] {
        assert!(survives(&case, &disk, (file, at, 1)), "{file}, {at}: it is written again");
    }
}

#[cfg(feature = "rocksdb")]
#[test]
fn a_log_of_rocksdb_whose_sync_fails_ends_the_run_and_the_next_one_is_right() {
    let (case, disk) = (case("rocksdb"), Disk::new());
    for at in [1, 2, 50, 200] {
        assert!(!survives(&case, &disk, ("000004.log", at, 1)), "log, {at}");
    }
}

#[test]
fn syncs_that_go_on_failing_end_the_run_and_the_next_one_is_right() {
    let (case, disk) = (case("redb"), Disk::new());
    for (file, at) in [("state.redb", 120), ("results.ndjson", 2), ("late.ndjson", 1)] {
        assert!(!survives(&case, &disk, (file, at, u32::MAX)), "{file}, {at}");
    }
}

/// The control of the tests above: cursors that do not wait for the sync of their file.
#[test]
fn a_cursor_that_does_not_wait_for_the_sync_is_found_when_the_power_fails() {
    let (case, disk) = (case("redb"), Disk::new());
    let ended = disk.run(&case, ("state.redb", 200, 1), "skip_sync");
    assert!(ended.code == Some(74), "{}", ended.log);
    disk.power_fails(&case);
    let output = case.place.run(&[], &[]);
    assert!(!output.status.success() || !case.differences().is_empty(), "nothing is found");
}
