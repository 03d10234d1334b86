//! Checkpoints of the local copy of Kafka state, through the binary on a real broker: looked at, and restored into a new
//! group, which goes on as if nothing had stopped.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // in helpers of tests

mod support;

use std::{collections::BTreeMap, fs, process::Output};

use llm_optimizer_processor::{
    checkpoint::{CheckpointAbout, CheckpointKind, CheckpointStore},
    commit::CRASH_POINT_VARIABLE,
    state::{Durability, MemoryStore, Store, WriteBatch},
};
use llm_optimizer_sim::{
    compare::{check_revisions, compare},
    oracle::Window,
    records::RecordsConfig,
};
use serde_json::Value;
use support::{
    binary::{Workplace, query},
    kafka::{broker, fresh, wait_until},
    member::Member,
    topics::{PARTITIONS, Scene, logged},
};

const RECORDS: usize = 900;
const HALF: usize = 450;
const SLIDING: Window = Window::Sliding { size_ms: 60_000, slide_ms: 20_000, offset_ms: 0 };
const SESSION: Window = Window::Session { gap_ms: 2_000 };
const ONE: &str = "  instance_id: one\n";

/// A group that has counted half of the records and stopped; `c.yaml` is its configuration.
struct Case {
    scene: Scene,
    place: Workplace,
    config: RecordsConfig,
    query: String,
    more: String,
}

impl Case {
    fn halfway(window: Window, more: &str) -> Option<Self> {
        let scene = Scene::new(broker()?, RECORDS);
        let (config, query) = query(window, 5_000);
        let more = format!("{ONE}{more}");
        let place = Workplace::new(&scene.yaml(&query, &more));
        scene.produce(0, HALF);
        scene.run_until(&place, &[], HALF);
        Some(Self { scene, place, config, query, more })
    }

    /// The same with a savepoint of it, number 1.
    fn kept(window: Window, more: &str) -> Option<Self> {
        let case = Self::halfway(window, more)?;
        let made = case.json(&["create", "--config", "c.yaml"]);
        assert_eq!((made["id"].as_u64(), made["kind"].as_str()), (Some(1), Some("savepoint")));
        Some(case)
    }

    /// Writes the configuration of a group of its own, with results in `results`, as `file`.
    fn write_group(&self, file: &str, results: &str) -> String {
        let group = fresh("restored");
        let yaml = self.scene.yaml(&self.query, &self.more);
        let yaml = yaml.replace(&self.scene.group, &group).replace(&self.scene.results, results);
        self.place.write(file, yaml.as_bytes());
        group
    }

    fn checkpoint(&self, arguments: &[&str], env: &[(&str, &str)]) -> Output {
        let arguments: Vec<&str> = ["checkpoint"].iter().chain(arguments).copied().collect();
        self.place.command(&arguments).envs(env.iter().copied()).output().unwrap()
    }

    /// The JSON that a verb prints when all is well.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.checkpoint(&[arguments, &["--output", "json"]].concat(), &[]);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Exit code and standard error.
    fn refusal(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.checkpoint(arguments, &[]);
        (output.status.code().unwrap(), text(&output.stderr))
    }

    /// Runs the configuration `file` to the end of the input: exit code and log.
    fn run(&self, file: &str) -> (Option<i32>, String) {
        let output =
            self.place.command(&["run", "--config", file, "--until-end"]).output().unwrap();
        (output.status.code(), text(&output.stderr))
    }

    fn must_run(&self, file: &str) -> String {
        let (code, log) = self.run(file);
        assert_eq!(code, Some(0), "{log}");
        log
    }

    /// Results of all these topics together are those of a run that never stopped, each once.
    fn must_be_exactly_once(&self, topics: &[&str]) {
        let read = topics.iter().flat_map(|topic| self.scene.broker.read_to_end(topic));
        let lines: Vec<String> = read.map(|read| read.value).collect();
        must_be(&lines, &self.config, &self.scene);
    }
}

