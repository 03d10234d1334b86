//! One test: its events through the pipelines of its configuration, one after the other.
//!
//! Every event is a batch and a commit of its own, so revisions do not depend on timing. There are no
//! threads, and the clock stands still.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use crossbeam_channel::unbounded;
use llm_optimizer_config::{
    LoadedFixture, Place, ProcessorConfig,
    fixture::{FixtureTest, InputEnd},
};
use llm_optimizer_engine::core::PartitionId;
use llm_optimizer_types::{ResultRecord, SideRecord};

use crate::{
    error::ProcessorResult,
    record::{PartitionOrigin, Position, RecordBatch, RecordFormat, SourceKind},
    runtime::Offline,
    source::{
        Source, SourceEvent, StopToken,
        clock::Clock,
        file::{FileSource, FileSourceConfig},
        text::{BatchLimits, TextFormat},
    },
};

/// 9999-12-31T00:00:00Z: later than every event.
const DEFAULT_CLOCK_MS: i64 = 253_402_214_400_000;

/// What came of the events of a test.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// Every result of every pipeline, in order.
    pub(super) results: Vec<ResultRecord>,
    /// Events that were too late, in order.
    pub(super) late: Vec<Side>,
    /// Records that could not be used, in order.
    pub(super) dead_letters: Vec<Side>,
    /// Records that were read.
    pub(super) events: u64,
}

/// A late event or dead letter.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) pipeline: String,
    /// Which event it is, counted from 1.
    pub(super) event: u64,
    pub(super) record: SideRecord,
}

impl Observed {
    /// The last result of every window, in the order of the windows; without those that a merged session has replaced.
    pub(super) fn windows(&self) -> Vec<&ResultRecord> {
        let replaced: BTreeSet<&str> = self
            .results
            .iter()
            .flat_map(|result| &result.supersedes)
            .filter_map(|id| id.rsplit_once('-'))
            .map(|(window, _)| window)
            .collect();
        let mut windows: Vec<&ResultRecord> = Vec::new();
        for result in &self.results {
            windows.retain(|other| other.window_id != result.window_id);
            windows.push(result);
        }
        windows.retain(|result| !replaced.contains(result.window_id.as_str()));
        windows.sort_by_key(|result| {
            let window = &result.window;
            (&result.pipeline, &window.start, &window.end, &window.key)
        });
        windows
    }
}

/// Runs test number `index` of `loaded`, whose file is at `path`.
///
/// # Errors
/// An `events_file` that cannot be read; what this release does not have.
pub(super) fn run(
    loaded: &LoadedFixture,
    index: usize,
    path: &Path,
    config: &ProcessorConfig,
) -> ProcessorResult<Observed> {
    let Some(test) = loaded.fixture.tests.get(index) else { return Ok(Observed::default()) };
    let now_ms = test.clock.map_or(DEFAULT_CLOCK_MS, |clock| clock.timestamp_millis());
    let events = match &test.events_file {
        Some(file) => from_file(&beside(path, file), config, now_ms)?,
        None => inline(loaded, test, index, path, now_ms),
    };
    let mut offline = Offline::new(config, true)?;
    let names = offline.names();
    let mut observed = Observed::default();
    let mut offsets = Vec::new();
    for event in &events {
        if matches!(event, SourceEvent::Ended(_)) && test.input == InputEnd::Continues {
            continue;
        }
        if let SourceEvent::Batch(batch) = event {
            offsets.extend(batch.records.iter().map(|record| record.offset));
        }
        offline.take(event, now_ms);
        for (name, output) in names.iter().zip(offline.commit(now_ms)?) {
            let side = |record: &SideRecord| Side {
                pipeline: name.clone(),
                event: number_of(&offsets, record.origin.offset),
                record: record.clone(),
            };
            observed.results.extend(output.results.iter().map(|result| result.record.clone()));
            observed.late.extend(output.late.iter().map(|late| side(&late.record)));
            observed.dead_letters.extend(output.dead_letters.iter().map(|dead| side(&dead.record)));
        }
    }
    observed.events = offsets.len() as u64;
    Ok(observed)
}

/// `file` as it is meant in the fixture at `path`.
pub(super) fn beside(path: &Path, file: &Path) -> std::path::PathBuf {
    path.parent().unwrap_or(Path::new("")).join(file)
}

/// Number of the event at `offset`, counted from 1.
fn number_of(offsets: &[i64], offset: i64) -> u64 {
    offsets.iter().position(|other| *other == offset).map_or(0, |index| index as u64 + 1)
}

/// The events of the fixture itself; their line is that of the fixture.
fn inline(
    loaded: &LoadedFixture,
    test: &FixtureTest,
    index: usize,
    path: &Path,
    now_ms: i64,
) -> Vec<SourceEvent> {
    let origin = Arc::new(PartitionOrigin {
        id: PartitionId(0),
        kind: SourceKind::File,
        name: path.display().to_string(),
        partition: 0,
    });
    let mut events = vec![SourceEvent::Assigned(vec![Arc::clone(&origin)])];
    for (number, event) in test.events.iter().enumerate() {
        let mut batch = RecordBatch::new(Arc::clone(&origin), RecordFormat::Json, now_ms);
        let line = match loaded.place(&format!("tests[{index}].events[{number}]")) {
            Place::File { line, .. } => Some(line as u64),
            _ => None,
        };
        let record = event.as_str().map_or_else(|| event.to_string(), str::to_owned);
        let offset = i64::try_from(number).unwrap_or(i64::MAX);
        batch.push(record.as_bytes(), offset, line);
        batch.next_position = Position::at(offset + 1);
        events.push(SourceEvent::Batch(batch));
    }
    events.push(SourceEvent::Ended(origin.id));
    events
}

/// The records of a file, read as a run would read them.
fn from_file(
    path: &Path,
    config: &ProcessorConfig,
    now_ms: i64,
) -> ProcessorResult<Vec<SourceEvent>> {
    let is_csv = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    let csv = || config.source.as_ref().and_then(|source| source.csv.clone()).unwrap_or_default();
    let limits = BatchLimits {
        max_records: 1,
        max_record_bytes: usize::try_from(config.limits.max_record_bytes).unwrap_or(usize::MAX),
        ..BatchLimits::default()
    };
    let text = if is_csv { TextFormat::Csv(csv()) } else { TextFormat::Ndjson };
    let file = FileSourceConfig { text, limits, ..FileSourceConfig::ndjson(path) };
    let source = FileSource::open(file, Arc::new(StandingClock(now_ms)))?;
    let (queue, events) = unbounded();
    Box::new(source).run(&queue, &StopToken::default())?;
    drop(queue);
    Ok(events.iter().collect())
}

/// A clock that always says the same.
struct StandingClock(i64);

impl Clock for StandingClock {
    fn now_ms(&self) -> i64 {
        self.0
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn pause(&self, span: Duration) {
        std::thread::sleep(span);
    }
}
