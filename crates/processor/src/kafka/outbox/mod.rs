//! The outbox topic: how results of a Kafka source reach sinks that cannot be in its transactions, each once where the sink can
//! go back.
//!
//! ```text
//! transaction ─▶ <group>-<pipeline>-outbox ─▶ sink's group reads ─▶ write ─▶ sync ─▶ commit offset + mark ─▶ delete
//! ```
//! | file | subject |
//! | --- | --- |
//! | `codec` | the output of a commit as records |
//! | `cursor` | what a sink's group commits beside the offset |
//! | `reader` | a sink's membership, its cursor, its rows |
//! | `sink`, `flow` | one sink on its thread, driven by the machine of the embedded outbox |
//! | `feeds` | what a sink that keeps its cursor itself is told |
//! | `board` | what worker, sinks and deleter tell each other |
//! | `deleter` | deletes what every sink has got |
//!
//! A file's cursor is committed only after the file is synced, and says its length; a start cuts the file to it. A topic on another
//! cluster cannot be cut: at least once. A database has its own cursor, moved in the transaction that writes the rows, and leaves
//! out what it has. Sinks that are fed from memory are not here.

mod board;
mod codec;
mod cursor;
mod deleter;
mod feeds;
mod flow;
mod reader;
mod sink;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use board::{Board, Wanted};
pub(super) use codec::records_of;
use deleter::Deleter;
use reader::ReaderSettings;
use sink::SinkWork;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    commit::embedded::{Outlet, Patience, PlantedFault, Told, outlets},
    error::{ProcessorError, ProcessorResult},
    runtime::{PipelineOutputs, Telemetry},
};

/// Where the outbox is, and how it is drained.
#[derive(Debug, Clone)]
pub struct OutboxSettings {
    /// Brokers of the source's cluster, `host:port` separated by commas.
    pub bootstrap_servers: String,
    /// The source's group; those of sinks begin with it.
    pub group: String,
    /// Static name of this process in every sink's group.
    pub member: String,
    /// Session timeout of the members.
    pub session_timeout: Duration,
    /// Name and outbox topic of each pipeline; `None`: it has no sink that needs one.
    pub pipelines: Vec<(String, Option<String>)>,
    /// What happens when a sink fails.
    pub patience: Patience,
    /// Bytes at which input waits for the sinks.
    pub max_bytes: u64,
    /// A fault for a test of tests.
    pub planted: Option<PlantedFault>,
}

/// The sinks that drain the outbox, seen from the worker.
///
/// | call | afterwards |
/// | --- | --- |
/// | `begin(totals)` | sinks take what is committed, from their cursors on |
/// | `let_go()` | sinks rest and leave their groups, so that another process can go on |
/// | `close()` | sinks take all that is committed, then close; `is_closed` says when |
///
/// Dropping it leaves what waits in the topic.
pub struct Outbox {
    board: Arc<Board>,
    /// For each pipeline that has one, the number of its topic, which is its place in this list.
    topics: Vec<usize>,
    threads: Vec<JoinHandle<()>>,
    told: Arc<Told>,
    has_begun: bool,
    is_up: bool,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("board", &self.board).finish_non_exhaustive()
    }
}

