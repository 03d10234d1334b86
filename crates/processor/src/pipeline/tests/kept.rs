//! Pipelines over kept state: where a run stopped the next one goes on, however it ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;

use super::*;
use crate::{
    CountTrigger, EventSink, MemorySource, RedbStateBackend, StreamSource,
    aggregation::Aggregator,
    error::{ProcessorError, ProcessorResult},
    sink::file::{FileSink, OpenMode},
    state::{MemoryStore, StateBackend, StoreStateBackend, WriteBatch, tests::Plain},
};

/// State that outlives runs, but not the test.
fn in_process() -> Arc<StoreStateBackend<MemoryStore>> {
    Arc::new(StoreStateBackend::over(Arc::new(MemoryStore::new()), "unused"))
}

fn redb(folder: &Path) -> Arc<RedbStateBackend> {
    let (state, checkpoints) = (folder.join("state"), folder.join("checkpoints"));
    Arc::new(RedbStateBackend::new(state, checkpoints).unwrap())
}

/// Two series, out of order by up to 3 s, over five minutes and a bit.
fn traffic() -> Vec<CustomEvent> {
    let at = |n: u32| f64::from(n) + f64::from(n * 7 % 4);
    (0..320).map(|n| event(["a", "b"][n as usize % 2], at(n), f64::from(n))).collect()
}

fn over(
    backend: Arc<dyn StateBackend>,
    events: Vec<CustomEvent>,
) -> StreamPipelineBuilder<CustomEvent> {
    pipeline(events)
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(secs(3)))
        .with_state_backend(backend)
}

/// Takes results until it has enough, then fails for ever.
struct Failing {
    taken: Arc<Mutex<Vec<AggregationResult>>>,
    fails_after: usize,
}

#[async_trait]
impl EventSink<AggregationResult> for Failing {
    async fn send(&self, result: AggregationResult) -> ProcessorResult<()> {
        let mut taken = self.taken.lock().unwrap();
        if taken.len() >= self.fails_after {
            return Err(ProcessorError::Config("the table is gone".into()));
        }
        taken.push(result);
        Ok(())
    }
}

/// The same id twice is the same result.
fn by_id(results: &[AggregationResult]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for result in results {
        let id = result.result_id.clone().unwrap();
        let known = found.insert(id, line(result));
        assert!(known.is_none_or(|known| known == line(result)), "{result:?}");
    }
    found
}

#[tokio::test]
async fn runs_that_failed_midway_lose_nothing_and_give_what_an_undisturbed_one_gives() {
    for size in [secs(10), secs(60)] {
        let windows =
            |builder: StreamPipelineBuilder<_>| builder.with_sliding_window(size, secs(5));
        let (expected, _) =
            run(windows(over(Arc::new(MemoryStateBackend::new()), traffic()))).await;
        let folder = tempfile::tempdir().unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let mut runs = 0;
        for fails_after in [0, 1, 7, 20, 60, usize::MAX] {
            let sink = Failing { taken: Arc::clone(&taken), fails_after };
            let builder = windows(over(redb(folder.path()), traffic()));
            let outcome = builder.with_sink(sink).build().unwrap().run().await;
            assert_eq!(outcome.is_ok(), fails_after == usize::MAX, "{outcome:?}");
            runs += 1;
        }
        let taken = taken.lock().unwrap();
        assert_eq!((by_id(&taken), runs), (by_id(&expected), 6));
    }
}

#[tokio::test]
async fn windows_that_are_open_at_a_stop_go_on_in_the_next_run() {
    let backend = in_process();
    let mut counts = Vec::new();
    for series in [vec![1.0, 2.0], vec![3.0], vec![4.0, 5.0]] {
        let (sender, source) = unbounded_channel();
        let (sink, mut results) = unbounded_channel();
        let built = over(backend.clone(), vec![])
            .with_source(source)
            .with_tumbling_window(secs(60))
            .with_trigger(CountTrigger::new(1))
            .with_sink(sink)
            .build()
            .unwrap();
        let (stop, running) = (built.stop_handle(), tokio::spawn(built.run()));
        for value in series {
            sender.send(event("a", 5.0, value)).unwrap();
            counts.push(line(&results.recv().await.unwrap()));
        }
        stop.stop();
        running.await.unwrap().unwrap();
    }
    let sums = [1, 3, 6, 10, 15];
    let lines = (1..).zip(sums).map(|(n, sum)| format!("[0,60) series=a n={n} sum={sum}"));
    assert_eq!(counts, lines.collect::<Vec<_>>());
}

