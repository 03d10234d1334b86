//! State of another configuration, and states beside each other, through the binary on a real broker.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // in helpers of tests

mod support;

use llm_optimizer_processor::{
    commit::CRASH_POINT_VARIABLE,
    kafka::{
        Committed, CommittedOffsets, GroupMetadata, OffsetMetadata, OffsetToCommit,
        TransactionRecord, TransactionalProducer,
    },
    source::StopToken,
};
use llm_optimizer_sim::{oracle::Window, records::RecordsConfig};
use rdkafka::consumer::{BaseConsumer, Consumer};
use support::{
    binary::{Workplace, query},
    kafka::{PATIENCE, broker, wait_until},
    member,
    topics::{PARTITIONS, Scene},
};

const RECORDS: usize = 900;
const HALF: usize = 400;
/// A log that says what is asked of the brokers.
const SAYS_WHEN: &str = "info,llm_optimizer_processor::kafka::driver=debug";

fn tumbling(size_ms: i64) -> (RecordsConfig, String) {
    query(Window::Tumbling { size_ms, offset_ms: 0 }, 5_000)
}

/// A run with a configuration that does not fit; gives its log.
fn refused(place: &Workplace) -> String {
    let output = place.run(&["--until-end"], &[]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{log}");
    log
}

#[test]
fn another_configuration_is_refused_with_what_differs_until_a_new_state_is_asked_for() {
    let Some(broker) = broker() else { return };
    let scene = Scene::new(broker, RECORDS);
    let (_, minute) = tumbling(60_000);
    let (half_minutes, half_minute) = tumbling(30_000);
    let old = scene.yaml(&minute, "  instance_id: one\n");
    let place = Workplace::new(&old);
    scene.produce(0, HALF);
    scene.run_until(&place, &[], HALF);

    // What differs is in the changelog: it is said on a machine that never saw the state, too.
    let results = scene.broker.topic(1);
    let new = scene.yaml(&half_minute, "  instance_id: one\n").replace(&scene.results, &results);
    place.write("c.yaml", new.as_bytes());
    for _ in 0..2 {
        let log = refused(&place);
        for part in
            ["tumbling size 60000 ms", "tumbling size 30000 ms", "--new-state", "keep", "group_id"]
        {
            assert!(log.contains(part), "{part} is not in\n{log}");
        }
        place.remove("processor-state");
    }

    // The new state begins at the start of the input, and the next run goes on with it, also on another machine.
    let changelog = format!("{}-1", scene.changelog());
    let child = place.start(&["--new-state"]);
    wait_until("the new state is there", || scene.broker.count(&changelog) > 0);
    child.terminate();
    assert_eq!(child.wait(), Some(0));
    assert!(place.read("log.txt").contains("a new state begins"), "{}", place.read("log.txt"));
    scene.produce(HALF, RECORDS);
    place.remove("processor-state");
    let log = Scene::run_to_end(&place, &[]);
    assert!(log.contains("goes on with the newest state"), "{log}");
    scene.must_be_exactly_once(&results, &half_minutes);

    // The old state is where it was, and is not mixed with the new one.
    assert!(scene.broker.partitions(&scene.changelog()) > 0);
    place.write("c.yaml", old.as_bytes());
    let log = refused(&place);
    assert!(log.contains("tumbling size 30000 ms offset 0 ms → tumbling size 60000 ms"), "{log}");
}

#[test]
fn the_same_configuration_begins_afresh_as_often_as_it_is_asked_for() {
    let Some(broker) = broker() else { return };
    let scene = Scene::new(broker, HALF);
    let (config, yaml) = tumbling(60_000);
    scene.produce(0, HALF);
    let place = Workplace::new("");
    for (round, flags) in [(0, [].as_slice()), (1, &["--new-state"]), (2, &["--new-state"])] {
        let results = scene.broker.topic(1);
        let yaml = scene.yaml(&yaml, "  instance_id: one\n").replace(&scene.results, &results);
        place.write("c.yaml", yaml.as_bytes());
        Scene::run_to_end(&place, flags);
        // Everything was counted again, from the beginning.
        scene.must_be_exactly_once(&results, &config);
        let changelog = match round {
            0 => scene.changelog(),
            state => format!("{}-{state}", scene.changelog()),
        };
        assert!(scene.broker.count(&changelog) > 0, "{changelog}");
    }
}

#[test]
fn a_new_state_that_never_committed_is_forgotten() {
    for point in ["after_produce:1", "after_offsets:1"] {
        let Some((scene, config, place)) = halfway() else { return };
        let output = place.run(&["--until-end", "--new-state"], &[(CRASH_POINT_VARIABLE, point)]);
        assert_eq!(output.status.code(), None, "it was to crash before its first commit");
        Scene::run_to_end(&place, &[]);
        scene.must_be_exactly_once(&scene.results, &config);
    }
}

#[test]
fn a_new_state_that_committed_once_is_gone_on_with() {
    let Some((scene, config, place)) = halfway() else { return };
    let results = scene.broker.topic(1);
    let (_, yaml) = tumbling(60_000);
    let yaml = scene.yaml(&yaml, "  instance_id: one\n").replace(&scene.results, &results);
    place.write("c.yaml", yaml.as_bytes());
    let crash = [(CRASH_POINT_VARIABLE, "after_commit:1")];
    let output = place.run(&["--until-end", "--new-state"], &crash);
    assert_eq!(output.status.code(), None, "it was to crash after its first commit");
    let log = Scene::run_to_end(&place, &[]);
    assert!(log.contains("goes on with the newest state"), "{log}");
    scene.must_be_exactly_once(&results, &config);
}

/// A process that began a state beside the first one and died while its first commit was being decided: the coordinator
/// still shows the offsets before it.
#[test]
fn a_first_commit_that_is_decided_while_a_run_starts_is_gone_on_with() {
    let Some((scene, config, place)) = halfway() else { return };
    let mut undecided = begin_second_state(&scene);
    let child = place.start(&["--until-end", "--log", SAYS_WHEN]);
    // It has asked which state is used, and asks again now that it has the partitions.
    place.wait_for("log.txt", "the question for offsets", |log| log.contains("FetchOffsets"));
    undecided.commit(PATIENCE).unwrap();
    let (code, log) = (child.wait(), place.read("log.txt"));
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("goes on with the newest state"), "{log}");
    scene.must_be_exactly_once(&scene.results, &config);
    let offsets = committed(&scene).into_iter().map(|(_, metadata)| metadata.generation);
    assert_eq!(offsets.collect::<Vec<_>>(), [1, 1]);
}

