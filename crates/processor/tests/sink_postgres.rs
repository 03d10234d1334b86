//! The Postgres sink against a real server: killed, restarted, set back, with tables that do not fit.
#![cfg(test)]

mod support;
#[path = "sink_postgres/tls.rs"]
mod tls;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use llm_optimizer_config::TableName;
use llm_optimizer_processor::{
    ProcessorError, ProcessorResult,
    sink::{
        EncodedResult, Feed, FeedKey, Output, ResultSink, Waiting,
        postgres::{PostgresSettings, PostgresSink},
    },
    types::{
        ResultRecord,
        output::{Pane, PaneTiming, ResultKey},
    },
};
use postgres::Client;
use serde_json::{Value, json};
use support::{
    binary::Workplace,
    postgres::Cluster,
    results::record,
    traffic::{FOLLOWS, append, append_end, by_revision, newest},
};

/// The rows of a table as results, by window.
fn rows(client: &mut Client, table: &str) -> BTreeMap<String, Value> {
    let query = format!(
        "SELECT window_id, json_build_object('window_id', window_id, 'pipeline', pipeline, 'key', key, \
         'key_fields', key_fields, 'start', window_start, 'end', window_end, 'revision', revision, 'timing', timing, \
         'results', results, 'result_id', result_id)::text FROM {table}"
    );
    let rows = client.query(&query, &[]).unwrap();
    rows.iter().map(|row| (row.get(0), serde_json::from_str(row.get(1)).unwrap())).collect()
}