impl Outbox {
    /// Starts a thread per sink; nothing is read before [`begin`](Self::begin).
    ///
    /// # Errors
    /// [`ProcessorError::Internal`] if the system gives no thread, or a sink is fed by a pipeline without an outbox.
    pub fn start(
        settings: &OutboxSettings,
        outputs: Vec<PipelineOutputs>,
        telemetry: &Arc<Telemetry>,
    ) -> ProcessorResult<Self> {
        let with_topic = |(pipeline, (_, topic)): (usize, &(String, Option<String>))| {
            topic.clone().map(|topic| (pipeline, topic))
        };
        let topics: Vec<(usize, String)> =
            settings.pipelines.iter().enumerate().filter_map(with_topic).collect();
        let mut outlets = outlets(outputs);
        for outlet in &mut outlets {
            outlet.tells(&telemetry.sinks);
        }
        let reads: Vec<Vec<usize>> =
            outlets.iter().map(|outlet| topics_of(outlet, &topics)).collect();
        let board = Arc::new(Board::new(topics.len(), &reads));
        let told = Arc::new(Told::new(telemetry, settings.max_bytes));
        let mut outbox = Self {
            board: Arc::clone(&board),
            topics: topics.iter().map(|(pipeline, _)| *pipeline).collect(),
            threads: Vec::new(),
            told: Arc::clone(&told),
            has_begun: false,
            is_up: false,
        };
        for (number, (outlet, reads)) in outlets.into_iter().zip(reads).enumerate() {
            let names = reads.iter().filter_map(|topic| Some(topics.get(*topic)?.1.clone()));
            let work = SinkWork {
                number,
                reader: reader_settings(settings, &outlet, names.collect())?,
                outlet,
                topics: reads,
                pipelines: settings.pipelines.iter().map(|(name, _)| name.clone()).collect(),
                patience: settings.patience,
                planted: settings.planted,
                board: Arc::clone(&board),
                told: Arc::clone(&told),
            };
            outbox.spawn("outbox-sink", move || work.run())?;
        }
        let deleter = Deleter {
            bootstrap_servers: settings.bootstrap_servers.clone(),
            client_id: settings.member.clone(),
            topics: topics.into_iter().map(|(_, topic)| topic).collect(),
            board,
        };
        outbox.spawn("outbox-deleter", move || deleter.run())?;
        Ok(outbox)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> ProcessorResult<()> {
        let thread = thread::Builder::new().name(name.into()).spawn(work).map_err(|cause| {
            ProcessorError::Internal(format!("no thread for the outbox: {cause}"))
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Lets sinks take what is committed; `totals` is what each pipeline had written when its state was read back, in bytes.
    pub fn begin(&mut self, totals: &[u64]) {
        self.has_begun = true;
        self.board.begin(&self.of_topics(totals));
        self.take_up();
    }

    /// Lets sinks go on after [`let_go`](Self::let_go).
    pub fn take_up(&mut self) {
        if self.has_begun {
            self.is_up = true;
            self.board.want(Wanted::Drain);
        }
    }

    /// Lets sinks rest: this process does not count for now.
    pub fn let_go(&mut self) {
        self.is_up = false;
        self.board.want(Wanted::Wait);
    }

    /// So much has each pipeline written up to the newest commit, in bytes.
    pub fn committed(&self, totals: &[u64]) {
        self.board.committed(&self.of_topics(totals));
    }

    /// Bytes that are committed and that not every sink has got.
    #[must_use]
    pub fn waiting_bytes(&self) -> u64 {
        self.board.waiting_bytes()
    }

    /// Shows how much waits; why a sink does not go on, if one does not, is told once.
    ///
    /// # Errors
    /// That.
    pub fn check(&self) -> ProcessorResult<()> {
        self.told.measures(self.board.waiting_bytes(), self.board.waiting_records());
        self.board.failure().map_or(Ok(()), Err)
    }

    /// Lets sinks take all that is committed and close. Where this process does not count, there is nothing to wait for.
    pub fn close(&self) {
        self.board.want(if self.is_up { Wanted::Close } else { Wanted::Leave });
    }

    /// Whether every sink is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.board.is_closed()
    }

    fn of_topics(&self, totals: &[u64]) -> Vec<u64> {
        let total = |pipeline: &usize| totals.get(*pipeline).copied().unwrap_or(0);
        self.topics.iter().map(total).collect()
    }
}

impl Drop for Outbox {
    /// Leaves what waits in the topic, and gives the threads a moment.
    fn drop(&mut self) {
        self.board.want(Wanted::Leave);
        let until = Instant::now() + Duration::from_secs(2);
        while !self.threads.iter().all(JoinHandle::is_finished) && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Numbers of the topics that an outlet is fed from.
fn topics_of(outlet: &Outlet, topics: &[(usize, String)]) -> Vec<usize> {
    let feeds = outlet.pipelines();
    let fed = topics.iter().enumerate().filter(|(_, (pipeline, _))| feeds.contains(pipeline));
    fed.map(|(number, _)| number).collect()
}

fn reader_settings(
    settings: &OutboxSettings,
    outlet: &Outlet,
    topics: Vec<String>,
) -> ProcessorResult<ReaderSettings> {
    let Some(cursor_name) = outlet.cursor_name().filter(|_| !topics.is_empty()) else {
        let name = outlet.name();
        return Err(ProcessorError::Internal(format!("sink {name} has no place in an outbox")));
    };
    Ok(ReaderSettings {
        bootstrap_servers: settings.bootstrap_servers.clone(),
        group: sink_group(&settings.group, &cursor_name),
        member: settings.member.clone(),
        session_timeout: settings.session_timeout,
        sink: outlet.name().to_owned(),
        topics,
    })
}

/// The group of a sink: `<group>-outbox-`, what can be read of the sink's name, and a hash of all of it.
fn sink_group(group: &str, cursor_name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' };
    let readable: String = cursor_name.chars().map(plain).take(60).collect();
    let hash = xxh3_64(cursor_name.as_bytes()) & 0xffff_ffff;
    format!("{group}-outbox-{readable}-{hash:08x}")
}