#[tokio::test]
async fn run_that_was_dropped_lets_go_of_the_state_and_the_next_one_goes_on() {
    let backend = in_process();
    let seen = Arc::new(AtomicUsize::new(0));
    let source = |seen: &Arc<AtomicUsize>| {
        let seen = Arc::clone(seen);
        MemorySource::new(traffic().into_iter().inspect(move |_| {
            seen.fetch_add(1, Ordering::Relaxed);
        }))
    };
    let (sink, mut first) = tokio::sync::mpsc::channel(1);
    let built = over(backend.clone(), vec![])
        .with_source(source(&seen))
        .with_tumbling_window(secs(5))
        .with_sink(sink)
        .build()
        .unwrap();
    let running = tokio::spawn(built.run());
    let mut results = vec![first.recv().await.unwrap()];
    running.abort();
    while let Some(result) = first.recv().await {
        results.push(result);
    }
    let (rest, report) =
        run(over(backend, vec![]).with_source(source(&seen)).with_tumbling_window(secs(5))).await;
    results.extend(rest);
    let undisturbed = over(Arc::new(MemoryStateBackend::new()), traffic());
    let (expected, once) = run(undisturbed.with_tumbling_window(secs(5))).await;
    assert_eq!(by_id(&results), by_id(&expected));
    assert_eq!(report.first.accepted, once.first.accepted, "counters go on");
}

#[tokio::test]
async fn files_have_each_result_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.ndjson");
    let taken = Arc::new(Mutex::new(Vec::new()));
    for fails_after in [0, 3, 11, usize::MAX] {
        let file = FileSink::open(&path, OpenMode::Resume).unwrap();
        let sink = Failing { taken: Arc::clone(&taken), fails_after };
        let builder = over(redb(folder.path()), traffic()).with_tumbling_window(secs(10));
        drop(builder.with_sink(file).with_sink(sink).build().unwrap().run().await);
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let written: Vec<AggregationResult> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: BTreeSet<_> = written.iter().map(|result| result.result_id.clone()).collect();
    assert_eq!(ids.len(), written.len(), "a result twice");
    assert_eq!(by_id(&written), by_id(&taken.lock().unwrap()));
}

