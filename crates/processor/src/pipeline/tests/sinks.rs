//! What sinks receive, also when they fail.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use async_trait::async_trait;
use llm_optimizer_types::{SideReason, SideRecord};

use super::*;
use crate::{
    EventSink, ProcessorError, ProcessorResult,
    sink::file::{FileSink, OpenMode},
};

/// Fails as often as it was told, then takes everything.
#[derive(Default)]
struct Flaky {
    failures: AtomicU32,
    lines: Mutex<Vec<String>>,
    is_closed: AtomicBool,
}

#[async_trait]
impl EventSink<AggregationResult> for Flaky {
    async fn send(&self, result: AggregationResult) -> ProcessorResult<()> {
        // Needs the runtime, its threads and its timer, as a real sink needs its I/O.
        let answer = tokio::spawn(tokio::task::yield_now());
        tokio::time::timeout(secs(60), answer).await.unwrap().unwrap();
        let line = line(&result);
        if line.starts_with("[60") && self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.fetch_sub(1, Ordering::Relaxed);
            return Err(ProcessorError::Internal("the database is away".into()));
        }
        self.lines.lock().unwrap().push(line);
        Ok(())
    }

    async fn close(&self) -> ProcessorResult<()> {
        self.is_closed.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn name(&self) -> &'static str {
        "flaky"
    }
}

fn three_windows() -> StreamPipelineBuilder<CustomEvent> {
    let events = vec![event("a", 0.0, 1.0), event("a", 60.0, 2.0), event("a", 120.0, 4.0)];
    pipeline(events).with_tumbling_window(secs(60))
}

const THREE: [&str; 3] =
    ["[0,60) series=a n=1 sum=1", "[60,120) series=a n=1 sum=2", "[120,180) series=a n=1 sum=4"];

#[tokio::test]
async fn every_sink_gets_every_result_once_in_order_although_one_fails_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.ndjson");
    let flaky = Arc::new(Flaky { failures: 2.into(), ..Flaky::default() });
    let builder = three_windows()
        .with_sink(FileSink::open(&path, OpenMode::Truncate).unwrap())
        .with_sink(Arc::clone(&flaky));
    let (results, report) = run(builder).await;
    assert_eq!(*flaky.lines.lock().unwrap(), THREE);
    assert!(flaky.is_closed.load(Ordering::Relaxed));
    assert_eq!(results.iter().map(line).collect::<Vec<_>>(), THREE);
    let file = std::fs::read_to_string(path).unwrap();
    let records: Vec<crate::types::ResultRecord> =
        file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let from_file: Vec<_> = records.iter().map(|r| line(&r.into())).collect();
    assert_eq!(from_file, THREE);
    assert_eq!(report.first.results_emitted, 3);
}

#[tokio::test]
async fn sink_that_does_not_recover_ends_the_run_with_its_error() {
    let flaky = Arc::new(Flaky { failures: 1_000.into(), ..Flaky::default() });
    let pipeline = three_windows().with_sink(Arc::clone(&flaky)).build().unwrap();
    let error = pipeline.run().await.unwrap_err();
    assert_eq!(error.to_string(), "sink flaky: the database is away");
    assert_eq!(*flaky.lines.lock().unwrap(), THREE[..1]);
}

#[tokio::test]
async fn channel_without_a_receiver_is_an_error() {
    let (sink, received) = unbounded_channel();
    drop(received);
    let error = three_windows().with_sink(sink).build().unwrap().run().await.unwrap_err();
    assert_eq!(error.to_string(), "sink channel: its receiver is gone");
}

#[tokio::test]
async fn late_events_and_dead_letters_have_sinks_of_their_own() {
    let (late_sink, late) = unbounded_channel::<SideRecord>();
    let (dead_sink, dead) = unbounded_channel::<SideRecord>();
    let events = vec![event("a", 100.0, 1.0), event("a", 10.0, 2.0), event("a", 101.0, 3.0)];
    let builder = pipeline(events)
        .with_value("n", |e| if e.value > 2.5 { f64::NAN } else { e.value })
        .with_tumbling_window(secs(60))
        .with_late_event_sink(late_sink)
        .with_dead_letter_sink(dead_sink);
    let (results, report) = run(builder).await;
    assert_eq!(lines(&results), ["[60,120) series=a n=1 sum=1"]);
    assert_eq!((report.first.late_dropped, report.first.dead_lettered), (1, 1));
    let (late, dead) = (all(late), all(dead));
    assert_eq!((late[0].reason, late[0].lateness_ms), (SideReason::TooLate, Some(40_000)));
    assert_eq!((late[0].origin.source.as_str(), late[0].origin.offset), ("custom", 1));
    assert_eq!(dead[0].reason, SideReason::InvalidValue);
    assert_eq!(dead[0].detail, "value n is NaN, a finite number is needed");
}

#[tokio::test]
async fn allowed_lateness_sends_the_result_again() {
    // The late event is in a later batch, so its window has fired.
    let filler = (0..6_000).map(|_| event("b", 100.0, 0.0));
    let events =
        std::iter::once(event("a", 10.0, 1.0)).chain(filler).chain([event("a", 20.0, 2.0)]);
    let builder =
        pipeline(events.collect()).with_tumbling_window(secs(60)).with_allowed_lateness(secs(60));
    let (results, report) = run(builder).await;
    let of_a: Vec<_> = results.iter().map(line).filter(|l| l.contains("series=a")).collect();
    assert_eq!(of_a, ["[0,60) series=a n=1 sum=1", "[0,60) series=a n=2 sum=3"]);
    assert_eq!(report.first.late_dropped, 0);
}