/// The same of a result record.
fn row_of(result: &Value) -> Value {
    let instant = |name: &str| {
        let text = result["window"][name].as_str().unwrap();
        text.replace(".000Z", "+00:00").replace('Z', "+00:00")
    };
    json!({
        "window_id": result["window_id"], "pipeline": result["pipeline"], "key": result["window"]["key"],
        "key_fields": result["key_fields"], "start": instant("start"), "end": instant("end"),
        "revision": result["pane"]["revision"], "timing": result["pane"]["timing"], "results": result["results"],
        "result_id": result["result_id"],
    })
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{what} never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn count(client: &mut Client) -> i64 {
    let known: bool =
        client.query_one("SELECT to_regclass('results') IS NOT NULL", &[]).unwrap().get(0);
    if !known {
        return 0;
    }
    client.query_one("SELECT count(*) FROM results", &[]).unwrap().get(0)
}

#[test]
fn killed_databases_and_processors_cost_no_result_and_repeat_none() {
    let Some(cluster) = Cluster::start() else { return };
    let sinks = format!(
        "  sinks:\n    - {{ type: file, path: results.ndjson }}\n    - {{ type: postgres, url: '{}', table: results, batch_size: 500 }}\n",
        cluster.url()
    );
    let place = Workplace::new(&format!("{FOLLOWS}{sinks}"));
    let chunk = 10_000;
    append(&place, 0, chunk);
    let run = place.start(&[]);
    wait_until("the first results", || count(&mut cluster.client()) > 0);

    // The processor dies while it delivers, and goes on.
    append(&place, chunk, chunk);
    assert!(run.kill());
    let run = place.start(&[]);
    append(&place, 2 * chunk, chunk);
    let before = count(&mut cluster.client());
    wait_until("results after the kill", || count(&mut cluster.client()) > before);

    // The database dies under load; meanwhile the processor dies as well.
    append(&place, 3 * chunk, chunk);
    cluster.kill();
    append(&place, 4 * chunk, chunk);
    place.wait_for("log.txt", "the outage in the log", |log| {
        log.contains("delivery failed, trying again")
    });
    assert!(run.kill());
    let run = place.start(&[]);
    place.wait_for("log.txt", "the outage in the log", |log| {
        log.contains("delivery failed, trying again")
    });
    cluster.up();
    append(&place, 5 * chunk, chunk);
    append_end(&place, 6 * chunk);

    // 600 s of events in windows of 2 s for 20 keys, and 4 of late events before; the window of the end stays open.
    wait_until("the last result", || count(&mut cluster.client()) == 6_004);
    run.terminate();
    assert_eq!(run.wait(), Some(0), "{}", place.read("log.txt"));
    let results = place.read("results.ndjson");
    let found = by_revision(results.lines());
    assert_eq!(found.len(), results.lines().count(), "the file has a revision twice");
    assert!(found.len() > 6_004, "no window fired twice: {}", found.len());
    let expected: BTreeMap<_, _> =
        newest(&found).into_iter().map(|(window, result)| (window, row_of(&result))).collect();
    assert!(rows(&mut cluster.client(), "results") == expected, "table and file differ");
    let total: i64 = cluster
        .client()
        .query_one("SELECT sum((results->>'count')::bigint)::bigint FROM results", &[])
        .unwrap()
        .get(0);
    assert_eq!(total, 6 * chunk);
    let log = place.read("log.txt");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn merged_sessions_take_the_rows_of_their_parts_away() {
    let Some(cluster) = Cluster::start() else { return };
    let place = Workplace::new(&format!(
        "processor:
  source: {{ type: file, path: events.ndjson }}
  event: {{ profile: custom, timestamp: t, timestamp_unit: ms, key: [model], values: {{ v: v }} }}
  windows: {{ default_type: session, session: {{ gap_secs: 2, allowed_lateness_secs: 60 }} }}
  watermark: {{ strategy: bounded_out_of_orderness, max_out_of_orderness_secs: 0 }}
  buffer_size: 1
  commit_interval_ms: 1
  commit_min_interval_ms: 1
  sinks:
    - {{ type: file, path: results.ndjson }}
    - {{ type: postgres, url: '{}', table: '\"odd \"\"name\"' }}
",
        cluster.url()
    ));
    // Two sessions fire; the event between them makes one of both.
    let event = |at: i64| format!("{{\"t\":{at},\"model\":\"a\",\"v\":1}}\n");
    let early: String = (0..4_000).map(|_| event(1_000)).collect();
    let rest = [4_000, 20_000, 3_000].map(event).concat();
    place.write("events.ndjson", (early + &rest).as_bytes());
    let run = place.run(&[], &[]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let found = by_revision(place.read("results.ndjson").lines());
    let merged = found.values().filter(|result| result["supersedes"].is_array()).count();
    assert_eq!(merged, 1, "{found:?}");
    let expected: BTreeMap<_, _> =
        newest(&found).into_iter().map(|(window, result)| (window, row_of(&result))).collect();
    assert_eq!(rows(&mut cluster.client(), "\"odd \"\"name\""), expected);

    // Run again, the same results take the place of themselves.
    assert!(place.run(&[], &[]).status.success());
    assert_eq!(rows(&mut cluster.client(), "\"odd \"\"name\""), expected);
}

fn result(window_id: &str, revision: u32, count: i64) -> EncodedResult {
    let record = ResultRecord {
        key_fields: BTreeMap::from([("model".into(), ResultKey::Text("a".into()))]),
        results: BTreeMap::from([("count".into(), json!(count))]),
        pane: Pane { revision, timing: PaneTiming::OnTime },
        window_id: window_id.into(),
        result_id: format!("{window_id}-{revision}"),
        ..record("model=a")
    };
    EncodedResult { json: serde_json::to_vec(&record).unwrap(), record }
}

fn output(results: Vec<EncodedResult>) -> Arc<Output> {
    Arc::new(Output { results, ..Output::default() })
}

fn sink(cluster: &Cluster, table: &str) -> PostgresSink {
    let table = TableName::parse(table).unwrap();
    let settings = PostgresSettings { url: cluster.url(), table, batch_size: 2 };
    let brief = Duration::from_millis(20);
    PostgresSink::new(settings, Waiting { initial: brief, longest: brief, ..Waiting::default() })
        .unwrap()
}

fn feed(lineage: &str, delivered: u64, newest: u64) -> Feed {
    let key = FeedKey { name: "instance".into(), partition: 0 };
    Feed { key, lineage: lineage.into(), delivered, newest: Some(newest) }
}

/// Hands over numbered results and syncs.
fn hand(sink: &mut PostgresSink, results: &[(u64, &str, u32, i64)]) -> ProcessorResult<()> {
    let feed = feed("", 0, 0).key;
    for (number, window, revision, count) in results {
        sink.deliver_at(&feed, *number, &output(vec![result(window, *revision, *count)]))?;
    }
    sink.sync()
}

/// Window, revision and count of every row.
fn seen(cluster: &Cluster, table: &str) -> Vec<(String, i64, i64)> {
    let query = format!(
        "SELECT window_id, revision, (results->>'count')::bigint FROM {table} ORDER BY window_id"
    );
    let rows = cluster.client().query(&query, &[]).unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

fn row(window: &str, revision: i64, count: i64) -> (String, i64, i64) {
    (window.to_owned(), revision, count)
}

#[test]
fn rows_cursors_and_tables_follow_their_laws() {
    let Some(cluster) = Cluster::start() else { return };
    newer_revisions_take_the_place_of_older_ones(&cluster);
    what_the_table_has_is_left_out(&cluster);
    of_two_with_one_outbox_the_later_writes(&cluster);
    a_history_begun_anew_takes_the_place_of_the_old_one(&cluster);
    what_was_set_back_is_refused(&cluster);
    a_table_of_another_shape_is_refused(&cluster);
    nul_and_far_times_are_written(&cluster);
    a_refused_login_ends_the_run(&cluster);
    a_pipeline_in_code_writes_its_results(&cluster);
}

fn a_pipeline_in_code_writes_its_results(cluster: &Cluster) {
    use llm_optimizer_processor as library;
    let sink = library::PostgresSink::new(cluster.url()).with_table("in_code").with_batch_size(7);
    let event = json!({"timestamp": "2026-01-01T00:00:01Z", "value": 7.0});
    let pipeline = library::create_pipeline::<Value>()
        .with_source(vec![event])
        .with_watermark_generator(library::BoundedOutOfOrdernessWatermark::new(Duration::ZERO))
        .with_tumbling_window(Duration::from_mins(1))
        .with_state_backend(Arc::new(library::MemoryStateBackend::new()))
        .with_sink(sink)
        .build()
        .unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(pipeline.run()).unwrap();
    assert_eq!(seen(cluster, "in_code").first().map(|row| row.2), Some(1));
}

fn newer_revisions_take_the_place_of_older_ones(cluster: &Cluster) {
    let mut sink = sink(cluster, "a");
    sink.deliver(&output(vec![result("x", 1, 10), result("y", 0, 1), result("x", 2, 20)])).unwrap();
    sink.deliver(&output(vec![result("x", 1, 11)])).unwrap();
    assert_eq!(seen(cluster, "a"), [row("x", 2, 20), row("y", 0, 1)]);
    let mut merged = result("z", 0, 30);
    merged.record.supersedes = vec!["x-2".into(), "y-0".into()];
    sink.deliver(&output(vec![result("w", 0, 5), merged])).unwrap();
    assert_eq!(seen(cluster, "a"), [row("w", 0, 5), row("z", 0, 30)]);
    // One that was superseded at an older revision stays.
    let mut late = result("v", 0, 1);
    late.record.supersedes = vec!["q-0".into()];
    sink.deliver(&output(vec![result("q", 1, 1)])).unwrap();
    sink.deliver(&output(vec![late])).unwrap();
    assert_eq!(seen(cluster, "a").len(), 4);
}

fn what_the_table_has_is_left_out(cluster: &Cluster) {
    let mut first = sink(cluster, "b");
    first.attach(&feed("l", 0, 9));
    hand(&mut first, &[(1, "x", 0, 1), (2, "x", 1, 2), (5, "y", 0, 3), (7, "z", 0, 4)]).unwrap();
    // It died before the outbox knew: everything comes again, and only what is new is written.
    let mut second = sink(cluster, "b");
    second.attach(&feed("l", 0, 9));
    hand(&mut second, &[(5, "other", 0, 9), (7, "z", 0, 99), (8, "z", 1, 5)]).unwrap();
    assert_eq!(seen(cluster, "b"), [row("x", 1, 2), row("y", 0, 3), row("z", 1, 5)]);
    let position: i64 = cluster
        .client()
        .query_one("SELECT position FROM processor_cursors WHERE target = 'b'", &[])
        .unwrap()
        .get(0);
    assert_eq!(position, 8);
}

fn of_two_with_one_outbox_the_later_writes(cluster: &Cluster) {
    let (mut one, mut other) = (sink(cluster, "c"), sink(cluster, "c"));
    one.attach(&feed("l", 0, 9));
    hand(&mut one, &[(1, "x", 0, 1)]).unwrap();
    other.attach(&feed("l", 1, 9));
    hand(&mut other, &[(2, "x", 1, 2)]).unwrap();
    let error = hand(&mut one, &[(2, "x", 1, 77)]).unwrap_err();
    assert!(matches!(error, ProcessorError::Fenced { .. }) && error.is_final(), "{error}");
    hand(&mut other, &[(3, "x", 2, 3)]).unwrap();
    assert_eq!(seen(cluster, "c"), [row("x", 2, 3)]);
}

fn a_history_begun_anew_takes_the_place_of_the_old_one(cluster: &Cluster) {
    let mut old = sink(cluster, "d");
    old.attach(&feed("old", 0, 9));
    hand(&mut old, &[(1, "x", 5, 1), (2, "y", 0, 1)]).unwrap();
    let mut anew = sink(cluster, "d");
    anew.attach(&feed("new", 0, 1));
    hand(&mut anew, &[(1, "x", 0, 2)]).unwrap();
    assert_eq!(seen(cluster, "d"), [row("x", 0, 2), row("y", 0, 1)]);
    assert!(hand(&mut old, &[(3, "x", 6, 3)]).unwrap_err().is_final());
}

fn what_was_set_back_is_refused(cluster: &Cluster) {
    let mut first = sink(cluster, "e");
    first.attach(&feed("l", 0, 9));
    hand(&mut first, &[(6, "x", 0, 1)]).unwrap();
    let refused = |delivered, newest| {
        let mut sink = sink(cluster, "e");
        sink.attach(&feed("l", delivered, newest));
        let error = hand(&mut sink, &[(newest.max(7), "x", 1, 1)]).unwrap_err();
        assert!(error.is_final(), "{error}");
        error.to_string()
    };
    assert!(refused(8, 9).contains("the database was set back"));
    assert!(refused(2, 5).contains("the state is an older copy"));
    cluster.client().batch_execute("DROP TABLE e").unwrap();
    assert!(refused(6, 9).contains("was gone"), "{}", refused(6, 9));
    // The remedy that the message names.
    cluster.client().batch_execute("DELETE FROM processor_cursors WHERE target = 'e'").unwrap();
    let mut sink = sink(cluster, "e");
    sink.attach(&feed("l", 6, 9));
    hand(&mut sink, &[(7, "y", 0, 1)]).unwrap();
    assert_eq!(seen(cluster, "e"), [row("y", 0, 1)]);
}

fn a_table_of_another_shape_is_refused(cluster: &Cluster) {
    cluster
        .client()
        .batch_execute("CREATE TABLE f (window_id text, revision integer, note text NOT NULL)")
        .unwrap();
    let error = sink(cluster, "f").deliver(&output(vec![result("x", 0, 1)])).unwrap_err();
    let text = error.to_string();
    assert!(error.is_final(), "{text}");
    for words in [
        "column pipeline (text) is missing",
        "column revision is integer, not bigint",
        "column note is NOT NULL and has no default",
        "no unique index is on (window_id)",
    ] {
        assert!(text.contains(words), "{text}");
    }
    // Columns of the user's own may be there.
    sink(cluster, "g").deliver(&output(vec![result("x", 0, 1)])).unwrap();
    let own = "ALTER TABLE g ADD n bigint GENERATED ALWAYS AS ((results->>'count')::bigint) STORED";
    cluster.client().batch_execute(own).unwrap();
    sink(cluster, "g").deliver(&output(vec![result("x", 1, 7)])).unwrap();
    let n: i64 = cluster.client().query_one("SELECT n FROM g", &[]).unwrap().get(0);
    assert_eq!(n, 7);
    // A schema is not created.
    let error = sink(cluster, "nowhere.h").deliver(&output(vec![result("x", 0, 1)])).unwrap_err();
    assert!(error.is_final() && error.to_string().contains("nowhere"), "{error}");
}

fn nul_and_far_times_are_written(cluster: &Cluster) {
    let mut odd = result("x", 0, 1);
    odd.record.window.key = "model=a\0b".into();
    odd.record.key_fields.insert("model".into(), ResultKey::Text("a\0b".into()));
    odd.record.window.start = "-271821-04-20T00:00:00.000Z".into();
    odd.record.window.end = "+275760-09-13T00:00:00.000Z".into();
    sink(cluster, "i").deliver(&output(vec![odd])).unwrap();
    let query = "SELECT key, key_fields->>'model', window_start::text, extract(epoch FROM window_end)::bigint FROM i";
    let row = cluster.client().query_one(query, &[]).unwrap();
    let found: (String, String, String, i64) = (row.get(0), row.get(1), row.get(2), row.get(3));
    let expected = ("model=a\u{fffd}b", "a\u{fffd}b", "-infinity", 8_640_000_000_000_i64);
    assert_eq!((found.0.as_str(), found.1.as_str(), found.2.as_str(), found.3), expected);
}

fn a_refused_login_ends_the_run(cluster: &Cluster) {
    let url = cluster.url().replace("/postgres", "/nothing");
    let settings = PostgresSettings { url, table: TableName::parse("a").unwrap(), batch_size: 2 };
    let mut sink = PostgresSink::new(settings, Waiting::default()).unwrap();
    let error = sink.deliver(&output(vec![result("x", 0, 1)])).unwrap_err();
    assert!(error.is_final() && error.to_string().contains("3D000"), "{error}");
}

/// How many rows a second arrive: `cargo test --release … -- --ignored --nocapture rows_per_second`.
#[test]
#[ignore = "a measurement"]
fn rows_per_second() {
    let Some(cluster) = Cluster::start() else { return };
    let results: Vec<EncodedResult> =
        (0..200_000).map(|n| result(&format!("{n:032x}"), 0, n)).collect();
    for batch_size in [100, 1_000, 10_000] {
        let table = TableName::parse(&format!("t{batch_size}")).unwrap();
        let settings = PostgresSettings { url: cluster.url(), table, batch_size };
        let mut sink = PostgresSink::new(settings, Waiting::default()).unwrap();
        sink.attach(&feed("l", 0, 9_999));
        let feed = feed("l", 0, 0).key;
        for (number, results) in (1_u64..).zip(results.chunks(100)) {
            sink.deliver_at(&feed, number, &output(results.to_vec())).unwrap();
        }
        let begun = Instant::now();
        sink.sync().unwrap();
        let rate = results.len() as f64 / begun.elapsed().as_secs_f64();
        eprintln!("batch_size {batch_size}: {rate:.0} rows/s");
    }
}
