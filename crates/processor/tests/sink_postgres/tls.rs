//! The Postgres sink over TLS: whom it trusts, by `sslmode`.

use std::{fs, time::Duration};

use llm_optimizer_config::TableName;
use llm_optimizer_processor::{
    ProcessorError, ProcessorResult,
    sink::{
        ResultSink, Waiting,
        postgres::{PostgresSettings, PostgresSink},
    },
};

use super::{
    output, result, row, seen,
    support::{certificates::Authority, postgres::Cluster},
};

/// Writes one row to the table `tls`; the sink, which is still connected.
fn write(url: String, count: i64) -> ProcessorResult<PostgresSink> {
    let table = TableName::parse("tls").unwrap();
    let settings = PostgresSettings { url, table, batch_size: 1 };
    let waiting = Waiting { initial: Duration::ZERO, ..Waiting::default() };
    let mut sink = PostgresSink::new(settings, waiting)?;
    sink.deliver(&output(vec![result("x", 0, count)]))?;
    Ok(sink)
}

#[test]
fn a_server_is_trusted_as_sslmode_says() {
    let (authority, stranger) = (Authority::new("known"), Authority::new("strange"));
    let Some(cluster) = Cluster::start_tls(&authority.identity("localhost")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    let (known, strange) = (file("known.pem", &authority.pem), file("strange.pem", &stranger.pem));
    let url = |host: &str, mode: &str, roots: &str| {
        let roots = if roots.is_empty() { String::new() } else { format!("&sslrootcert={roots}") };
        cluster.url_over_tls(host, &format!("sslmode={mode}{roots}"))
    };
    let trusted = [
        ("localhost", "verify-full", known.as_str()),
        ("127.0.0.1", "verify-ca", &known),
        ("127.0.0.1", "require", &known),
        ("127.0.0.1", "require", ""),
        ("127.0.0.1", "prefer", ""),
    ];
    for (count, (host, mode, roots)) in (1..).zip(trusted) {
        let sink = write(url(host, mode, roots), count);
        let sink = sink.unwrap_or_else(|error| panic!("{host} {mode} {roots}: {error}"));
        assert_eq!(seen(&cluster, "tls"), [row("x", 0, count)], "{host} {mode}");
        let encrypted = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                         WHERE application_name = 'llm-optimizer-processor'";
        let rows = cluster.client().query(encrypted, &[]).unwrap();
        let encrypted: Vec<bool> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(encrypted, [true], "{host} {mode}");
        drop(sink);
        super::wait_until("the end of the connection", || {
            let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'llm-optimizer-processor'";
            cluster.client().query_one(count, &[]).unwrap().get::<_, i64>(0) == 0
        });
    }
    let refused = [
        ("127.0.0.1", "verify-full", known.as_str(), "certificate"),
        ("localhost", "verify-full", &strange, "UnknownIssuer"),
        ("localhost", "verify-ca", &strange, "UnknownIssuer"),
        ("localhost", "require", &strange, "UnknownIssuer"),
    ];
    for (host, mode, roots, reason) in refused {
        let Err(error) = write(url(host, mode, roots), 99) else { panic!("{mode} takes {host}") };
        let error = error.to_string();
        assert!(error.contains(reason), "{host} {mode}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    // The server takes nobody without TLS, and that is not waited for.
    let error = write(url("127.0.0.1", "disable", ""), 99).err().unwrap();
    assert!(matches!(error, ProcessorError::Config(_)), "{error}");
    let error = write(url("localhost", "verify-full", "/nowhere.pem"), 99).err().unwrap();
    assert!(error.is_final() && error.to_string().contains("/nowhere.pem"), "{error}");
    assert_eq!(seen(&cluster, "tls"), [row("x", 0, 5)]);
}
