//! Further statistics through the binary, from file to file.
#![cfg(test)]

mod support;

use serde_json::{Value, json};
use support::binary::Workplace;

const CONFIG: &str = r"
processor:
  source: { type: file, path: events.ndjson }
  sinks: [{ type: file, path: results.ndjson }]
  side_outputs: { dead_letter: { type: file, path: dead.ndjson } }
  event: { profile: custom, timestamp: at, key: [model], values: { latency_ms: latency_ms } }
  windows: { default_type: tumbling, tumbling: { size_secs: 60, allowed_lateness_secs: 30 } }
  watermark: { max_out_of_orderness_secs: 0 }
  aggregation:
    enabled: [count, average]
    percentiles: [50]
    statistics:
      - { name: errors, function: count, where: { field: error, exists: true } }
      - { name: slow, function: count, where: { field: latency_ms, above: 2000 } }
      - { name: ok_cost, function: sum, value: cost, where: { all: [{ field: error, exists: false }, { field: tier, equals: gold }] } }
      - { name: cost_per_token, function: average, value: cost, weight: tokens }
      - { name: worst_error, function: max, where: { field: error, exists: true } }
      - { name: p99.9, function: percentile, p: 99.9 }
      - { name: users, function: distinct, of: user_id }
      - { name: top_errors, function: top_k, of: error.code, k: 2 }
      - { name: error_rate, function: ratio, numerator: errors, denominator: count }
      - { name: per_second, function: rate }
      - { name: smooth, function: ema, of: average, alpha: 0.5 }
      - { name: odd, function: anomaly, of: average, threshold: 3.0, min_windows: 2 }
";

fn event(minute: u32, second: u32, latency: u32, more: &str) -> String {
    format!(
        r#"{{"at":"2026-03-01T08:{minute:02}:{second:02}Z","model":"a","latency_ms":{latency}{more}}}"#
    )
}

#[test]
fn every_further_statistic_is_in_the_result() {
    let place = Workplace::new(CONFIG);
    let lines = [
        event(0, 1, 100, r#","cost":2,"tokens":30,"user_id":"u1","tier":"gold""#),
        event(0, 2, 300, r#","cost":4,"tokens":10,"user_id":7,"error":{"code":500}"#),
        event(0, 3, 2600, r#","cost":"much","tokens":-1,"user_id":"u1","error":{"code":"quota"}"#),
        event(0, 4, 1000, r#","user_id":null,"error":{"code":500},"tier":"gold""#),
        event(1, 0, 100, ""),
        event(1, 30, 300, ""),
        event(2, 0, 5000, ""),
        event(3, 0, 1, ""),
    ];
    place.write("events.ndjson", lines.join("\n").as_bytes());
    let output = place.run(&[], &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(place.read("dead.ndjson"), "", "an absent or odd field makes no dead letter");
    let results: Vec<Value> = place
        .read("results.ndjson")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(results.len(), 4);
    assert_eq!(
        results[0]["results"],
        json!({
            "average": 1000.0, "cost_per_token": 2.5, "count": 4, "error_rate": 0.75, "errors": 3,
            "ok_cost": 2.0, "p99.9": 2600.0, "per_second": 4.0 / 60.0, "slow": 1, "smooth": 1000.0,
            "top_errors": [{"item": 500, "count": 2}, {"item": "quota", "count": 1}], "users": 2,
            "worst_error": 2600.0,
        })
    );
    let quality = json!({"p99.9": "exact", "top_errors": "exact", "users": "sketch"});
    assert_eq!(results[0]["quality"], quality);
    assert_eq!(results[0].get("errors"), None);
    assert_eq!(
        results[1]["results"],
        json!({
            "average": 200.0, "count": 2, "error_rate": 0.0, "errors": 0, "ok_cost": 0.0,
            "p99.9": 300.0, "per_second": 2.0 / 60.0, "slow": 0, "smooth": 600.0, "top_errors": [],
            "users": 0,
        }),
        "what has no event in the window has no value"
    );
    let odd = |i: usize| (&results[i]["results"]["odd"], &results[i]["results"]["odd_is_anomaly"]);
    assert_eq!(odd(1), (&Value::Null, &Value::Null), "one window before is not enough");
    assert_eq!(odd(2), (&json!(11.0), &json!(1)), "(5000 − 600) / 400");
    assert_eq!(results[2]["results"]["smooth"], 2800.0);
    assert_eq!(place.report().first.aggregation_errors, 0);
}

#[test]
fn a_late_revision_looks_back_at_the_same_windows() {
    let place = Workplace::new(CONFIG);
    let lines = [
        event(0, 0, 100, ""),
        event(1, 0, 300, ""),
        event(2, 0, 900, ""),
        event(1, 59, 500, r#","error":{"code":1}"#),
        event(9, 0, 1, ""),
    ];
    place.write("events.ndjson", lines.join("\n").as_bytes());
    let small = [("PROCESSOR_BUFFER_SIZE", "1"), ("PROCESSOR_COMMIT_MIN_INTERVAL_MS", "0")];
    for env in [&[][..], &small] {
        assert!(place.run(&[], env).status.success());
        let results = place.read("results.ndjson");
        let last = |minute: &str| -> Value {
            let start = format!("2026-03-01T08:{minute}:00.000Z");
            let mut all = results.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            all.rfind(|result| result["window"]["start"] == *start).unwrap()
        };
        assert_eq!(last("01")["results"]["smooth"], 250.0, "average 400 after 100");
        assert_eq!(
            last("02")["results"]["smooth"],
            575.0,
            "900 after what the late event made of it"
        );
        assert_eq!(last("01")["results"]["errors"], 1);
    }
}

#[test]
fn a_statistic_that_is_wrong_is_told_with_its_place() {
    let place = Workplace::new(&CONFIG.replace("numerator: errors", "numerator: erors"));
    let output = place.run(&[], &[]);
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(shown.contains("did you mean `errors`?") && shown.contains("c.yaml:"), "{shown}");
}

#[test]
fn cells_of_a_csv_file_are_counted_too() {
    let place = Workplace::new(
        "processor:
  source: { type: file, path: events.csv }
  sinks: [{ type: file, path: results.ndjson }]
  event: { profile: custom, timestamp: at, key: [model], values: { ms: ms } }
  aggregation:
    enabled: [count, percentile]
    percentiles: [12.5, 99.9]
    statistics:
      - { name: fails, function: count, where: { field: status, at_least: 500 } }
      - { name: states, function: top_k, of: status }
",
    );
    let rows = "at,model,ms,status\n2026-03-01T08:00:00Z,a,1,200\n2026-03-01T08:00:01Z,a,1,503\n\
                2026-03-01T08:00:02Z,a,1,\n2026-03-01T08:00:03Z,a,1,503\n";
    place.write("events.csv", rows.as_bytes());
    assert!(place.run(&[], &[]).status.success());
    let result: Value = serde_json::from_str(&place.read("results.ndjson")).unwrap();
    let states = json!([{"item": "503", "count": 2}, {"item": "200", "count": 1}]);
    assert_eq!(
        result["results"],
        json!({"count": 4, "fails": 2, "p12.5": 1.0, "p99.9": 1.0, "states": states})
    );
}
