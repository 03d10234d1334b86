//! A pipeline in code that is killed again and again: what its sinks have equals a recount of all events.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::DateTime;
use futures::{StreamExt, stream};
use llm_optimizer_processor::{
    commit::{CRASH_POINT_VARIABLE, CrashPoint},
    sink::file::{FileSink, OpenMode},
    *,
};

/// Where the process that is killed works; without it this process is the one that kills.
const FOLDER: &str = "KEPT_PIPELINE_FOLDER";
const EVENTS: u64 = 6_000;
const SIZE_SECS: i64 = 20;
const SLIDE_SECS: i64 = 5;

/// Milliseconds, series and value of an event: out of order by up to 3 s.
fn event(number: u64) -> (i64, u64, f64) {
    let n = i64::try_from(number).unwrap();
    (n * 100 + n * 7 % 31 * 100, number % 3, number as f64)
}

/// Writes each result to a file at once, and does not know whether it has it already.
struct Lines(Mutex<File>);

#[async_trait]
impl EventSink<AggregationResult> for Lines {
    async fn send(&self, result: AggregationResult) -> ProcessorResult<()> {
        let line = serde_json::to_string(&result).unwrap() + "\n";
        self.0.lock().unwrap().write_all(line.as_bytes()).unwrap();
        Ok(())
    }
}

/// Runs to the end, or until it is killed.
async fn run_in(folder: &Path) {
    let source = StreamSource::resuming(|committed| {
        stream::iter(committed..EVENTS).then(|number| async move {
            if number % 30 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok::<_, String>(event(number))
        })
    });
    let lines = OpenOptions::new().append(true).create(true).open(folder.join("lines")).unwrap();
    let file = FileSink::open(&folder.join("results"), OpenMode::Resume).unwrap();
    let seconds = |secs: i64| Duration::from_secs(secs.unsigned_abs());
    let state = RedbStateBackend::new(folder.join("state"), folder.join("checkpoints")).unwrap();
    let pipeline = create_pipeline::<(i64, u64, f64)>()
        .with_source(source)
        .with_timestamp(|event| DateTime::from_timestamp_millis(event.0).unwrap())
        .with_key(|event| GroupingKey::from_fields(&[("series", event.1.to_string().as_str())]))
        .with_value("value", |event| event.2)
        .with_watermark_generator(BoundedOutOfOrdernessWatermark::new(seconds(4)))
        .with_sliding_window(seconds(SIZE_SECS), seconds(SLIDE_SECS))
        .with_state_backend(Arc::new(state))
        .with_sink(file)
        .with_sink(Lines(Mutex::new(lines)))
        .build()
        .unwrap();
    let report = pipeline.run().await.unwrap();
    assert_eq!((report.first.records_read, report.first.accepted), (EVENTS, EVENTS));
}

/// Window and series with count and sum.
type Windows = BTreeMap<(i64, String), (u64, f64)>;

fn recount() -> Windows {
    let mut windows = Windows::new();
    for (at_ms, series, value) in (0..EVENTS).map(event) {
        let first = (at_ms / 1_000 - SIZE_SECS).div_euclid(SLIDE_SECS) + 1;
        for start in (first..).map(|n| n * SLIDE_SECS).take_while(|start| start * 1_000 <= at_ms) {
            if at_ms < (start + SIZE_SECS) * 1_000 {
                let (count, sum) = windows.entry((start, format!("series={series}"))).or_default();
                (*count, *sum) = (*count + 1, *sum + value);
            }
        }
    }
    windows
}

/// The windows in a file, and how often each result is there.
fn read(path: &Path) -> (Windows, BTreeMap<String, u32>) {
    let (mut windows, mut times) = (Windows::new(), BTreeMap::new());
    for line in fs::read_to_string(path).unwrap().lines() {
        // A process may die within a line of its own sink; that result comes again.
        let Ok(result) = serde_json::from_str::<AggregationResult>(line) else { continue };
        let key = result.window.key.as_ref().unwrap().as_str().trim_matches('"').replace('"', "");
        let numbers = (result.results["count"].as_u64().unwrap(), result.statistic("sum").unwrap());
        *times.entry(result.result_id.clone().unwrap()).or_default() += 1;
        let before = windows.insert((result.window.start.timestamp(), key), numbers);
        assert!(before.is_none_or(|before| before == numbers), "{line} was {before:?}");
    }
    (windows, times)
}

struct Killed {
    folder: PathBuf,
}

impl Killed {
    fn start(&self, crash_point: Option<String>) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([
                "--exact",
                "kept_pipeline::pipeline_that_is_killed_at_any_instant_counts_all_once",
            ])
            .env(FOLDER, &self.folder)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(point) = crash_point {
            command.env(CRASH_POINT_VARIABLE, point);
        }
        command.spawn().unwrap()
    }

    fn written(&self) -> u64 {
        fs::metadata(self.folder.join("lines")).map_or(0, |found| found.len())
    }

    /// Waits until it has written more, then kills it; whether it was still running.
    fn kill_after_progress(&self, more_bytes: u64) -> bool {
        let (before, mut child) = (self.written(), self.start(None));
        let deadline = Instant::now() + Duration::from_mins(1);
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "no progress");
            if self.written() > before + more_bytes {
                child.kill().unwrap();
                return child.wait().unwrap().code().is_none();
            }
            thread::sleep(Duration::from_millis(1));
        }
        false
    }
}

#[test]
fn pipeline_that_is_killed_at_any_instant_counts_all_once() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(run_in(Path::new(&folder)));
    }
    let place = tempfile::tempdir().unwrap();
    let killed = Killed { folder: place.path().to_owned() };
    for point in CrashPoint::EMBEDDED {
        let at_start =
            [CrashPoint::BeforeTruncation, CrashPoint::AfterTruncation, CrashPoint::AfterRecovery];
        let times = if at_start.contains(&point) { 1 } else { 3 };
        let output = killed.start(Some(format!("{point}:{times}"))).wait_with_output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_none(), "it did not crash at {point}: {log}");
    }
    let kills = [1, 4_000, 300, 9_000].map(|bytes| killed.kill_after_progress(bytes));
    assert!(kills.iter().filter(|was_killed| **was_killed).count() >= 2, "{kills:?}");
    let output = killed.start(None).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let expected = recount();
    let (in_file, times) = read(&killed.folder.join("results"));
    assert_eq!(in_file, expected);
    assert!(times.values().all(|times| *times == 1), "files have each result once");
    let (sent, times) = read(&killed.folder.join("lines"));
    assert_eq!(sent, expected);
    assert_eq!(times.keys().collect::<BTreeSet<_>>().len(), expected.len(), "equal ids come again");
}
