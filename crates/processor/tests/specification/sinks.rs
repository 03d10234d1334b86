//! File 2: the builder's example with all sinks, and the real-time dashboard.

use std::{
    error::Error,
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use llm_optimizer_processor::{
    metrics::{Exposition, Metrics},
    *,
};
use prometheus_client::{encoding::text::encode, registry::Registry};

/// Answers one client and returns the texts it sent.
fn dashboard() -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/metrics", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut socket = tungstenite::accept(stream).unwrap();
        let mut texts = Vec::new();
        while let Ok(message) = socket.read() {
            if let tungstenite::Message::Text(text) = message {
                texts.push(text.to_string());
            }
        }
        texts
    });
    (url, server)
}

#[tokio::test]
async fn results_on_a_dashboard_and_in_a_registry() -> Result<(), Box<dyn Error>> {
    let prometheus_registry = Arc::new(Mutex::new(Registry::default()));
    let own = Arc::new(Metrics::new());
    let (url, server) = dashboard();
    // Written: "ws://dashboard:8080/metrics"
    let dashboard_sink = WebSocketSink::new(url);

    // Written: create_pipeline()
    let pipeline = create_pipeline::<serde_json::Value>()
        .with_source(vec![serde_json::json!({"timestamp": "2026-01-01T00:00:01Z", "value": 7.0})])
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::from_secs(30)))
        .with_tumbling_window(Duration::from_secs(60)) // 1-minute windows
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_sink(dashboard_sink)
        .with_sink(ConsoleSink::new())
        .with_sink(MetricsSink::new(Arc::clone(&prometheus_registry)))
        .with_sink(MetricsSink::new(&own))
        .build()?;
    pipeline.run().await?;

    let texts = server.join().unwrap();
    assert_eq!(texts.len(), 1, "{texts:?}");
    let result: types::ResultRecord = serde_json::from_str(&texts[0])?;
    assert_eq!(result.results["max"], 7.0);
    let mut shown = String::new();
    encode(&mut shown, &prometheus_registry.lock().unwrap())?;
    let line = "statistic=\"max\"} 7.0\n";
    assert!(shown.contains(line), "{shown}");
    assert!(own.export(Exposition::PlainText).contains(line));
    Ok(())
}

#[test]
fn servers_that_cannot_be_are_refused_when_a_pipeline_is_built() {
    let built = create_pipeline::<serde_json::Value>()
        .with_source(vec![serde_json::json!({"timestamp": "2026-01-01T00:00:01Z", "value": 7.0})])
        .with_tumbling_window(Duration::from_secs(60))
        .with_sink(WebSocketSink::new("http://dashboard/"))
        .with_sink(PostgresSink::new("postgres://app:hunter2@h/d?sslmode=maybe"))
        .with_sink(PostgresSink::new("postgres://h/d").with_table("a.b.c"))
        .build();
    let text = built.err().map(|error| error.to_string()).unwrap_or_default();
    for words in ["ws:// or wss://", "sslmode is none of", "more parts than schema and table"] {
        assert!(text.contains(words), "{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}
