//! A table and a WebSocket server behind a Kafka source: restarted, killed, and begun anew.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use llm_optimizer_config::TableName;
use llm_optimizer_processor::sink::{
    Output, ResultSink, Waiting,
    postgres::{PostgresSettings, PostgresSink},
};
use postgres::Client;
use serde_json::Value;

use super::{
    Case, PARTITIONS,
    support::{
        kafka::wait_until,
        postgres::Cluster,
        traffic::{by_revision, newest},
        websocket::{Received, Server},
    },
};

/// Small commits, so that there are enough of them for all points.
const MORE: &str = "  max_commit_bytes: 30000\n";

/// Notes every row that is ever written, whatever takes its place later, and takes its time for it.
const AUDIT: &str = "CREATE TABLE audit (window_id text, revision bigint, generation bigint);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_sleep(0.003); INSERT INTO audit VALUES (NEW.window_id, NEW.revision, NEW.generation); RETURN NEW; END $$;
    CREATE TRIGGER noted AFTER INSERT OR UPDATE ON results FOR EACH ROW EXECUTE FUNCTION note()";

fn number(client: &mut Client, query: &str) -> i64 {
    client.query_one(query, &[]).unwrap().get(0)
}

/// Revision, count and time of the newest row of every window.
fn rows(client: &mut Client) -> BTreeMap<String, (i64, i64, String)> {
    let query = "SELECT window_id, revision, (results->>'count')::bigint, result_id FROM results";
    let rows = client.query(query, &[]).unwrap();
    rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3)))).collect()
}

fn expected(results: &BTreeMap<(String, u64), Value>) -> BTreeMap<String, (i64, i64, String)> {
    let row = |(window, result): (String, Value)| {
        let revision = result["pane"]["revision"].as_i64().unwrap();
        let count = result["results"]["count"].as_i64().unwrap();
        (window, (revision, count, result["result_id"].as_str().unwrap().to_owned()))
    };
    newest(results).into_iter().map(row).collect()
}

/// The table as the sink makes it, before there is anything to write.
fn make_table(cluster: &Cluster) {
    let table = TableName::parse("results").unwrap();
    let settings = PostgresSettings { url: cluster.url(), table, batch_size: 1 };
    let mut sink = PostgresSink::new(settings, Waiting::default()).unwrap();
    sink.deliver(&Arc::new(Output::default())).unwrap();
}

fn is_away(log: &str) -> bool {
    log.contains("delivery failed, trying again") && log.contains("postgres")
}

