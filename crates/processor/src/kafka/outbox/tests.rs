//! The real drain of one sink between a made-up topic and a made-up file, under crashes, failures and deletion at every step: the
//! file has each row once and in order, or the run says what is missing. Planted faults must show.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    board::{Board, Wanted},
    codec::{RowHead, RowParts, records_of},
    cursor::SinkCursor,
    reader::{Place, Read, ReaderSettings, RowSource},
    sink::{SinkDrain, SinkWork},
    sink_group,
};
use crate::{
    commit::embedded::{Entry, KeptStreams, Patience, PlantedFault, Told, outlets},
    error::{ProcessorError, ProcessorResult},
    kafka::cluster::LogRange,
    runtime::PipelineOutputs,
    sink::{Output, ResultSink, SinkMark},
};

/// The topic and what the sink's group has committed.
#[derive(Default)]
pub(super) struct Log {
    /// Offset, head, row. Between rows there are offsets of markers.
    rows: Vec<(i64, RowHead, Vec<u8>)>,
    first: i64,
    pub(super) end: i64,
    pub(super) total: u64,
    pub(super) committed: Option<(i64, String)>,
}

impl Log {
    pub(super) fn append(&mut self, number: u64) {
        self.append_of("p", number);
    }

    /// A row of a pipeline; of all but `p` the sink gets nothing.
    pub(super) fn append_of(&mut self, pipeline: &str, number: u64) {
        let text = format!("{{\"n\":{number}}}");
        let record = crate::sink::testing::record(&[]);
        let json = serde_json::to_vec(&llm_optimizer_types::ResultRecord {
            result_id: text,
            ..record.clone()
        });
        let results = vec![crate::sink::EncodedResult { record, json: json.unwrap() }];
        let output = Output { results, ..Output::default() };
        let kept = KeptStreams { results: true, ..KeptStreams::default() };
        let row = Entry::row_of(pipeline, &output, kept).unwrap().unwrap();
        self.total += row.len() as u64;
        let mut read = None;
        records_of(number, self.total, &row, |value| {
            read = RowParts::default().take(value).unwrap();
        });
        let (head, row) = read.unwrap();
        self.rows.push((self.end, head, row));
        self.end += 2;
    }

    pub(super) fn delete(&mut self, below: i64) {
        self.first = self.first.max(below);
        self.rows.retain(|(offset, ..)| *offset >= below);
    }
}

/// A process's view of it.
pub(super) struct Reader {
    pub(super) log: Rc<RefCell<Log>>,
    pub(super) settings: ReaderSettings,
    pub(super) is_granted: bool,
    pub(super) next: Option<i64>,
    /// Begins wherever the log begins, if what is to come next is gone: a fault.
    pub(super) ignores_the_start: bool,
}

impl RowSource for Reader {
    fn join(&mut self) -> ProcessorResult<()> {
        Ok(())
    }

    fn leave(&mut self) {}

    fn idle(&self, _: Duration) {}

    fn poll(&mut self, _: Duration) -> ProcessorResult<Read> {
        if !std::mem::replace(&mut self.is_granted, true) {
            return Ok(Read::Granted);
        }
        let Some(from) = self.next else { return Ok(Read::Nothing) };
        let log = self.log.borrow();
        let Some((offset, head, row)) = log.rows.iter().find(|(offset, ..)| *offset >= from) else {
            return Ok(Read::Nothing);
        };
        self.next = Some(offset + 1);
        Ok(Read::Row { topic: 0, head: *head, row: row.clone(), next: offset + 1 })
    }

    fn places(&self) -> ProcessorResult<Vec<Place>> {
        let log = self.log.borrow();
        let mut stored = log.committed.clone();
        if let (true, Some((next, metadata))) = (self.ignores_the_start, &mut stored)
            && *next < log.first
        {
            *next = log.first;
            let mark = SinkCursor::decode(metadata).unwrap().mark;
            *metadata = SinkCursor::new(None, mark).encode();
        }
        let range = LogRange { first: log.first, end: log.end };
        self.settings.place("topic", range, stored).map(|place| vec![place])
    }

    fn read_from(&mut self, places: &[Place]) -> ProcessorResult<()> {
        self.next = Some(places[0].next);
        Ok(())
    }

    fn store(&self, cursors: &[(i64, SinkCursor)]) -> ProcessorResult<()> {
        self.log.borrow_mut().committed = Some((cursors[0].0, cursors[0].1.encode()));
        Ok(())
    }
}

/// A file of lines, some of which a crash takes.
#[derive(Default)]
struct Disk {
    lines: Vec<Vec<u8>>,
    synced: usize,
    /// Fails at this call.
    fails_in: Option<u32>,
}