#[tokio::test]
async fn state_of_other_windows_is_refused_with_what_differs() {
    let backend = in_process();
    let build = |size| over(backend.clone(), traffic()).with_tumbling_window(secs(size));
    run(build(10)).await;
    let refused = |builder: StreamPipelineBuilder<CustomEvent>| async {
        let (sink, _received) = unbounded_channel();
        builder.with_sink(sink).build().unwrap().run().await.unwrap_err().to_string()
    };
    let error = refused(build(20)).await;
    for part in [
        "the state in the store of pipeline default is of another configuration",
        "pipelines.default.windows: tumbling size 10000 ms offset 0 ms → tumbling size 20000 ms offset 0 ms",
        "with_state_backend",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let error = refused(build(10).with_percentiles([42.0])).await;
    assert!(error.contains("p50, p95, p99 → ") && error.contains("p42"), "{error}");
    let error = refused(build(10).with_name("other")).await;
    assert!(error.contains("pipelines.other.windows: (nothing) → tumbling"), "{error}");
    // What does not change the numbers may change.
    run(build(10).with_allowed_lateness(secs(5))).await;
}

#[tokio::test]
async fn memory_backend_begins_anew() {
    let backend: Arc<dyn StateBackend> = Arc::new(MemoryStateBackend::new());
    let build = || over(Arc::clone(&backend), traffic()).with_tumbling_window(secs(10));
    let ((first, _), (second, _)) = (run(build()).await, run(build()).await);
    assert!(!first.is_empty());
    assert_eq!(lines(&first), lines(&second));
}

#[tokio::test]
async fn backend_without_a_store_runs_in_memory() {
    let own = Arc::new(Plain(MemoryStateBackend::new()));
    assert!(own.store().is_none() && !own.is_volatile());
    let build = || over(own.clone(), traffic()).with_tumbling_window(secs(10));
    let ((first, _), (second, _)) = (run(build()).await, run(build()).await);
    assert_eq!(lines(&first), lines(&second));
}

#[tokio::test]
async fn second_pipeline_over_a_store_in_use_is_refused_and_may_run_afterwards() {
    let backend = in_process();
    let (sender, source) = unbounded_channel();
    let (sink, mut results) = unbounded_channel();
    let build = |source| {
        let builder = over(backend.clone(), vec![]).with_source(source);
        builder.with_tumbling_window(secs(1)).with_trigger(CountTrigger::new(1))
    };
    let first = build(source).with_sink(sink).build().unwrap();
    let (stop, running) = (first.stop_handle(), tokio::spawn(first.run()));
    sender.send(event("a", 0.0, 1.0)).unwrap();
    results.recv().await.unwrap();
    let began = Instant::now();
    // Another backend over the same store is no way around it.
    let (sink, _received) = unbounded_channel();
    let around = Arc::new(StoreStateBackend::over(backend.store().unwrap(), "unused"));
    let second = over(around, traffic()).with_tumbling_window(secs(1)).with_sink(sink);
    let error = second.build().unwrap().run().await.unwrap_err();
    assert!(matches!(error, ProcessorError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("being used by pipeline default"), "{error}");
    assert!(began.elapsed() < secs(10));
    stop.stop();
    running.await.unwrap().unwrap();
    let (sender, source) = unbounded_channel();
    sender.send(event("a", 0.5, 2.0)).unwrap();
    drop(sender);
    let (results, _) = run(build(source)).await;
    assert!(lines(&results).contains(&"[0,1) series=a n=2 sum=3".into()), "{results:?}");
}

#[tokio::test]
async fn memory_source_that_gives_other_events_is_refused_instead_of_passing_over_them() {
    let backend = in_process();
    let build = |events| over(backend.clone(), events).with_tumbling_window(secs(10));
    run(build(traffic())).await;
    let refused = |events: Vec<CustomEvent>| async {
        let (sink, _received) = unbounded_channel();
        build(events).with_sink(sink).build().unwrap().run().await.unwrap_err().to_string()
    };
    let fewer = refused(traffic().into_iter().take(3).collect()).await;
    assert!(fewer.contains("it gives 3 events, and 320 are committed"), "{fewer}");
    let other = refused(traffic().into_iter().skip(1).chain(traffic()).collect()).await;
    assert!(other.contains("its first event is another"), "{other}");
    let mut longer = traffic();
    longer.push(event("a", 1_000.0, 7.0));
    let (results, report) = run(build(longer)).await;
    assert_eq!(
        (lines(&results), report.first.accepted),
        (vec!["[1000,1010) series=a n=1 sum=7".into()], 321)
    );
}

#[tokio::test]
async fn stream_that_can_begins_behind_the_committed_events() {
    let backend = in_process();
    let stream = |number: u64| {
        let events = StreamSource::resuming(move |committed| {
            let all = (0..).map(|n: u32| Ok::<_, String>(event("a", f64::from(n), 1.0)));
            let skipped = usize::try_from(committed).unwrap();
            let left = usize::try_from(number - committed).unwrap();
            futures::stream::iter(all.skip(skipped).take(left))
        });
        over(backend.clone(), vec![]).with_source(events).with_tumbling_window(secs(100))
    };
    let (first, _) = run(stream(200)).await;
    assert_eq!(lines(&first).len(), 2);
    let (second, report) = run(stream(450)).await;
    assert_eq!(report.first.accepted, 450, "each event once");
    assert!(lines(&second).contains(&"[300,400) series=a n=100 sum=100".into()), "{second:?}");
}

#[tokio::test]
async fn rows_of_the_user_and_of_the_pipeline_do_not_meet() {
    let backend = in_process();
    let mut rows = WriteBatch::default();
    for key in [&b"s"[..], b"mcommit", b"o12345678", b"c"] {
        rows.put(key, b"mine");
    }
    backend.write_batch(&rows).await.unwrap();
    run(over(backend.clone(), traffic()).with_tumbling_window(secs(10))).await;
    assert_eq!(backend.list_keys(b"").await.unwrap().len(), 4);
    assert_eq!(backend.get(b"mcommit").await.unwrap(), Some(b"mine".to_vec()));
    let (again, _) = run(over(backend.clone(), traffic()).with_tumbling_window(secs(10))).await;
    assert_eq!(again, [], "everything was committed and sent");
}

/// A statistic whose accumulator says what it is only in a format that names types.
struct Odd;

impl Aggregator<f64, serde_json::Value> for Odd {
    fn create_accumulator(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
    fn add(&self, last: &mut serde_json::Value, value: &f64) {
        *last = (*value).into();
    }
    fn merge(&self, _: &serde_json::Value, other: &serde_json::Value) -> serde_json::Value {
        other.clone()
    }
    fn get_result(&self, last: &serde_json::Value) -> serde_json::Value {
        last.clone()
    }
    fn name(&self) -> &'static str {
        "odd"
    }
}

#[test]
fn function_whose_state_cannot_be_kept_is_refused_before_anything_is_opened() {
    let (sink, _received) = unbounded_channel();
    let builder = over(in_process(), traffic()).with_tumbling_window(secs(1)).with_sink(sink);
    let error = builder.with_aggregator(Odd).build().err().unwrap().to_string();
    assert!(error.contains("state of function odd cannot be stored"), "{error}");
    assert!(error.contains("MemoryStateBackend"), "{error}");
}

#[tokio::test]
async fn sinks_of_one_name_have_each_their_own_place() {
    let backend = in_process();
    let (one, two) = (unbounded_channel(), unbounded_channel());
    let builder = over(backend, traffic()).with_tumbling_window(secs(10));
    builder.with_sink(one.0).with_sink(two.0).build().unwrap().run().await.unwrap();
    let (one, two) = (all(one.1), all(two.1));
    assert!(!one.is_empty());
    assert_eq!(lines(&one), lines(&two));
}