fn must_be(lines: &[String], config: &RecordsConfig, scene: &Scene) {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines {
        let record: Value = serde_json::from_str(line).unwrap();
        *times.entry(record["result_id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let twice = times.iter().filter(|(_, times)| **times > 1).count();
    assert_eq!(twice, 0, "results are there twice");
    let written = lines.join("\n");
    let is_session = matches!(config.window, Window::Session { .. });
    let faults = check_revisions(&written, is_session);
    assert!(faults.is_empty(), "{faults:?}");
    let differences = compare(&written, &scene.expected(config));
    let some = &differences[..differences.len().min(5)];
    assert!(differences.is_empty(), "{} differences: {some:#?}", differences.len());
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_checkpoint_goes_on_in_a_new_group_as_if_nothing_had_stopped() {
    // Small transactions: the state takes many.
    for (window, more) in [(SLIDING, "  max_commit_bytes: 4000\n"), (SESSION, "")] {
        let Some(case) = Case::kept(window, more) else { return };
        let (scene, results) = (&case.scene, case.scene.results.clone());
        let group = case.write_group("new.yaml", &results);
        scene.produce(HALF, RECORDS);
        let done = case.json(&["restore", "latest", "--config", "new.yaml"]);
        assert_eq!((&done["restored"], &done["was_done"]), (&1.into(), &false.into()), "{done}");
        assert_eq!(done["from_group"].as_str(), Some(scene.group.as_str()));
        assert_eq!(done["changelogs"][0], format!("{group}-default-changelog"));
        let (rows, transactions) =
            (done["rows"].as_u64().unwrap(), done["transactions"].as_u64().unwrap());
        assert_eq!(transactions > 5, !more.is_empty(), "{done}");

        let changelog = format!("{group}-default-changelog");
        assert_eq!(scene.broker.settings(&changelog)["cleanup.policy"], "compact");
        assert_eq!(scene.broker.partitions(&changelog), 8);
        let log = case.must_run("new.yaml");
        assert_eq!(logged(&log, "state is read back", "rows"), rows, "{log}");
        assert!(log.contains("it is of group") && !log.contains("a new state begins"), "{log}");
        case.must_be_exactly_once(&[&results]);
        // The old group is where it was.
        let stayed = i64::try_from(HALF).unwrap() * i64::from(PARTITIONS);
        assert_eq!(scene.broker.committed(&scene.group, &scene.input, PARTITIONS), stayed);
        // And the new one goes on with its own state, of which it has a copy.
        let log = case.must_run("new.yaml");
        assert_eq!(logged(&log, "the state is back", "records"), 0, "{log}");
        assert!(!log.contains("is not used"), "{log}");
        case.must_be_exactly_once(&[&results]);
    }
}

#[test]
fn a_savepoint_of_a_running_processor_goes_on_in_a_new_group() {
    let Some(broker) = broker() else { return };
    let scene = Scene::new(broker, RECORDS);
    let (config, query) = query(SLIDING, 5_000);
    let more = format!("{ONE}  http: {{ bind: \"127.0.0.1:0\" }}\n");
    let place = Workplace::new(&scene.yaml(&query, &more));
    let case = Case { scene, place, config, query, more };
    case.scene.produce(0, HALF);
    let child = case.place.start(&[]);
    case.place.wait_for("log.txt", "the address", |log| log.contains("http server listens"));
    let log = case.place.read("log.txt");
    let (_, address) = log.split_once("address=").unwrap();
    let asks = case.scene.yaml(&case.query, &case.more);
    let asks = asks.replace("127.0.0.1:0", address.split_whitespace().next().unwrap());
    case.place.write("asks.yaml", asks.as_bytes());
    wait_until("what was produced is committed", || {
        let committed =
            case.scene.broker.committed(&case.scene.group, &case.scene.input, PARTITIONS);
        committed == i64::try_from(HALF).unwrap() * i64::from(PARTITIONS)
    });
    // The copy is written once a second; what it has then is all that was written so far.
    let all = HALF.to_string();
    let mut id = 0;
    wait_until("a savepoint of all that was counted", || {
        let made = case.json(&["create", "--config", "asks.yaml"]);
        let positions = made["positions"].as_object().unwrap();
        id = made["id"].as_u64().unwrap();
        assert_eq!(made["kind"], "savepoint");
        positions.len() == 2 && positions.values().all(|at| at.as_str().unwrap().contains(&all))
    });
    // It is looked at while the processor runs.
    let shown = case.json(&["show", "--config", "asks.yaml"]);
    assert_eq!((shown["id"].as_u64(), shown["instance"].as_str()), (Some(id), Some("one")));
    let listed = case.json(&["list", "--config", "asks.yaml"]);
    assert_eq!(listed.as_array().unwrap().last().unwrap(), &shown);
    let verified = case.json(&["verify", "--config", "asks.yaml"]);
    assert!(verified.as_array().unwrap().iter().all(|one| one["ok"] == true), "{verified}");
    let id = id.to_string();
    let same = case.json(&["diff", &id, &id, "--config", "asks.yaml"]);
    assert_eq!(same["positions"].as_array().map(Vec::len), Some(0), "{same}");
    // To whom nobody listens, the state is in use.
    case.place.write("deaf.yaml", asks_nobody(&asks, address).as_bytes());
    let (code, message) = case.refusal(&["create", "--config", "deaf.yaml"]);
    assert_eq!(code, 69, "{message}");
    assert!(message.contains("http"), "{message}");

    // Whose name the folder says is told by nobody while the running one has it; a name of its own is enough.
    let results = case.scene.results.clone();
    case.write_group("new.yaml", &results);
    let nameless = case.place.read("new.yaml").replace(ONE, "");
    case.place.write("nameless.yaml", nameless.as_bytes());
    let (code, message) = case.refusal(&["restore", &id, "--config", "nameless.yaml"]);
    assert_eq!(code, 69, "{message}");
    assert!(message.contains("in use by another process"), "{message}");
    case.json(&["restore", &id, "--config", "new.yaml"]);
    assert!(child.kill());
    case.scene.produce(HALF, RECORDS);
    case.must_run("new.yaml");
    case.must_be_exactly_once(&[&results]);
}

/// The same configuration with an http server where there is none.
fn asks_nobody(yaml: &str, address: &str) -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    yaml.replace(address.split_whitespace().next().unwrap(), &free.to_string())
}

#[test]
fn a_restore_that_was_killed_anywhere_is_run_again() {
    let Some(case) = Case::kept(SLIDING, "") else { return };
    case.scene.produce(HALF, RECORDS);
    // The first transaction says that a restore is under way, the second one has everything.
    for (point, is_claimed, is_done) in [
        ("after_init:1", false, false),
        ("after_produce:1", false, false),
        ("after_commit:1", true, false),
        ("after_offsets:1", true, false),
        ("after_commit:2", true, true),
    ] {
        let results = case.scene.broker.topic(1);
        let group = case.write_group("new.yaml", &results);
        let restore = ["restore", "1", "--config", "new.yaml"];
        let crashed = case.checkpoint(&restore, &[(CRASH_POINT_VARIABLE, point)]);
        assert_eq!(crashed.status.code(), None, "{point}: {}", text(&crashed.stderr));
        let done = case.json(&restore);
        assert_eq!(done["was_done"], is_done, "{point}: {done}");
        if !is_done {
            let state = done["changelogs"][0].as_str().unwrap().to_owned();
            let first = format!("{group}-default-changelog");
            assert_eq!(state != first, is_claimed || point == "after_produce:1", "{point}: {done}");
        }
        let again = case.json(&restore);
        assert_eq!((&again["was_done"], &again["rows"]), (&true.into(), &0.into()), "{point}");
        case.must_run("new.yaml");
        case.must_be_exactly_once(&[&case.scene.results, &results]);
        let (code, message) = case.refusal(&restore);
        assert_eq!(code, 73, "it has gone on since: {message}");
    }
}

#[test]
fn no_run_begins_on_half_a_restore() {
    let Some(case) = Case::kept(SLIDING, "  max_commit_bytes: 4000\n") else { return };
    case.scene.produce(HALF, RECORDS);
    let results = case.scene.broker.topic(1);
    case.write_group("new.yaml", &results);
    let restore = ["restore", "1", "--config", "new.yaml"];
    let crashed = case.checkpoint(&restore, &[(CRASH_POINT_VARIABLE, "after_commit:4")]);
    assert_eq!(crashed.status.code(), None, "{}", text(&crashed.stderr));
    let (code, log) = case.run("new.yaml");
    assert_eq!(code, Some(69), "{log}");
    assert!(log.contains("run the restore again"), "{log}");
    // The run that refused is a member for a moment still: that is waited for.
    case.json(&restore);
    case.must_run("new.yaml");
    case.must_be_exactly_once(&[&case.scene.results, &results]);
}

#[test]
fn two_restores_at_once_never_mix() {
    let Some(case) = Case::kept(SLIDING, "  max_commit_bytes: 1500\n") else { return };
    case.scene.produce(HALF, RECORDS);
    let results = case.scene.broker.topic(1);
    case.write_group("new.yaml", &results);
    let other = case.place.read("new.yaml").replace("instance_id: one", "instance_id: two");
    case.place.write("other.yaml", other.as_bytes());
    let begin = |file: &str| {
        let arguments = ["checkpoint", "restore", "1", "--config", file];
        let mut command = case.place.command(&arguments);
        command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let both = ["new.yaml", "other.yaml"].map(begin);
    for child in both {
        let output = child.wait_with_output().unwrap();
        // The later one finds that it is done, or does all of it again.
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let log = case.must_run("new.yaml");
    assert!(logged(&log, "state is read back", "rows") > 10, "{log}");
    case.must_be_exactly_once(&[&case.scene.results, &results]);
}

#[test]
fn what_does_not_fit_is_refused_in_clear_words() {
    let Some(case) = Case::kept(SLIDING, "") else { return };
    let scene = &case.scene;
    let results = scene.results.clone();
    let group = case.write_group("new.yaml", &results);
    let good = case.place.read("new.yaml");
    let refused = |arguments: &[&str], expected: i32, words: &[&str]| {
        let (code, message) = case.refusal(arguments);
        assert_eq!(code, expected, "{arguments:?}: {message}");
        for word in words {
            assert!(message.contains(word), "{arguments:?}: `{word}` is not in {message}");
        }
    };
    let restore = ["restore", "1", "--config", "other.yaml"];
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{good}");
        case.place.write("other.yaml", good.replace(from, to).as_bytes());
    };

    with("slide_secs: 20", "slide_secs: 30");
    refused(&restore, 78, &["slide 20000 ms", "→", "slide 30000 ms"]);
    with("key_groups: 8", "key_groups: 4");
    refused(&restore, 78, &["key_groups: 8 → 4"]);
    let other = scene.broker.topic(PARTITIONS);
    with(&scene.input, &other);
    refused(&restore, 78, &["of the topics", &scene.input, &other]);
    with(&format!("[{}]", scene.input), &format!("[{}]", fresh("missing")));
    refused(&restore, 78, &["of the topics"]);
    refused(
        &["restore", "1", "--config", "c.yaml"],
        73,
        &[&scene.group, "committed offset 450", "another name"],
    );
    refused(&["restore", "7", "--config", "new.yaml"], 66, &["no checkpoint 7"]);
    refused(&["restore", "1", "--state", "processor-state"], 64, &["--config"]);
    refused(&["restore", "1", "--config", "new.yaml", "--replace"], 64, &["--replace"]);

    let member = Member::join(&scene.broker, &group, "somebody", &scene.input);
    refused(&["restore", "1", "--config", "new.yaml"], 69, &["has a member", "rdkafka"]);
    drop(member);

    // A changelog that somebody made, and that would forget.
    let group = case.write_group("new.yaml", &results);
    scene.broker.create(&format!("{group}-default-changelog"), 8, &[("cleanup.policy", "delete")]);
    refused(&["restore", "1", "--config", "new.yaml"], 69, &["cleanup.policy=compact"]);

    // A checkpoint of something else.
    let store = MemoryStore::new();
    let mut batch = WriteBatch::default();
    batch.put(b"s1", b"state");
    store.write(&batch, Durability::Synced).unwrap();
    let view = store.snapshot().unwrap();
    let about = CheckpointAbout::of(&*view, CheckpointKind::Savepoint, 0).unwrap();
    CheckpointStore::new(case.place.path("local")).create(&*view, &about).unwrap();
    case.write_group("new.yaml", &results);
    let local = ["restore", "1", "--config", "new.yaml", "--checkpoints", "local"];
    refused(&local, 65, &["not of one on Kafka"]);

    // Records that would come next are deleted.
    scene.produce(HALF, RECORDS);
    scene.broker.delete_records(&scene.input, 1, i64::try_from(HALF).unwrap() + 3);
    let log_start = ["partition 1", "offset 450", "the log begins at 453"];
    refused(&["restore", "1", "--config", "new.yaml"], 66, &log_start);
    scene.broker.make_anew(&scene.input, &[]);
    scene.broker.delete_topic(&scene.input);
    scene.broker.create(&scene.input, PARTITIONS, &[]);
    refused(&["restore", "1", "--config", "new.yaml"], 66, &["the log ends at 0"]);

    // Nothing of all this left anything behind: no offsets, no state.
    assert_eq!(scene.broker.committed(&group, &scene.input, PARTITIONS), 0);
    flip(&case.place.path("processor-state/kafka/checkpoints/1/rows-00000.dat"));
    refused(&["restore", "1", "--config", "new.yaml"], 65, &["checkpoint 1 is damaged"]);
}

#[test]
fn files_and_several_pipelines_go_on_in_the_new_group() {
    let Some(broker) = broker() else { return };
    let scene = Scene::new(broker, RECORDS);
    let (minutes, query) = query(Window::Tumbling { size_ms: 60_000, offset_ms: 0 }, 5_000);
    let visits = RecordsConfig {
        window: SESSION,
        allowed_lateness_ms: 4_000,
        pipeline: "visits".into(),
        ..minutes.clone()
    };
    let minutes = RecordsConfig { pipeline: "minutes".into(), ..minutes };
    let more = format!(
        "{ONE}  pipelines: [ {{ name: minutes, sinks: [ {{ type: file, path: minutes.ndjson }} ] }}, \
         {{ name: visits, windows: {{ default_type: session, session: {{ gap_secs: 2, allowed_lateness_secs: 4 }} }} }} ]\n"
    );
    let place = Workplace::new(&scene.yaml(&query, &more));
    scene.produce(0, HALF);
    scene.run_until(&place, &[], HALF);
    let case = Case { scene, place, config: visits, query, more };
    case.json(&["create", "--config", "c.yaml"]);
    let results = case.scene.results.clone();
    case.write_group("new.yaml", &results);
    case.scene.produce(HALF, RECORDS);
    let done = case.json(&["restore", "latest", "--config", "new.yaml"]);
    assert_eq!(done["changelogs"].as_array().map(Vec::len), Some(2), "{done}");
    case.must_run("new.yaml");
    case.must_be_exactly_once(&[&results]);
    let written: Vec<String> =
        case.place.read("minutes.ndjson").lines().map(str::to_owned).collect();
    must_be(&written, &minutes, &case.scene);
}

#[test]
fn checkpoints_of_the_copy_are_kept_and_looked_at_without_the_processor() {
    let Some(case) = Case::kept(SLIDING, "") else { return };
    let shown = case.json(&["show", "1", "--config", "c.yaml"]);
    assert_eq!(shown["instance"], "one");
    assert!(shown["fingerprint"].is_string(), "{shown}");
    assert_eq!(shown["positions"].as_object().map(serde_json::Map::len), Some(2), "{shown}");
    let rows = |table: &str| shown["tables"][table]["rows"].as_u64().unwrap();
    assert!(rows("state") > 10 && rows("changelog") > 1, "{shown}");

    case.scene.produce(HALF, RECORDS);
    case.scene.run_until(&case.place, &[], RECORDS);
    // The folder says enough, without a configuration.
    let folder = ["--state", "processor-state"];
    let made = case.json(&[&["create"], &folder[..]].concat());
    assert_eq!(made["id"], 2);
    let listed = case.json(&[&["list"], &folder[..]].concat());
    let ids: Vec<_> = listed.as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(ids, [1, 2]);
    let difference = case.json(&["diff", "1", "2", "--config", "c.yaml"]);
    let moved = difference["positions"].as_array().unwrap();
    assert_eq!(moved.len(), 2, "{difference}");
    for at in moved {
        let at = |side: &str| at[side].as_str().unwrap().to_owned();
        assert!(at("from").contains("450") && at("to").contains("900"), "{difference}");
    }
    let of_state = &difference["tables"]["state"];
    assert!(of_state["added"].as_u64().unwrap() + of_state["removed"].as_u64().unwrap() > 0);
    assert_eq!(case.json(&["verify", "--config", "c.yaml"])[1]["ok"], true);

    flip(&case.place.path("processor-state/kafka/checkpoints/2/rows-00000.dat"));
    let output = case.checkpoint(&["verify", "--config", "c.yaml"], &[]);
    assert_eq!(output.status.code(), Some(65));
    let told = text(&output.stdout);
    assert!(
        told.contains("checkpoint 1: ok") && told.contains("checkpoint 2 is damaged"),
        "{told}"
    );
    // The newest whole one is restored, and the damaged one named.
    let results = case.scene.broker.topic(1);
    case.write_group("new.yaml", &results);
    let output = case.checkpoint(&["restore", "latest", "--config", "new.yaml"], &[]);
    let told = text(&output.stdout);
    assert!(told.contains("passed over: checkpoint 2 is damaged"), "{told}");
    assert!(told.contains("checkpoint 1 of group"), "{told}");
}

fn flip(path: &std::path::Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(path, bytes).unwrap();
}
