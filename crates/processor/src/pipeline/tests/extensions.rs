//! Windows, triggers and watermarks of the user's own.

use std::sync::Mutex;

use crossbeam_channel::Sender;
use llm_optimizer_engine::core::PartitionId;

use super::*;
use crate::{
    AscendingWatermark, CountTrigger, ProcessorResult, TumblingWindowAssigner, Watermark,
    WatermarkGenerator, Window, WindowAssigner, WindowSpec, WindowTrigger,
    record::{PartitionOrigin, RecordBatch, RecordFormat, SourceKind},
    source::{Source, SourceEvent, StopToken},
};

fn series(times: &[f64]) -> Vec<CustomEvent> {
    times.iter().map(|secs| event("a", *secs, 1.0)).collect()
}

fn counts(results: &[AggregationResult]) -> Vec<u64> {
    results.iter().map(|result| result.results["count"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn count_trigger_gives_results_before_the_end() {
    let builder = pipeline(series(&[0.0, 1.0, 2.0, 3.0, 4.0]))
        .with_tumbling_window(secs(60))
        .with_trigger(CountTrigger::new(2));
    assert_eq!(counts(&run(builder).await.0), [2, 4, 5]);
}

/// Counts or waits for the end, and notes whom it was asked about.
#[derive(Default)]
struct Hybrid {
    asked: Mutex<Vec<(Option<String>, u64)>>,
}

impl WindowTrigger for Hybrid {
    fn should_fire(&self, window: &Window, watermark: &Watermark, element_count: u64) -> bool {
        let key = window.key.as_ref().map(ToString::to_string);
        self.asked.lock().unwrap().push((key, element_count));
        element_count >= 3 || watermark.timestamp >= window.end
    }

    fn should_purge(&self, window: &Window, watermark: &Watermark) -> bool {
        watermark.timestamp >= window.end
    }
}

#[tokio::test]
async fn trigger_of_the_user_is_asked_with_the_events_since_it_fired() {
    let trigger = Arc::new(Hybrid::default());
    let builder = pipeline(series(&[0.0, 1.0, 2.0, 3.0]))
        .with_tumbling_window(secs(60))
        .with_trigger(Arc::clone(&trigger));
    assert_eq!(counts(&run(builder).await.0), [3, 4]);
    let asked = trigger.asked.lock().unwrap();
    let key = Some("series=a".to_owned());
    assert_eq!(asked[..4], [1, 2, 3, 1].map(|count| (key.clone(), count)));
}

/// A window of ten seconds around every event of series `a`, none for others.
struct Around(WindowSpec);

impl WindowAssigner for Around {
    fn assign_windows(&self, at: DateTime<Utc>, key: &Option<GroupingKey>) -> Vec<Window> {
        let span = chrono::Duration::seconds(5);
        let is_known = key.as_ref().is_some_and(|key| key.as_str() == "series=a");
        let window = Window { start: at - span, end: at + span, key: key.clone() };
        if is_known { vec![window] } else { vec![] }
    }

    fn spec(&self) -> &WindowSpec {
        &self.0
    }
}

#[tokio::test]
async fn assigner_of_the_user_says_which_windows_there_are() {
    let events = vec![event("a", 10.0, 1.0), event("b", 11.0, 2.0), event("a", 12.0, 4.0)];
    let spec = WindowSpec::tumbling(secs(10));
    let (results, report) = run(pipeline(events).with_window_assigner(Around(spec))).await;
    assert_eq!(lines(&results), ["[5,15) series=a n=1 sum=1", "[7,17) series=a n=1 sum=4"]);
    assert_eq!((report.first.accepted, report.first.late_dropped), (2, 1));
}

#[tokio::test]
async fn lateness_that_was_said_counts_instead_of_the_assigners() {
    let events = || series(&[10.0, 70.0, 20.0]);
    let assigner = TumblingWindowAssigner::new(secs(60));
    let late = |report: &RunReport| report.first.late_dropped;
    let of =
        |builder: StreamPipelineBuilder<CustomEvent>| async move { late(&run(builder).await.1) };
    assert_eq!(of(pipeline(events()).with_window_assigner(assigner)).await, 1);
    let patient = assigner.with_allowed_lateness(secs(20));
    assert_eq!(of(pipeline(events()).with_window_assigner(patient)).await, 0);
    let builder = pipeline(events()).with_allowed_lateness(secs(0)).with_window_assigner(patient);
    assert_eq!(of(builder).await, 1);
}

/// Complete up to the last event at a full minute.
#[derive(Debug)]
struct FullMinutes(Watermark);

impl WatermarkGenerator for FullMinutes {
    fn generate(&mut self, at: DateTime<Utc>) -> Option<Watermark> {
        let mark = Watermark::new(at);
        let is_mark = at.timestamp_millis() % 60_000 == 0 && mark > self.0;
        is_mark.then(|| {
            self.0 = mark;
            mark
        })
    }

    fn current_watermark(&self) -> Watermark {
        self.0
    }
}

#[tokio::test]
async fn generator_of_the_user_moves_event_time_and_nothing_else_does() {
    // 119 moves nothing, so 10 is in time; 120 is a mark, so 20 is late.
    let events = series(&[5.0, 119.0, 10.0, 120.0, 20.0]);
    let builder = pipeline(events)
        .with_watermark_generator(FullMinutes(Watermark::min()))
        .with_tumbling_window(secs(60));
    let (results, report) = run(builder).await;
    assert_eq!(
        lines(&results),
        [
            "[0,60) series=a n=2 sum=2",
            "[120,180) series=a n=1 sum=1",
            "[60,120) series=a n=1 sum=1"
        ]
    );
    assert_eq!((report.first.accepted, report.first.late_dropped), (4, 1));
    assert_eq!(report.first.records_read, 5, "marks are no records");
}

/// Two partitions, whose batches come in turn.
struct TwoPartitions(Vec<(u32, f64)>);

impl Source for TwoPartitions {
    fn run(self: Box<Self>, queue: &Sender<SourceEvent>, _: &StopToken) -> ProcessorResult<()> {
        let origins = [0, 1].map(|id| {
            let (id, kind) = (PartitionId(id), SourceKind::Custom);
            Arc::new(PartitionOrigin { id, kind, name: "two".into(), partition: 0 })
        });
        queue.send(SourceEvent::Assigned(origins.to_vec())).unwrap();
        for (partition, secs) in self.0 {
            let origin = Arc::clone(&origins[partition as usize]);
            let mut batch = RecordBatch::new(origin, RecordFormat::Json, 0);
            batch.push(&serde_json::to_vec(&event("a", secs, 1.0)).unwrap(), 0, None);
            queue.send(SourceEvent::Batch(batch)).unwrap();
        }
        for origin in &origins {
            queue.send(SourceEvent::Ended(origin.id)).unwrap();
        }
        Ok(())
    }

    fn is_bounded(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn each_partition_may_have_a_generator_of_its_own() {
    let two = || -> Box<dyn Source> { Box::new(TwoPartitions(vec![(0, 120.0), (1, 10.0)])) };
    let builder = || pipeline(vec![]).with_source(two()).with_tumbling_window(secs(60));
    let late = |report: RunReport| report.first.late_dropped;
    let minutes = || FullMinutes(Watermark::min());
    let own = builder().with_watermark_generators(minutes);
    assert_eq!(late(run(own).await.1), 0, "what came in one says nothing about the other");
    let shared = builder().with_watermark_generator(minutes());
    assert_eq!(late(run(shared).await.1), 1, "one generator has seen both");
    let native = builder().with_watermark_generator(AscendingWatermark::new());
    assert_eq!(late(run(native).await.1), 0, "the engine keeps its own per partition");
}