impl Disk {
    fn call(&mut self) -> ProcessorResult<()> {
        self.fails_in = self.fails_in.and_then(|calls| calls.checked_sub(1));
        if self.fails_in == Some(0) {
            self.fails_in = None;
            let reason = "planned".into();
            return Err(ProcessorError::Unavailable { name: "disk".into(), reason });
        }
        Ok(())
    }
}

struct DiskSink(Arc<Mutex<Disk>>);

impl ResultSink for DiskSink {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn deliver(&mut self, output: &Arc<Output>) -> ProcessorResult<()> {
        let mut disk = self.0.lock().unwrap();
        disk.call()?;
        disk.lines.extend(output.results.iter().map(|result| result.json.clone()));
        Ok(())
    }

    fn cursor_name(&self) -> Option<String> {
        Some("disk".into())
    }

    fn mark(&self) -> Option<SinkMark> {
        let length = self.0.lock().unwrap().lines.len() as u64;
        Some(SinkMark { length, device: 1, inode: 1 })
    }

    fn sync(&mut self) -> ProcessorResult<()> {
        let mut disk = self.0.lock().unwrap();
        disk.call()?;
        disk.synced = disk.lines.len();
        Ok(())
    }

    fn rewind(&mut self, to: Option<&SinkMark>) -> ProcessorResult<()> {
        let Some(to) = to else { return Ok(()) };
        let mut disk = self.0.lock().unwrap();
        let length = usize::try_from(to.length).unwrap();
        if disk.lines.len() < length {
            let reason = "is shorter than its cursor".into();
            return Err(ProcessorError::Sink { name: "disk".into(), reason });
        }
        disk.lines.truncate(length);
        disk.synced = length;
        Ok(())
    }

    fn close(&mut self) -> ProcessorResult<()> {
        Ok(())
    }
}

pub(super) fn settings() -> ReaderSettings {
    ReaderSettings {
        bootstrap_servers: String::new(),
        group: "g-outbox-disk".into(),
        member: "m".into(),
        session_timeout: Duration::from_secs(6),
        sink: "disk".into(),
        topics: vec!["topic".into()],
    }
}

#[derive(Clone, Copy, Default)]
struct Faults {
    planted: Option<PlantedFault>,
    ignores_the_start: bool,
}

struct World {
    log: Rc<RefCell<Log>>,
    disk: Arc<Mutex<Disk>>,
    board: Arc<Board>,
    faults: Faults,
}

impl World {
    fn new(faults: Faults) -> Self {
        let board = Arc::new(Board::new(1, &[vec![0]]));
        board.begin(&[0]);
        board.want(Wanted::Drain);
        Self { log: Rc::default(), disk: Arc::default(), board, faults }
    }

    /// A process that begins.
    fn start(&self) -> SinkDrain<Reader> {
        let sink: Box<dyn ResultSink> = Box::new(DiskSink(Arc::clone(&self.disk)));
        let outputs = PipelineOutputs { results: vec![sink], ..PipelineOutputs::default() };
        let patience =
            Patience { max_retries: 9, initial: Duration::ZERO, longest: Duration::ZERO };
        let work = SinkWork {
            number: 0,
            outlet: outlets(vec![outputs]).remove(0),
            reader: settings(),
            topics: vec![0],
            pipelines: vec!["p".into()],
            patience,
            planted: self.faults.planted,
            board: Arc::clone(&self.board),
            told: Arc::new(Told::new(&Arc::default(), 0)),
        };
        let reader = Reader {
            log: Rc::clone(&self.log),
            settings: settings(),
            is_granted: false,
            next: None,
            ignores_the_start: self.faults.ignores_the_start,
        };
        SinkDrain::new(work, reader)
    }

    /// What the process did not sync may be gone.
    fn crash(&self, chance: &mut ChaCha8Rng) -> SinkDrain<Reader> {
        let mut disk = self.disk.lock().unwrap();
        let (synced, written) = (disk.synced, disk.lines.len());
        let left = chance.random_range(synced..=written);
        disk.lines.truncate(left);
        disk.synced = left;
        disk.fails_in = None;
        drop(disk);
        self.start()
    }
}

