//! Pipelines that begin with a configuration.

use std::path::Path;

use llm_optimizer_config::{ProcessorConfig, load_str};
use serde_json::Value;

use super::{building::faults, *};
use crate::{FeedbackEvent, ProcessorError};

/// The configuration in `yaml`, `DIR` in it being `folder`.
fn config(folder: &Path, yaml: &str) -> ProcessorConfig {
    let yaml = yaml.replace("DIR", &folder.display().to_string());
    load_str(&yaml, "test.yaml", std::iter::empty()).unwrap().config
}

const POINTS: &str = r#"{"name":"latency","value":80,"unit":"ms","timestamp":"1970-01-01T00:00:10Z"}
{"name":"latency","value":20,"unit":"ms","timestamp":"1970-01-01T00:00:40Z"}
{"name":"latency","value":5,"unit":"ms","timestamp":"1970-01-01T00:01:40Z"}
{"name":"latency","value":7,"unit":"ms","timestamp":"1970-01-01T00:00:20Z"}
nonsense
"#;

const PLAIN: &str = "processor:
  source: { type: file, path: DIR/events.ndjson }
  windows: { default_type: tumbling, tumbling: { size_secs: 60, allowed_lateness_secs: 0 } }
  watermark: { max_out_of_orderness_secs: 0 }
  aggregation: { enabled: [count, sum] }
  sinks: [{ type: file, path: DIR/results.ndjson }]
  side_outputs: { late: { type: file, path: DIR/late.ndjson }, dead_letter: { type: file, path: DIR/dead.ndjson } }
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("events.ndjson"), POINTS).unwrap();
    folder
}

#[tokio::test]
async fn everything_a_file_says_is_done() {
    let folder = folder();
    let config = config(folder.path(), PLAIN);
    let (results, report) = run(StreamPipelineBuilder::<FeedbackEvent>::from_config(&config)).await;
    assert_eq!(
        lines(&results),
        ["[0,60) name=latency n=2 sum=100", "[60,120) name=latency n=1 sum=5"]
    );
    assert_eq!(results[0].results.len(), 2, "count and sum");
    assert_eq!((report.first.late_dropped, report.first.dead_lettered), (1, 1));
    let lines_in =
        |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap().lines().count();
    assert_eq!(["results.ndjson", "late.ndjson", "dead.ndjson"].map(lines_in), [2, 1, 1]);
}

#[tokio::test]
async fn what_is_said_in_code_counts_instead() {
    let folder = folder();
    let config = config(folder.path(), PLAIN);
    let builder = StreamPipelineBuilder::<FeedbackEvent>::from_config(config)
        .with_name("mine")
        .with_allowed_lateness(secs(60))
        .with_aggregations([crate::aggregation::Function::Count, crate::aggregation::Function::Sum])
        .filter(|event| event.default_value() != Some(20.0))
        .with_key(|_| GroupingKey::new("all"));
    let (results, report) = run(builder).await;
    assert_eq!(lines(&results).last().unwrap(), "[60,120) all n=1 sum=5");
    assert!(lines(&results).contains(&"[0,60) all n=2 sum=87".to_owned()));
    assert_eq!((report.first.late_dropped, report.first.filtered), (0, 1));
    assert!(report.pipelines.contains_key("mine"));
}

#[tokio::test]
async fn section_event_describes_records_of_any_type() {
    let folder = folder();
    let event =
        "  event: { profile: custom, timestamp: timestamp, key: [unit], values: { v: value } }\n";
    let described = config(folder.path(), &format!("{PLAIN}{event}"));
    let (results, _) = run(StreamPipelineBuilder::<Value>::from_config(&described)).await;
    assert_eq!(lines(&results), ["[0,60) unit=ms n=2 sum=100", "[60,120) unit=ms n=1 sum=5"]);

    let twice = StreamPipelineBuilder::<Value>::from_config(&described).filter(|_| true);
    let fault = faults(twice).concat();
    assert!(fault.starts_with("`event` of the configuration says what time, key"), "{fault}");
}

#[test]
fn configuration_put_together_in_code_is_checked() {
    let broken = ProcessorConfig {
        source: Some(serde_json::from_str(r#"{"type":"file"}"#).unwrap()),
        ..ProcessorConfig::default()
    };
    let built = StreamPipelineBuilder::<FeedbackEvent>::from_config(broken).build();
    let Err(ProcessorError::Config(reason)) = built.map(|_| ()) else { panic!("it was built") };
    assert!(reason.contains("source.path is missing"), "{reason}");
}

#[tokio::test]
async fn state_lives_where_the_file_says_and_the_next_run_goes_on() {
    let folder = folder();
    let state = "  state: { path: DIR/state }\n";
    let config = config(folder.path(), &format!("{PLAIN}{state}"));
    let build = || StreamPipelineBuilder::<FeedbackEvent>::from_config(&config);
    let (first, _) = run(build()).await;
    assert_eq!(first.len(), 2);
    let more = r#"{"name":"latency","value":9,"unit":"ms","timestamp":"1970-01-01T00:05:00Z"}"#;
    let events = folder.path().join("events.ndjson");
    std::fs::write(&events, format!("{POINTS}{more}\n")).unwrap();
    let (second, report) = run(build()).await;
    assert_eq!(lines(&second), ["[300,360) name=latency n=1 sum=9"]);
    assert_eq!((report.first.records_read, report.first.accepted), (6, 4), "over both runs");
    let written = std::fs::read_to_string(folder.path().join("results.ndjson")).unwrap();
    assert_eq!(written.lines().count(), 3, "the file goes on");
    let refused = build().with_tumbling_window(secs(30)).with_sink(crate::ConsoleSink::new());
    let error = refused.build().unwrap().run().await.unwrap_err().to_string();
    assert!(error.contains("tumbling size 60000 ms") && error.contains("30000 ms"), "{error}");
}

#[tokio::test]
async fn trigger_of_the_file_gives_early_results() {
    let folder = folder();
    let yaml = PLAIN.replace("windows: {", "windows: { trigger: { count: 1 },");
    let (results, _) =
        run(StreamPipelineBuilder::<FeedbackEvent>::from_config(config(folder.path(), &yaml)))
            .await;
    assert!(results.len() > 2, "{results:?}");
}