#[test]
fn a_table_has_each_revision_once_through_restarts_and_kills() {
    let Some(cluster) = Cluster::start() else { return };
    let url = cluster.url();
    let sinks = format!(
        "[ {{ type: file, path: results.ndjson }}, {{ type: postgres, url: '{url}', table: results, batch_size: 50 }} ]"
    );
    let Some(case) = Case::new(15_000, &sinks, MORE) else { return };
    make_table(&cluster);
    cluster.client().batch_execute(AUDIT).unwrap();

    // Killed between the steps of deliveries: the group's cursor is behind the table's.
    for point in ["after_sink_sync:2", "after_sink_sync:3", "after_cursor:2"] {
        case.must_crash(point);
    }
    // The database dies under load, then the processor as well; the database comes back.
    let child = case.place.start(&["--until-end"]);
    let mut client = cluster.client();
    let audited = |client: &mut Client| number(client, "SELECT count(*) FROM audit");
    let before = audited(&mut client);
    case.place.wait_for("log.txt", "rows", |_| audited(&mut cluster.client()) > before);
    drop(client);
    cluster.kill();
    case.place.wait_for("log.txt", "the outage", is_away);
    assert!(child.kill());
    let child = case.place.start(&["--until-end"]);
    case.place.wait_for("log.txt", "the outage", is_away);
    cluster.up();
    assert_eq!(child.wait(), Some(0), "{}", case.place.read("log.txt"));
    let log = case.place.read("log.txt");
    assert!(log.contains("whose offset is in the same transaction of the database"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
    case.must_be_right();

    let mut client = cluster.client();
    let found = by_revision(case.place.read("results.ndjson").lines());
    assert!(rows(&mut client) == expected(&found), "table and file differ");
    let twice = "SELECT count(*) FROM (SELECT 1 FROM audit GROUP BY window_id, revision HAVING count(*) > 1) AS twice";
    assert_eq!(number(&mut client, twice), 0, "revisions were written twice");
    assert!(audited(&mut client) > 500, "{}", audited(&mut client));
    let cursor = "SELECT outbox || ' ' || partition FROM processor_cursors";
    let cursor: String = client.query_one(cursor, &[]).unwrap().get(0);
    assert_eq!(cursor, format!("{} 0", case.outbox()));

    a_new_state_takes_the_place_of_the_old_one(&case, &mut client);
}

/// Revisions of a new state count from 0 again, and stand above those of the old one.
fn a_new_state_takes_the_place_of_the_old_one(case: &Case, client: &mut Client) {
    let before = rows(client);
    client
        .batch_execute("UPDATE results SET revision = revision + 100, result_id = 'old'")
        .unwrap();
    let newest = "SELECT max(generation) FROM results";
    let generation = number(client, newest);
    let output = case.place.run(&["--until-end", "--new-state"], &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(number(client, newest) > generation);
    // How often a window fired depends on how partitions interleave; what is in it does not.
    let counts = |rows: &BTreeMap<String, (i64, i64, String)>| -> Vec<(String, i64)> {
        rows.iter().map(|(window, (_, count, _))| (window.clone(), *count)).collect()
    };
    assert!(counts(&rows(client)) == counts(&before), "the same input gives other rows");
    assert_eq!(number(client, "SELECT count(*) FROM results WHERE result_id = 'old'"), 0);
}

#[test]
fn what_waits_for_a_database_is_counted_and_holds_nothing_else_up() {
    let Some(cluster) = Cluster::start() else { return };
    let url = cluster.url();
    let sinks = format!(
        "[ {{ type: file, path: results.ndjson }}, {{ type: postgres, url: '{url}', table: results }} ]"
    );
    let more = format!("{MORE}  http: {{ bind: \"127.0.0.1:0\" }}\n  shutdown_timeout_secs: 1\n");
    let Some(case) = Case::new(1_500, &sinks, &more) else { return };
    cluster.kill();
    let yaml = case.place.read("c.yaml").replace(
        "max_out_of_orderness_secs: 5",
        "max_out_of_orderness_secs: 5, idle_timeout_secs: 0, max_future_skew_secs: 100000000",
    );
    case.place.write("c.yaml", yaml.as_bytes());
    let child = case.place.start(&[]);
    case.place.wait_for("log.txt", "the address", |log| log.contains("http server listens"));
    let log = case.place.read("log.txt");
    let (_, rest) = log.split_once("address=").unwrap();
    let address = rest.split_whitespace().next().unwrap().to_owned();
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let agent: ureq::Agent = config.build().into();
    let get = |path: &str| {
        let mut answer = agent.get(format!("http://{address}{path}")).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    let metric = |name: &str| -> f64 {
        let (_, text) = get("/metrics");
        let of = |line: &&str| line.starts_with(name) && line[name.len()..].starts_with(['{', ' ']);
        text.lines()
            .filter(of)
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    };
    let all = i64::from(PARTITIONS) * 1_500;
    wait_until("all input is committed", || {
        case.broker.committed(&case.group, &case.input, PARTITIONS) == all
    });
    wait_until("what waits is counted", || metric("processor_outbox_records") >= 2.0);
    assert!(metric("processor_outbox_bytes") > 1_000.0);
    assert!(metric("processor_sink_retries_total") >= 1.0);
    assert!(metric("processor_outbox_max_bytes") > 1e6);
    let (status, health) = get("/health");
    assert!(status == 200 && health.contains("\"sink\""), "{status} {health}");
    assert_eq!(get("/readyz").0, 200, "a sink that is waited for takes nothing from readiness");
    assert!(case.place.read("results.ndjson").lines().count() > 10, "the file does not wait");
    cluster.up();
    wait_until("nothing waits", || {
        metric("processor_outbox_bytes") < 0.5 && metric("processor_outbox_records") < 0.5
    });
    assert!(!get("/health").1.contains("\"sink\""));
    let file = by_revision(case.place.read("results.ndjson").lines());
    assert!(rows(&mut cluster.client()) == expected(&file));
    child.terminate();
    assert_eq!(child.wait(), Some(0), "{}", case.place.read("log.txt"));
}

#[test]
fn a_websocket_server_misses_nothing_through_deaths_and_kills() {
    let received = Arc::new(Received::default());
    let mut server = Server::start("127.0.0.1:0", &received, 100, false);
    let address = server.address.to_string();
    let sinks = format!(
        "[ {{ type: file, path: results.ndjson }}, {{ type: websocket, url: 'ws://{address}/', batch_size: 40 }} ]"
    );
    let Some(case) = Case::new(15_000, &sinks, MORE) else { return };
    let outage = |log: &str| log.contains("delivery failed, trying again");
    let child = case.place.start(&["--until-end"]);
    server.died();
    case.place.wait_for("log.txt", "the outage", outage);
    let mut server = Server::start(&address, &received, 150, false);
    server.died();
    assert!(child.kill());
    let seen = received.messages.lock().unwrap().len();
    // Nobody is there when it starts again.
    let child = case.place.start(&["--until-end"]);
    case.place.wait_for("log.txt", "the outage", outage);
    let _server = Server::start(&address, &received, usize::MAX, false);
    assert_eq!(child.wait(), Some(0), "{}", case.place.read("log.txt"));
    let log = case.place.read("log.txt");
    assert!(log.contains("each record at least once: by way of the outbox topic"), "{log}");
    case.must_be_right();
    let messages = received.messages.lock().unwrap();
    assert!(messages.len() > seen);
    // Of what came twice `by_revision` sees to it that it is the same.
    let found = by_revision(messages.iter().map(String::as_str));
    let file = by_revision(case.place.read("results.ndjson").lines());
    assert!(found == file, "{} of {} results arrived", found.len(), file.len());
    let connections = received.connections.load(Ordering::Relaxed);
    assert!(connections >= 3, "{connections}");
    let most = file.len() + connections * 40 + 200;
    assert!(messages.len() <= most, "{} messages for {} results", messages.len(), file.len());
}
