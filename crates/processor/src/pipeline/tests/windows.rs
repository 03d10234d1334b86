//! Results that were computed by hand.

use super::*;
use crate::{aggregation::Function, source::file::FileSourceConfig, types::FeedbackEvent};

#[tokio::test]
async fn tumbling_windows_count_each_event_once() {
    let events = vec![
        event("a", 0.0, 1.0),
        event("a", 59.999, 2.0),
        event("b", 30.0, 10.0),
        event("a", 60.0, 4.0),
    ];
    let (results, report) = run(pipeline(events).with_tumbling_window(secs(60))).await;
    assert_eq!(
        lines(&results),
        ["[0,60) series=a n=2 sum=3", "[0,60) series=b n=1 sum=10", "[60,120) series=a n=1 sum=4"]
    );
    assert_eq!((report.first.accepted, report.first.windows_fired), (4, 3));
    assert_eq!(report.ended_by, "end_of_input");
}

#[tokio::test]
async fn sliding_windows_overlap() {
    let events = vec![event("a", 0.0, 1.0), event("a", 70.0, 2.0), event("a", 130.0, 4.0)];
    let (results, _) = run(pipeline(events).with_sliding_window(secs(120), secs(60))).await;
    assert_eq!(
        lines(&results),
        [
            "[-60,60) series=a n=1 sum=1",
            "[0,120) series=a n=2 sum=3",
            "[120,240) series=a n=1 sum=4",
            "[60,180) series=a n=2 sum=6",
        ]
    );
}

#[tokio::test]
async fn sessions_end_after_silence_per_key() {
    let events = vec![
        event("a", 0.0, 1.0),
        event("b", 5.0, 8.0),
        event("a", 10.0, 2.0), // touches
        event("a", 20.001, 4.0),
    ];
    let (results, _) = run(pipeline(events).with_session_window(secs(10))).await;
    assert_eq!(
        lines(&results),
        [
            "[0,20) series=a n=2 sum=3",
            "[20.001,30.001) series=a n=1 sum=4",
            "[5,15) series=b n=1 sum=8"
        ]
    );
}

#[tokio::test]
async fn every_statistic_of_the_specification_is_computed_by_default() {
    let events = (1..=5).map(|n| event("a", f64::from(n), f64::from(n) * 10.0)).collect();
    let (results, _) = run(pipeline(events).with_tumbling_window(secs(60))).await;
    for (name, value) in [
        ("count", 5.0),
        ("sum", 150.0),
        ("average", 30.0),
        ("min", 10.0),
        ("max", 50.0),
        ("stddev", 200_f64.sqrt()),
        ("p50", 30.0),
        ("p95", 50.0),
        ("p99", 50.0),
    ] {
        let found = results[0].statistic(name).unwrap();
        assert!((found - value).abs() < 1e-9, "{name} is {found}");
    }
    assert_eq!(results[0].results.len(), 9);
}

#[tokio::test]
async fn chosen_statistics_of_several_values_carry_the_name_of_their_value() {
    let events = vec![event("a", 0.0, 1.0), event("a", 1.0, 3.0)];
    let builder = pipeline(events)
        .with_tumbling_window(secs(60))
        .with_value("size", |event| event.value)
        .with_value("cost", |event| event.value * 100.0)
        .with_aggregations([Function::Count, Function::Max])
        .with_percentiles([99.9]);
    let (results, _) = run(builder).await;
    let mut found: Vec<_> = results[0].results.iter().map(|(n, v)| format!("{n}={v}")).collect();
    found.sort();
    assert_eq!(
        found,
        ["cost_max=300.0", "cost_p99.9=300.0", "count=2", "size_max=3.0", "size_p99.9=3.0"]
    );
}

#[tokio::test]
async fn events_that_are_only_counted_need_no_value() {
    #[derive(Serialize, Deserialize)]
    struct Click {
        timestamp: DateTime<Utc>,
    }
    let clicks =
        vec![Click { timestamp: DateTime::UNIX_EPOCH }, Click { timestamp: DateTime::UNIX_EPOCH }];
    let builder = create_pipeline::<Click>()
        .with_source(clicks)
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::ZERO))
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_tumbling_window(secs(1))
        .with_aggregations([Function::Count]);
    let (results, _) = run(builder).await;
    assert_eq!((results.len(), &results[0].results["count"]), (1, &2.into()));
    assert_eq!(results[0].window.key, None);
}

const FEEDBACK: [&str; 4] = [
    r#"{"name":"latency","value":80.0,"unit":"ms","timestamp":"2026-03-01T08:00:00Z","tags":{}}"#,
    r#"{"name":"latency","value":20.0,"unit":"ms","timestamp":"2026-03-01T08:00:01Z","tags":{}}"#,
    r#"{"type":"user_feedback","id":"1","timestamp":"2026-03-01T08:00:02Z","session_id":"s","request_id":"r","rating":null,"task_completed":true,"response_edited":false,"response_regenerated":false,"response_saved":false,"response_shared":false}"#,
    r#"{"type":"user_feedback","id":"1","timestamp":"2026-03-01T08:00:02Z","session_id":"s","request_id":"r","rating":4,"task_completed":true,"response_edited":false,"response_regenerated":false,"response_saved":false,"response_shared":false}"#,
];

fn feedback() -> StreamPipelineBuilder<FeedbackEvent> {
    let events: Vec<FeedbackEvent> =
        FEEDBACK.iter().map(|json| serde_json::from_str(json).unwrap()).collect();
    create_pipeline::<FeedbackEvent>()
        .with_source(events)
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::ZERO))
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_tumbling_window(secs(60))
}

#[tokio::test]
async fn feedback_events_say_by_themselves_what_their_key_and_value_are() {
    let (by_profile, report) = run(feedback()).await;
    let mut found: Vec<_> =
        by_profile.iter().map(|r| line(r).split_once(' ').unwrap().1.to_owned()).collect();
    found.sort();
    assert_eq!(found, ["name=latency n=2 sum=100", "session_id=s n=1 sum=4"]);
    assert_eq!((report.first.accepted, report.first.filtered), (3, 1));

    // The same by way of the type, once one extractor is given.
    let at = |event: &FeedbackEvent| event.timestamp().unwrap();
    let (by_type, report) = run(feedback().with_timestamp(at)).await;
    assert_eq!(lines(&by_type), lines(&by_profile));
    assert_eq!((report.first.accepted, report.first.filtered), (3, 1));
}

#[tokio::test]
async fn files_of_json_and_csv_give_typed_events() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("events.ndjson");
    let csv = folder.path().join("events.csv");
    let lines_of = |events: &[CustomEvent]| -> String {
        events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect()
    };
    let events = [event("a,\"1\"", 1.0, 1.5), event("b", 2.0, 2.0)];
    std::fs::write(&json, lines_of(&events) + "nonsense\n").unwrap();
    let table = "value,metric_name,timestamp\n1.5,\"a,\"\"1\"\"\",1970-01-01T00:00:01Z\n\
                 2,b,1970-01-01T00:00:02Z\n3,c,1970-01-01T00:00:03Z,4\n";
    std::fs::write(&csv, table).unwrap();
    for source in [FileSourceConfig::ndjson(json), FileSourceConfig::csv(csv)] {
        let builder = pipeline(vec![]).with_tumbling_window(secs(60)).with_source(source);
        let (results, report) = run(builder).await;
        assert_eq!(
            lines(&results),
            [r#"[0,60) series=a,"1" n=1 sum=1.5"#, "[0,60) series=b n=1 sum=2"]
        );
        assert_eq!(report.first.dead_lettered, 1);
    }
}
