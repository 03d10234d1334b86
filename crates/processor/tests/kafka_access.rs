//! A broker that denies: each run ends soon with one error that names what is denied and what to grant.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // in helpers of tests

mod support;

use std::time::Duration;

use llm_optimizer_sim::oracle::Window;
use support::{
    access::{Operation, Resource},
    binary::{Workplace, query},
    kafka::{Broker, guarded_broker},
    topics::Scene,
};

/// Longest time from the start to the error, on a busy machine.
const SOON: Duration = Duration::from_secs(30);
/// `EX_NOPERM`.
const NO_PERMISSION: Option<i32> = Some(77);

/// Runs to the end of an input of 300 records; what is denied is said by `deny`.
fn run(broker: &Broker, deny: impl FnOnce(&Scene)) -> (Option<i32>, String) {
    let scene = Scene::new(broker.clone(), 300);
    scene.produce(0, 300);
    let (_, yaml) = query(Window::Tumbling { size_ms: 10_000, offset_ms: 0 }, 0);
    let place = Workplace::new(&scene.yaml(&yaml, "  instance_id: one\n"));
    deny(&scene);
    let code = place.start(&["--until-end"]).wait_for(SOON);
    let log = place.read("log.txt");
    assert!(code.is_some(), "it did not end within {SOON:?}:\n{log}");
    (code, log)
}

/// The run ends for want of access, and one error says all of `parts`.
fn is_denied(what: &str, (code, log): (Option<i32>, String), parts: &[&str]) {
    assert_eq!(code, NO_PERMISSION, "{what}\n{log}");
    let error =
        log.lines().skip_while(|line| !line.contains("ERROR")).collect::<Vec<_>>().join("\n");
    assert_eq!(error.matches("ERROR").count(), 1, "{what}: one error\n{log}");
    for part in parts {
        assert!(error.contains(part), "{what}: `{part}` is not in\n{error}");
    }
}

#[test]
fn whatever_is_denied_is_named_with_what_to_grant() {
    let Some(own) = guarded_broker() else { return };
    let broker = &own.broker;
    let (code, log) = run(broker, |_| {});
    assert_eq!(code, Some(0), "without rules all is allowed\n{log}");

    let mut group = String::new();
    let denied = run(broker, |scene| {
        group.clone_from(&scene.group);
        broker.deny(Resource::Group, &scene.group, Operation::Describe);
    });
    is_denied("group: describe", denied, &[&group, "grant READ"]);

    let denied = run(broker, |scene| {
        group.clone_from(&scene.group);
        broker.deny(Resource::Group, &scene.group, Operation::Read);
    });
    is_denied("group: read", denied, &[&group, "grant READ"]);

    let mut id = String::new();
    let denied = run(broker, |scene| {
        id = format!("{}-one", scene.group);
        broker.deny(Resource::TransactionalId, &id, Operation::Write);
    });
    is_denied("transactional id: write", denied, &[&id, "grant WRITE", "transactional id"]);

    let mut topic = String::new();
    let denied = run(broker, |scene| {
        topic.clone_from(&scene.input);
        broker.deny(Resource::Topic, &scene.input, Operation::Describe);
    });
    is_denied("input: describe", denied, &[&topic, "grant READ and DESCRIBE"]);

    let denied = run(broker, |scene| {
        topic.clone_from(&scene.input);
        broker.deny(Resource::Topic, &scene.input, Operation::Read);
    });
    is_denied("input: read", denied, &[&topic, "grant READ and DESCRIBE"]);

    let denied = run(broker, |scene| {
        topic.clone_from(&scene.results);
        broker.deny(Resource::Topic, &scene.results, Operation::Write);
    });
    is_denied("results: write", denied, &[&topic, "grant WRITE"]);

    let denied = run(broker, |scene| {
        topic = scene.changelog();
        broker.create(&topic, 8, &[("cleanup.policy", "compact")]);
        broker.deny(Resource::Topic, &topic, Operation::DescribeConfigs);
    });
    is_denied("changelog: describe configs", denied, &[&topic, "grant DESCRIBE_CONFIGS"]);

    let denied = run(broker, |scene| {
        topic = scene.changelog();
        broker.deny(Resource::Topic, &topic, Operation::Write);
    });
    is_denied("changelog: write", denied, &[&topic, "grant WRITE"]);

    // Last: it is a rule for all.
    let denied = run(broker, |scene| {
        topic = scene.changelog();
        broker.deny(Resource::Cluster, "kafka-cluster", Operation::Create);
        broker.deny(Resource::Topic, &topic, Operation::Create);
    });
    is_denied("changelog: create", denied, &[&topic, "grant CREATE", "cleanup.policy=compact"]);
}
