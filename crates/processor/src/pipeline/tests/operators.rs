//! What becomes of events on their way through operators.

use llm_optimizer_types::{SideReason, SideRecord};

use super::*;
use crate::{FeedbackEvent, aggregation::Function};

/// A document with several readings, each with its own time.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Document {
    at_secs: f64,
    host: String,
    readings: Vec<(f64, f64)>,
}

fn document(at_secs: f64, host: &str, readings: &[(f64, f64)]) -> Document {
    Document { at_secs, host: host.into(), readings: readings.to_vec() }
}

fn at(secs: f64) -> DateTime<Utc> {
    event("", secs, 0.0).timestamp
}

fn documents(documents: Vec<Document>) -> StreamPipelineBuilder<Document> {
    create_pipeline::<Document>()
        .with_source(documents)
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::ZERO))
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_tumbling_window(secs(60))
}

/// Each record in one of: accepted, filtered, late, dead letter; and how many lost a part.
fn fates(report: &RunReport) -> [u64; 5] {
    let first = &report.first;
    let fates = [first.accepted, first.filtered, first.late_dropped, first.dead_lettered];
    assert_eq!(fates.iter().sum::<u64>(), first.records_read);
    let [accepted, filtered, late, dead] = fates;
    [accepted, filtered, late, dead, first.lost_in_part]
}

#[tokio::test]
async fn filtered_event_is_counted_and_moves_the_watermark() {
    let events = vec![event("a", 10.0, 1.0), event("a", 100.0, -1.0), event("a", 20.0, 2.0)];
    let kept = |event: &CustomEvent| event.value > 0.0;
    for builder in [
        pipeline(events.clone()).filter(kept), // by its field
        pipeline(events.clone()).with_timestamp(|e| e.timestamp).filter(kept),
        pipeline(events).filter(kept).with_timestamp(|e| e.timestamp),
    ] {
        let (results, report) = run(builder.with_tumbling_window(secs(60))).await;
        assert_eq!(lines(&results), ["[0,60) series=a n=1 sum=1"]);
        assert_eq!(fates(&report), [1, 1, 1, 0, 0], "the third is late after the second");
    }
}

#[tokio::test]
async fn event_dropped_before_its_time_is_known_is_filtered_and_moves_nothing() {
    let builder = documents(vec![
        document(10.0, "a", &[(0.0, 1.0)]),
        document(100.0, "b", &[(0.0, 1.0)]),
        document(20.0, "a", &[(0.0, 2.0)]),
    ]);
    let builder = builder
        .filter(|document| document.host == "a")
        .map(|document| (document.at_secs, document.readings[0].1))
        .with_timestamp(|(secs, _)| at(*secs))
        .with_value("n", |(_, value)| *value);
    let (results, report) = run(builder).await;
    assert_eq!(lines(&results), ["[0,60) - n=2 sum=3"]);
    assert_eq!(fates(&report), [2, 1, 0, 0, 0]);
}

#[tokio::test]
async fn extractor_is_asked_only_for_events_that_pass_the_filter() {
    let events = vec![document(1.0, "a", &[]), document(2.0, "b", &[(0.0, 7.0)])];
    let builder = documents(events)
        .with_timestamp(|document| at(document.at_secs))
        .with_value("first", |document| document.readings[0].1)
        .filter(|document| !document.readings.is_empty());
    let (results, report) = run(builder).await;
    assert_eq!(lines(&results), ["[0,60) - n=1 sum=7"]);
    assert_eq!(fates(&report), [1, 1, 0, 0, 0]);
}

#[tokio::test]
async fn what_is_drawn_stays_with_the_event_and_the_later_extractor_counts() {
    let events = vec![document(10.0, "a", &[(70.0, 1.0), (80.0, 2.0)])];
    let early = || {
        documents(events.clone())
            .with_timestamp(|document| at(document.at_secs))
            .key_by(|document| document.host.clone())
            .flat_map(|document| document.readings)
            .with_value("n", |reading| reading.1)
    };
    let (results, _) = run(early()).await;
    assert_eq!(lines(&results), ["[0,60) a n=2 sum=3"]);
    let late = early().with_timestamp(|reading| at(reading.0)).key_by(|reading| match reading.1 {
        1.0 => "one",
        _ => "two",
    });
    let (results, _) = run(late).await;
    assert_eq!(lines(&results), ["[60,120) one n=1 sum=1", "[60,120) two n=1 sum=2"]);
}

#[tokio::test]
async fn values_may_be_drawn_on_the_way_and_keep_the_order_they_were_named_in() {
    let builder = documents(vec![document(10.0, "a", &[(3.0, 1.0), (4.0, 2.0)])])
        .with_timestamp(|document| at(document.at_secs))
        .with_value("size", |document| document.readings.len() as f64)
        .flat_map(|document| document.readings)
        .with_value("reading", |reading| reading.1)
        .with_aggregations([Function::Sum]);
    let (results, _) = run(builder).await;
    assert_eq!(results[0].statistic("size_sum"), Some(4.0), "once per reading");
    assert_eq!(results[0].statistic("reading_sum"), Some(3.0));
}

