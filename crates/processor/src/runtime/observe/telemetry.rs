//! What the threads of a run and those who look at it share.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};
use llm_optimizer_types::SideRecord;

use super::{Health, History, Live, Question, RunView, SinkBoard, Taps};
use crate::{
    checkpoint::{CheckpointAbout, CheckpointError, CheckpointKind, CheckpointStore, Manifest},
    metrics::Metrics,
    source::http::Door,
    state::Store,
};

/// Samples of late events and of dead letters that are kept, of each.
pub(in crate::runtime) const MAX_SAMPLES: usize = 100;
/// Questions that wait for the worker.
const MAX_QUESTIONS: usize = 16;

/// What a run tells: shared by its threads and by those who look.
///
/// The default is off: nothing is measured, listened to or kept, and nothing costs anything.
#[derive(Debug)]
pub struct Telemetry {
    /// Metrics, unless they are off.
    pub metrics: Option<Arc<Metrics>>,
    /// Whether the run is well.
    pub health: Arc<Health>,
    /// Live results, if anybody may listen.
    pub live: Option<Arc<Live>>,
    /// The run as it was a moment ago.
    pub view: ArcSwap<RunView>,
    /// The run over the last quarter of an hour.
    pub history: History,
    /// How the sinks fare.
    pub sinks: Arc<SinkBoard>,
    /// Who looks at single records, events and results.
    pub taps: Arc<Taps>,
    /// Late events and dead letters that came lately.
    pub samples: Mutex<Samples>,
    /// Checkpoints, where there is a local store.
    pub checkpoints: OnceLock<KeptCheckpoints>,
    /// Ends of the Kafka partitions that are read, by topic and partition.
    pub ends: Mutex<BTreeMap<(String, i32), i64>>,
    /// The way in for records that are sent, if the process has a server.
    pub(crate) door: OnceLock<Arc<Door>>,
    questions: (Sender<Question>, Receiver<Question>),
    has_traces: bool,
}

/// Samples of records that are in no result, the newest last.
#[derive(Debug, Default)]
pub struct Samples {
    /// Late events.
    pub late: VecDeque<SideRecord>,
    /// Dead letters.
    pub dead_letters: VecDeque<SideRecord>,
}

impl Samples {
    /// Adds samples; the oldest go.
    pub(in crate::runtime) fn add(&mut self, mut more: Self) {
        self.late.append(&mut more.late);
        self.dead_letters.append(&mut more.dead_letters);
        for kept in [&mut self.late, &mut self.dead_letters] {
            kept.drain(..kept.len().saturating_sub(MAX_SAMPLES));
        }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new(None, false, Health::default())
    }
}

impl Telemetry {
    /// With `metrics`, if there are any, and live results if somebody may listen.
    #[must_use]
    pub fn new(metrics: Option<Arc<Metrics>>, is_listened_to: bool, health: Health) -> Self {
        Self {
            metrics,
            health: Arc::new(health),
            live: is_listened_to.then(Arc::default),
            view: ArcSwap::default(),
            history: History::default(),
            sinks: Arc::default(),
            taps: Arc::default(),
            samples: Mutex::default(),
            checkpoints: OnceLock::new(),
            ends: Mutex::default(),
            door: OnceLock::new(),
            questions: bounded(MAX_QUESTIONS),
            has_traces: false,
        }
    }

    /// Says that spans are recorded: commits are linked to where their records come from, and results name their commit.
    #[must_use]
    pub fn with_traces(self, has_traces: bool) -> Self {
        Self { has_traces, ..self }
    }

    /// Whether spans are recorded.
    #[must_use]
    pub fn has_traces(&self) -> bool {
        self.has_traces
    }

    /// Whether anybody sees what is told.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.metrics.is_some() || self.live.is_some() || self.has_traces
    }

    /// Asks the worker; false if too many questions wait.
    #[must_use]
    pub fn ask(&self, question: Question) -> bool {
        self.questions.0.try_send(question).is_ok()
    }

    /// The next question, for the worker.
    pub(super) fn question(&self) -> Option<Question> {
        self.questions.1.try_recv().ok()
    }

    /// The samples.
    pub fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ends of Kafka partitions.
    pub fn ends(&self) -> MutexGuard<'_, BTreeMap<(String, i32), i64>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The store of a run and the checkpoints of it.
#[derive(Debug)]
pub struct KeptCheckpoints {
    store: Arc<dyn Store>,
    folder: CheckpointStore,
}

impl KeptCheckpoints {
    /// Checkpoints of `store` in `folder`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, folder: CheckpointStore) -> Self {
        Self { store, folder }
    }

    /// The checkpoints.
    #[must_use]
    pub fn folder(&self) -> &CheckpointStore {
        &self.folder
    }

    /// Keeps a savepoint of what is committed now, while the run goes on.
    ///
    /// # Errors
    /// As [`CheckpointStore::create`].
    pub fn create(&self, now_ms: i64) -> Result<Manifest, CheckpointError> {
        let view = self.store.snapshot()?;
        let about = CheckpointAbout::of(&*view, CheckpointKind::Savepoint, now_ms)?;
        self.folder.create(&*view, &about)
    }
}
