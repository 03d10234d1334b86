//! A made-up topic, and processes that drain it into a sink: what outlives them, and how one begins.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    commit::embedded::{Entry, KeptStreams, Patience, PlantedFault, Told, outlets},
    error::ProcessorResult,
    kafka::{
        cluster::LogRange,
        outbox::{
            board::{Board, Wanted},
            codec::{RowHead, RowParts, records_of},
            cursor::SinkCursor,
            reader::{Place, Read, ReaderSettings, RowSource},
            sink::{SinkDrain, SinkWork},
        },
    },
    runtime::PipelineOutputs,
    sink::{Output, ResultSink},
};

/// The topic and what the sink's group has committed.
#[derive(Default)]
pub(super) struct Log {
    /// Offset, head, row. Between rows there are offsets of markers.
    pub(super) rows: Vec<(i64, RowHead, Vec<u8>)>,
    first: i64,
    pub(super) end: i64,
    pub(super) total: u64,
    committed: Option<(i64, String)>,
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
    log: Rc<RefCell<Log>>,
    settings: ReaderSettings,
    is_granted: bool,
    next: Option<i64>,
    ignores_the_start: bool,
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

/// What is wrong on purpose.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) planted: Option<PlantedFault>,
    /// Begins wherever the log begins, if what is to come next is gone.
    pub(super) ignores_the_start: bool,
}

/// What outlives a process: the topic, and the server `S` that a sink writes to.
pub(super) struct World<S> {
    pub(super) log: Rc<RefCell<Log>>,
    pub(super) server: Arc<Mutex<S>>,
    pub(super) board: Arc<Board>,
    faults: Faults,
}

impl<S: Default> World<S> {
    pub(super) fn new(faults: Faults) -> Self {
        let board = Arc::new(Board::new(1, &[vec![0]]));
        board.begin(&[0]);
        board.want(Wanted::Drain);
        Self { log: Rc::default(), server: Arc::default(), board, faults }
    }

    /// A process begins, with this sink.
    pub(super) fn begin(&self, sink: Box<dyn ResultSink>, max_retries: u32) -> SinkDrain<Reader> {
        let outputs = PipelineOutputs { results: vec![sink], ..PipelineOutputs::default() };
        let work = SinkWork {
            number: 0,
            outlet: outlets(vec![outputs]).remove(0),
            reader: settings(),
            topics: vec![0],
            pipelines: vec!["p".into()],
            patience: Patience { max_retries, initial: Duration::ZERO, longest: Duration::ZERO },
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
}

/// The number that `append` was given for the row with this line.
pub(super) fn number_of(line: &[u8]) -> u64 {
    let record: serde_json::Value = serde_json::from_slice(line).unwrap();
    let id: serde_json::Value =
        serde_json::from_str(record["result_id"].as_str().unwrap()).unwrap();
    id["n"].as_u64().unwrap()
}
