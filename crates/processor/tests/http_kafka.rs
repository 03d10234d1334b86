//! What health and metrics say of a run on a real Kafka, also when the broker goes away.
#![cfg(test)]
#![cfg(feature = "kafka")]

mod support;

use std::time::Duration;

use serde_json::Value;
use support::{
    binary::Workplace,
    kafka::{Broker, PATIENCE, broker, fresh, own_broker, wait_until},
    member::{producer, record},
};

struct Asked(String);

impl Asked {
    /// The server of a run that has begun in `place`.
    fn of(place: &Workplace) -> Self {
        place.wait_for("log.txt", "the address", |log| log.contains("http server listens"));
        let log = place.read("log.txt");
        let (_, rest) = log.split_once("address=").unwrap();
        Self(rest.split_whitespace().next().unwrap().to_owned())
    }

    fn get(&self, path: &str) -> (u16, String) {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent: ureq::Agent =
            config.timeout_global(Some(Duration::from_secs(10))).build().into();
        let mut answer = agent.get(format!("http://{}{path}", self.0)).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path).1).unwrap()
    }

    fn is_ready(&self) -> bool {
        self.get("/readyz").0 == 200
    }
}

/// Where events are counted by second, with `further` settings, from an input topic into one for results, by a group.
fn counting(
    broker: &Broker,
    further: &str,
    (input, results, group): (&str, &str, &str),
) -> Workplace {
    let servers = &broker.servers;
    Workplace::new(&format!(
        "processor:
  event: {{ profile: custom, timestamp: at, timestamp_unit: ms, key: [key], values: {{ v: v }} }}
  windows: {{ tumbling: {{ size_secs: 1 }} }}
  watermark: {{ max_out_of_orderness_secs: 0, max_future_skew_secs: 10000000 }}
  aggregation: {{ enabled: [count] }}
{further}  kafka:
    consumer: {{ bootstrap_servers: \"{servers}\", group_id: {group}, topics: [{input}] }}
    producer: {{ bootstrap_servers: \"{servers}\", result_topic: {results} }}
"
    ))
}

#[test]
fn lag_is_known_and_a_lost_broker_takes_readiness_and_not_liveness() {
    let Some(own) = own_broker() else { return };
    let broker = own.broker.clone();
    let (input, results) = (broker.topic(2), broker.topic(1));
    let further = "  commit_interval_ms: 100
  state: { path: state }
  http: { bind: \"127.0.0.1:0\", ready_broker_timeout_secs: 1 }
";
    let place = counting(&broker, further, (&input, &results, &fresh("group")));
    let run = place.start(&[]);
    let asked = Asked::of(&place);
    wait_until("the run is ready", || asked.is_ready());

    let event = |n: u32| {
        format!("{{\"at\":{},\"key\":\"a\",\"v\":1}}", 1_772_352_000_000_i64 + i64::from(n) * 100)
    };
    let payloads: Vec<Vec<u8>> = (0..100).map(|n| event(n).into_bytes()).collect();
    for partition in 0..2 {
        broker.produce_bytes(&input, partition, &payloads);
    }
    wait_until("everything is read and its end is known", || {
        let partitions = asked.json("/api/v1/partitions");
        let whole = |p: &Value| p["position"] == 100 && p["end"] == 100 && p["lag_records"] == 0;
        partitions.as_array().is_some_and(|all| all.len() == 2 && all.iter().all(whole))
    });
    wait_until("results are committed", || {
        let fired = asked.json("/api/v1/windows?state=fired");
        fired["fired"].as_array().is_some_and(|fired| !fired.is_empty())
    });
    let (_, metrics) = asked.get("/metrics");
    let lag = format!("processor_consumer_lag_records{{source=\"{input}\",partition=\"1\"}} 0");
    assert!(metrics.contains(&lag), "{metrics}");
    assert!(!metrics.contains("processor_rebalances_total 0\n"), "{metrics}");

    own.stop();
    wait_until("the loss is seen", || !asked.is_ready());
    assert_eq!(asked.get("/livez").0, 200);
    let health = asked.json("/health");
    let reasons = health["reasons"].as_array().unwrap();
    assert!(reasons.iter().any(|reason| reason["part"] == "source"), "{health}");
    own.start();
    wait_until("the run is ready again", || asked.is_ready());
    run.terminate();
    assert_eq!(run.wait(), Some(0), "{}", place.read("log.txt"));
}

/// A recovery lasts as long as somebody else's transaction holds the end of the changelog back.
#[test]
fn a_long_recovery_takes_readiness_and_not_liveness() {
    let Some(broker) = broker() else { return };
    let (input, results, group) = (broker.topic(1), broker.topic(1), fresh("group"));
    let further = "  key_groups: 1
  state: { backend: memory }
  instance_id: one
  http: { bind: \"127.0.0.1:0\" }
";
    let place = counting(&broker, further, (&input, &results, &group));
    let event = b"{\"at\":1772352000000,\"key\":\"a\",\"v\":1}";
    broker.produce_bytes(&input, 0, &[event.to_vec()]);
    assert!(place.run(&["--until-end"], &[]).status.success());

    let mut other = producer(&broker, &fresh("other"));
    other.begin().unwrap();
    other.produce(record(&format!("{group}-default-changelog"), "k", "v"), PATIENCE).unwrap();
    let run = place.start(&[]);
    let asked = Asked::of(&place);
    // A start that is not held back takes less than two seconds here.
    wait_until("some time goes by", || asked.json("/health")["uptime_secs"].as_f64() > Some(5.0));
    assert_eq!(asked.get("/readyz").0, 503);
    assert_eq!(asked.get("/startupz").0, 503);
    assert_eq!(asked.get("/livez").0, 200);
    let health = asked.json("/health");
    assert_eq!(
        (&health["status"], &health["live"]),
        (&"starting".into(), &true.into()),
        "{health}"
    );
    assert_eq!(health["reasons"][0]["part"], "recovery", "{health}");
    other.abort(PATIENCE).unwrap();
    wait_until("the run is ready", || asked.is_ready());
    assert_eq!(asked.get("/startupz").0, 200);
    run.terminate();
    assert_eq!(run.wait(), Some(0), "{}", place.read("log.txt"));
}