/// A run of `seed`; what is wrong at its end.
fn run(seed: u64, faults: Faults) -> Result<(), String> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let world = World::new(faults);
    let mut drain = world.start();
    let mut written = 0;
    for _ in 0..chance.random_range(20..200) {
        match chance.random_range(0..20) {
            0..=4 => {
                written += 1;
                world.log.borrow_mut().append(written);
                world.board.committed(&[world.log.borrow().total]);
            }
            5 => drain = world.crash(&mut chance),
            6 => world.disk.lock().unwrap().fails_in = Some(chance.random_range(1..4)),
            7 => {
                if let Some(below) = world.board.slowest(0) {
                    world.log.borrow_mut().delete(below);
                }
            }
            _ => drain.step().map_err(|error| error.to_string())?,
        }
    }
    for _ in 0..2_000 {
        drain.step().map_err(|error| error.to_string())?;
    }
    if !drain.has_all() {
        return Err("the sink never has all".into());
    }
    let disk = world.disk.lock().unwrap();
    let found: Vec<u64> = disk.lines.iter().map(|line| number_of(line)).collect();
    let expected: Vec<u64> = (1..=written).collect();
    if found == expected { Ok(()) } else { Err(format!("{found:?} instead of 1..={written}")) }
}

pub(super) fn number_of(line: &[u8]) -> u64 {
    let record: serde_json::Value = serde_json::from_slice(line).unwrap();
    let id: serde_json::Value =
        serde_json::from_str(record["result_id"].as_str().unwrap()).unwrap();
    id["n"].as_u64().unwrap()
}

#[test]
fn a_file_has_each_row_once_through_crashes_failures_and_deletion() {
    for seed in 0..400 {
        run(seed, Faults::default()).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
}

#[test]
fn planted_faults_show() {
    let planted =
        [PlantedFault::CursorBeforeWrite, PlantedFault::SkipSync, PlantedFault::SkipRewind];
    for fault in planted {
        let faults = Faults { planted: Some(fault), ..Faults::default() };
        let found = (0..200).find(|seed| run(*seed, faults).is_err());
        assert!(found.is_some(), "{fault:?} does not show within 200 seeds");
    }
}

/// Rows that the sink has not got are deleted by somebody else.
fn after_a_deletion(faults: Faults) -> (Result<(), String>, usize) {
    let world = World::new(faults);
    (1..=3).for_each(|number| world.log.borrow_mut().append(number));
    let mut drain = world.start();
    (0..50).for_each(|_| drain.step().unwrap());
    (4..=9).for_each(|number| world.log.borrow_mut().append(number));
    let end = world.log.borrow().end;
    world.log.borrow_mut().delete(end - 2);
    let mut drain = world.start();
    let outcome = (0..50).try_for_each(|_| drain.step());
    let lines = world.disk.lock().unwrap().lines.len();
    (outcome.map_err(|error| error.to_string()), lines)
}

#[test]
fn a_cursor_below_the_start_of_the_log_is_refused() {
    let (outcome, lines) = after_a_deletion(Faults::default());
    let wrong = outcome.unwrap_err();
    assert!(wrong.contains("the log begins at") && wrong.contains("g-outbox-disk"), "{wrong}");
    assert_eq!(lines, 3);
    // Without that check rows would be left out, and nobody would know.
    let faults = Faults { ignores_the_start: true, ..Faults::default() };
    assert_eq!(after_a_deletion(faults), (Ok(()), 4));
}

#[test]
fn a_row_that_does_not_follow_is_refused() {
    let world = World::new(Faults::default());
    (1..=3).for_each(|number| world.log.borrow_mut().append(number));
    let mut drain = world.start();
    (0..50).for_each(|_| drain.step().unwrap());
    (4..=5).for_each(|number| world.log.borrow_mut().append(number));
    world.log.borrow_mut().rows.remove(3);
    let wrong = (0..50).try_for_each(|_| drain.step()).unwrap_err().to_string();
    assert!(wrong.contains("results are missing before offset"), "{wrong}");
}

#[test]
fn a_topic_that_was_made_anew_is_refused() {
    let settings = settings();
    let stored = Some((9, SinkCursor::new(Some(70), None).encode()));
    let wrong = settings.place("topic", LogRange { first: 0, end: 4 }, stored).unwrap_err();
    assert!(wrong.to_string().contains("somebody made the topic anew"), "{wrong}");
    let foreign = Some((2, String::from("of another program")));
    let wrong = settings.place("topic", LogRange { first: 0, end: 4 }, foreign).unwrap_err();
    assert!(wrong.to_string().contains("is not of this release"), "{wrong}");
}

/// Never change it: cursors are kept under these names.
#[test]
fn a_sink_has_a_group_of_its_own_for_ever() {
    assert_eq!(
        sink_group("stats", "results file out/results.ndjson"),
        "stats-outbox-results-file-out-results.ndjson-1072e27c"
    );
    let long = "x".repeat(300);
    let (first, second) = (format!("{long}1"), format!("{long}2"));
    assert_ne!(sink_group("g", &first), sink_group("g", &second));
    assert!(sink_group("g", &first).len() < 90);
}