/// The same while a run with `--new-state` starts: its state comes after the one that was just begun, and mixes with none.
#[test]
fn a_new_state_comes_after_one_whose_first_commit_is_decided_meanwhile() {
    let Some((scene, config, place)) = halfway() else { return };
    let results = scene.broker.topic(1);
    let (_, yaml) = tumbling(60_000);
    let yaml = scene.yaml(&yaml, "  instance_id: one\n").replace(&scene.results, &results);
    place.write("c.yaml", yaml.as_bytes());
    let mut undecided = begin_second_state(&scene);
    let child = place.start(&["--until-end", "--new-state", "--log", SAYS_WHEN]);
    place.wait_for("log.txt", "the question for offsets", |log| log.contains("FetchOffsets"));
    undecided.commit(PATIENCE).unwrap();
    let (code, log) = (child.wait(), place.read("log.txt"));
    assert_eq!(code, Some(0), "{log}");
    scene.must_be_exactly_once(&results, &config);
    let offsets = committed(&scene).into_iter().map(|(_, metadata)| metadata.generation);
    assert_eq!(offsets.collect::<Vec<_>>(), [2, 2]);
}

/// A state of half of the records, and the rest of them written since.
fn halfway() -> Option<(Scene, RecordsConfig, Workplace)> {
    let scene = Scene::new(broker()?, RECORDS);
    let (config, yaml) = tumbling(60_000);
    let place = Workplace::new(&scene.yaml(&yaml, "  instance_id: one\n"));
    scene.produce(0, HALF);
    scene.run_until(&place, &[], HALF);
    scene.produce(HALF, RECORDS);
    Some((scene, config, place))
}

/// What the group has committed for each partition.
fn committed(scene: &Scene) -> Vec<(i64, OffsetMetadata)> {
    let client = CommittedOffsets::new(&scene.broker.servers, "test", &scene.group).unwrap();
    let asked: Vec<_> = (0..PARTITIONS).map(|partition| (scene.input.clone(), partition)).collect();
    let found = client.fetch(&asked, PATIENCE, &StopToken::default()).unwrap();
    let known = |found| match found {
        Committed::Known { position, metadata } => (position, metadata),
        other => panic!("{other:?}"),
    };
    found.into_iter().map(known).collect()
}

/// A transaction that is not committed yet: what the first state holds, as state number 1.
fn begin_second_state(scene: &Scene) -> TransactionalProducer {
    let changelog = format!("{}-1", scene.changelog());
    scene.broker.create(&changelog, 8, &[("cleanup.policy", "compact")]);
    let mut two = member::producer(&scene.broker, &format!("{}-two", scene.group));
    two.begin().unwrap();
    for (partition, key, value) in scene.broker.read_raw(&scene.changelog()) {
        let (partition, key) = (Some(partition), Some(key.as_slice()));
        let (topic, payload) = (changelog.as_str(), value.as_deref());
        let record = TransactionRecord { topic, partition, key, payload, headers: None };
        two.produce(record, PATIENCE).unwrap();
    }
    two.settle(PATIENCE).unwrap();
    let offsets = committed(scene).into_iter().zip(0..).map(|((position, metadata), partition)| {
        let metadata = OffsetMetadata { generation: 1, ..metadata }.encode().unwrap();
        OffsetToCommit { topic: scene.input.clone(), partition, position, metadata }
    });
    let client: BaseConsumer =
        scene.broker.client().set("group.id", &scene.group).create().unwrap();
    let group = GroupMetadata::new(client.group_metadata().unwrap());
    two.offsets(&offsets.collect::<Vec<_>>(), &group, PATIENCE).unwrap();
    two
}

#[test]
fn offsets_of_another_program_give_way_to_a_new_state() {
    let Some(broker) = broker() else { return };
    let scene = Scene::new(broker, HALF);
    let (config, yaml) = tumbling(60_000);
    scene.produce(0, HALF);
    scene.broker.commit_offset(&scene.group, &scene.input, 0, 17);
    let place = Workplace::new(&scene.yaml(&yaml, "  instance_id: one\n"));
    let output = place.run(&["--until-end"], &[]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(69), "{log}");
    assert!(log.contains("17") && log.contains("--new-state"), "{log}");
    Scene::run_to_end(&place, &["--new-state"]);
    scene.must_be_exactly_once(&scene.results, &config);
}