#[tokio::test]
async fn types_on_the_way_speak_for_themselves() {
    // The last type with a field `timestamp` is the first, a number is its own value.
    let numbers = pipeline(vec![event("a", 10.0, 4.0)]).map(|event| event.value * 2.0);
    let (results, _) = run(numbers.with_tumbling_window(secs(60))).await;
    assert_eq!(lines(&results), ["[0,60) series=a n=1 sum=8"]);
    // A later type with the fields has them.
    let shifted = pipeline(vec![event("a", 10.0, 4.0)]).map(
        |event| serde_json::json!({"timestamp": "1970-01-01T00:01:40Z", "value": event.value}),
    );
    let (results, _) = run(shifted.with_tumbling_window(secs(60))).await;
    assert_eq!(lines(&results), ["[60,120) series=a n=1 sum=4"]);
}

#[tokio::test]
async fn feedback_events_keep_time_and_key_through_operators() {
    let json = r#"{"name":"latency","value":80.0,"unit":"ms","timestamp":"1970-01-01T00:00:09Z"}"#;
    let event: FeedbackEvent = serde_json::from_str(json).unwrap();
    let builder = create_pipeline::<FeedbackEvent>()
        .with_source(vec![event])
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::ZERO))
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_tumbling_window(secs(60))
        .filter(|event| event.default_value().is_some())
        .map(|event| event.default_value().unwrap_or_default() / 2.0);
    let (results, _) = run(builder).await;
    assert_eq!(lines(&results), ["[0,60) name=latency n=1 sum=40"]);
}

#[tokio::test]
async fn source_may_be_named_after_the_operators() {
    let builder = create_pipeline::<Document>()
        .flat_map(|document| document.readings)
        .with_timestamp(|reading| at(reading.0))
        .with_value("n", |reading| reading.1)
        .with_source(vec![document(0.0, "", &[(1.0, 5.0)])])
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(Duration::ZERO))
        .with_state_backend(Arc::new(MemoryStateBackend::new()))
        .with_tumbling_window(secs(60));
    assert_eq!(lines(&run(builder).await.0), ["[0,60) - n=1 sum=5"]);
}

#[tokio::test]
async fn record_counts_once_whatever_its_events_become() {
    let (late_sink, late) = unbounded_channel::<SideRecord>();
    let readings = [
        document(0.0, "a", &[(70.0, 1.0), (65.0, 1.0), (130.0, 1.0)]), // accepted: its own order is no matter
        document(0.0, "a", &[]),                                       // filtered
        document(0.0, "a", &[(-1.0, -1.0), (131.0, -1.0)]), // filtered, moves the watermark
        document(0.0, "a", &[(10.0, 1.0), (150.0, 1.0), (20.0, 1.0)]), // accepted, two of three late
        document(0.0, "a", &[(30.0, 1.0), (40.0, 1.0)]),               // late
    ];
    let builder = documents(readings.to_vec())
        .flat_map(|document| document.readings)
        .filter(|reading| reading.1 > 0.0)
        .with_timestamp(|reading| at(reading.0))
        .with_value("n", |reading| reading.1)
        .with_late_event_sink(late_sink);
    let (results, report) = run(builder).await;
    assert_eq!(lines(&results), ["[120,180) - n=2 sum=2", "[60,120) - n=2 sum=2"]);
    assert_eq!(fates(&report), [2, 2, 1, 0, 1]);
    let mut told: Vec<_> =
        all(late).into_iter().map(|late| (late.origin.offset, late.detail)).collect();
    told.sort();
    assert_eq!(
        told,
        [
            (3, "2 of its 3 events; their last window closed 71000 ms earlier".to_owned()),
            (4, "its last window closed 90000 ms earlier".to_owned()),
        ]
    );
}

#[tokio::test]
async fn record_with_a_faulty_event_is_a_dead_letter_as_a_whole() {
    let (dead_sink, dead) = unbounded_channel::<SideRecord>();
    let events = vec![
        document(0.0, "a", &[(1.0, 1.0), (2.0, -1.0), (3.0, 1.0)]),
        document(0.0, "a", &[(1.0, 5.0)]),
    ];
    let builder = documents(events)
        .flat_map(|document| document.readings)
        .try_map(|(secs, value)| match value {
            0.0.. => Ok((secs, value)),
            _ => Err(format!("{value} is below zero")),
        })
        .with_timestamp(|reading| at(reading.0))
        .with_value("n", |reading| reading.1)
        .with_dead_letter_sink(dead_sink);
    let (results, report) = run(builder).await;
    assert_eq!(lines(&results), ["[0,60) - n=1 sum=5"]);
    assert_eq!(fates(&report), [1, 0, 0, 1, 0]);
    let dead = all(dead);
    assert_eq!(
        (dead[0].reason, dead[0].detail.as_str()),
        (SideReason::InvalidValue, "-1 is below zero")
    );
}
