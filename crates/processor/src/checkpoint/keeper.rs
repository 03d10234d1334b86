//! A thread that keeps checkpoints of a store while others write to it.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tracing::{info, warn};

use super::{CheckpointAbout, CheckpointError, CheckpointKind, CheckpointStore};
use crate::{
    error::ProcessorError,
    metrics::{Counter, DurationHistogram, Gauge, Metrics, catalogue as names},
    source::clock::Clock,
    state::Store,
};

/// What changes with every commit.
const COMMIT: &[u8] = b"mcommit";

/// When checkpoints are made, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeeperSettings {
    /// Time from the end of one to the beginning of the next.
    pub interval: Duration,
    /// How many are kept; savepoints are not counted.
    pub retain: usize,
}

/// Keeps a checkpoint of a store every now and then, on a thread of its own, until it is dropped.
///
/// | law | |
/// | --- | --- |
/// | a checkpoint | holds the rows of one moment, between two writes |
/// | nothing committed since the last one | none is made |
/// | one that fails | is logged, and tried again after the interval; the store goes on |
/// | `drop` | waits for one that is being made |
#[derive(Debug)]
pub struct CheckpointKeeper {
    stopping: Arc<Stopping>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Stopping {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Stopping {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, and says whether to stop.
    fn wait(&self, span: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), span, |asked| !*asked);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl CheckpointKeeper {
    /// Begins; the first checkpoint is made after one interval.
    ///
    /// # Errors
    /// [`Internal`](ProcessorError::Internal) if there is no thread to be had.
    pub fn start(
        store: Arc<dyn Store>,
        checkpoints: CheckpointStore,
        settings: KeeperSettings,
        clock: Arc<dyn Clock>,
        metrics: Option<Arc<Metrics>>,
    ) -> Result<Self, ProcessorError> {
        let stopping = Arc::new(Stopping::default());
        let seen = Arc::clone(&stopping);
        let work = move || {
            let meters = metrics.as_deref().map(Meters::new);
            let mut last = None;
            while !seen.wait(settings.interval) {
                let kept = keep(&*store, &checkpoints, settings.retain, &*clock, &mut last);
                match (&kept, &meters) {
                    (Ok(Some(kept)), Some(meters)) => meters.kept(kept, clock.now_ms()),
                    (Err(_), Some(meters)) => meters.failed(),
                    _ => {}
                }
                if let Err(failure) = kept {
                    warn!("no checkpoint: {failure}; tried again after the interval");
                }
            }
        };
        let thread = thread::Builder::new().name("checkpoints".into()).spawn(work);
        let thread = thread
            .map_err(|cause| ProcessorError::Internal(format!("no checkpoint thread: {cause}")))?;
        Ok(Self { stopping, thread: Some(thread) })
    }
}

impl Drop for CheckpointKeeper {
    fn drop(&mut self) {
        *self.stopping.lock() = true;
        self.stopping.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            drop(thread.join());
        }
    }
}

/// Makes a checkpoint, unless the newest commit is `last`, and forgets the oldest ones.
fn keep(
    store: &dyn Store,
    checkpoints: &CheckpointStore,
    retain: usize,
    clock: &dyn Clock,
    last: &mut Option<Vec<u8>>,
) -> Result<Option<Kept>, CheckpointError> {
    let view = store.snapshot()?;
    let commit = view.get(COMMIT)?;
    if commit.is_none() || commit == *last {
        return Ok(None);
    }
    let _span = tracing::info_span!("checkpoint").entered();
    let about = CheckpointAbout::of(&*view, CheckpointKind::Checkpoint, clock.now_ms())?;
    let begun = clock.elapsed();
    let made = checkpoints.create(&*view, &about)?;
    let took = clock.elapsed().saturating_sub(begun);
    info!(
        checkpoint = made.id,
        rows = made.rows(),
        bytes = made.bytes(),
        elapsed_ms = took.as_millis(),
        "checkpoint kept"
    );
    *last = commit;
    checkpoints.retain(retain)?;
    Ok(Some(Kept { took, bytes: made.bytes() }))
}

/// A checkpoint that was kept.
struct Kept {
    took: Duration,
    bytes: u64,
}

/// What is measured of checkpoints.
struct Meters {
    duration: DurationHistogram,
    kept: Counter,
    failures: Counter,
    errors: Counter,
    bytes: Gauge,
    last: Gauge,
}

impl Meters {
    fn new(metrics: &Metrics) -> Self {
        Self {
            duration: metrics.durations(&names::CHECKPOINT_DURATION),
            kept: metrics.counter(&names::CHECKPOINTS, &[]),
            failures: metrics.counter(&names::CHECKPOINT_FAILURES, &[]),
            errors: metrics.counter(&names::ERRORS, &["checkpoint"]),
            bytes: metrics.gauge(&names::CHECKPOINT_BYTES, &[]),
            last: metrics.gauge(&names::LAST_CHECKPOINT_TIMESTAMP, &[]),
        }
    }

    fn kept(&self, kept: &Kept, now_ms: i64) {
        self.kept.inc();
        self.duration.observe(kept.took);
        self.bytes.set(kept.bytes as f64);
        self.last.set(now_ms as f64 / 1e3);
    }

    fn failed(&self) {
        self.failures.inc();
        self.errors.inc();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{
        source::clock::SystemClock,
        state::{Durability, MemoryStore, WriteBatch},
    };

    fn commit(store: &dyn Store, number: u8) {
        let mut batch = WriteBatch::default();
        batch.put(COMMIT, &[number]);
        batch.put(b"s", &[number]);
        store.write(&batch, Durability::Synced).unwrap();
    }

    fn wait_until(condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it does not happen");
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn checkpoints_follow_commits_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointStore::new(folder.path());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let settings = KeeperSettings { interval: Duration::from_millis(1), retain: 2 };
        let clock = Arc::new(SystemClock::new());
        let keeper =
            CheckpointKeeper::start(store.clone(), checkpoints.clone(), settings, clock, None)
                .unwrap();
        for number in 1..=4_u8 {
            commit(&*store, number);
            let id = u64::from(number);
            wait_until(|| checkpoints.verify(id).is_ok());
        }
        drop(keeper);
        let ids: Vec<u64> = checkpoints.list().unwrap().iter().map(|listed| listed.id).collect();
        assert_eq!(ids, [3, 4]);
    }

    #[test]
    fn without_a_commit_there_is_nothing_to_keep() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointStore::new(folder.path());
        let store = MemoryStore::new();
        let clock = SystemClock::new();
        let mut last = None;
        for expected in [0, 1, 1] {
            keep(&store, &checkpoints, 3, &clock, &mut last).unwrap();
            assert_eq!(checkpoints.list().unwrap().len(), expected);
            if expected == 0 {
                commit(&store, 1);
            }
        }
    }
}
