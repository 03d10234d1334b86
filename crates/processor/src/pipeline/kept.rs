//! Where a pipeline built in code keeps what it commits, and that it has the place for itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use llm_optimizer_config::{ProcessorConfig, settings::StateBackendName};
use tracing::{info, warn};

use crate::{
    commit::{
        CommitLog, Fingerprint,
        embedded::{EmbeddedLog, INSTANCE},
    },
    error::{ProcessorError, ProcessorResult},
    runtime::{
        JobSettings, OpenLog, PipelineOutputs, SetupOptions, StateOf, Telemetry, check_identity,
        embedded_settings, open_state,
    },
    source::clock::Clock,
    state::{Lent, StateBackend, Store},
};

/// How long a run waits for one before it to let go of the store.
const LETTING_GO: Duration = Duration::from_secs(2);

/// Where state lives.
#[derive(Clone)]
pub(super) enum StateChoice {
    /// In a backend that was given.
    Given(Arc<dyn StateBackend>),
    /// Where `state` of the configuration says; in memory if it says nothing.
    Configured,
}

impl StateChoice {
    /// Whether windows outlive the run.
    pub(super) fn keeps(&self, config: Option<&ProcessorConfig>) -> bool {
        match self {
            Self::Given(backend) => backend.store().is_some(),
            Self::Configured => config
                .and_then(|config| config.state.as_ref())
                .is_some_and(|state| state.backend != StateBackendName::Memory),
        }
    }
}

/// A store that is this run's alone, checked to be of this pipeline.
pub(super) struct Kept {
    pub(super) store: Arc<dyn Store>,
    /// Name of whoever keeps the state; the same in every run over it.
    pub(super) instance_id: String,
    pub(super) log: OpenLog,
    pub(super) freed: Freed,
}

/// Opens the place of pipeline `name`; `None`: windows live in memory.
///
/// # Errors
/// [`ProcessorError::Unavailable`] if another pipeline uses the store, [`ProcessorError::Config`] if it
/// holds state of another pipeline or of other windows, [`ProcessorError::State`] if it is damaged.
pub(super) fn open(
    choice: &StateChoice,
    (name, fingerprint): (&str, Fingerprint),
    config: &ProcessorConfig,
    settings: &JobSettings,
    clock: &Arc<dyn Clock>,
) -> ProcessorResult<Option<Kept>> {
    let of = StateOf { fingerprint, pipelines: vec![name.to_owned()] };
    let is_meant = match choice {
        StateChoice::Given(backend) => {
            if let Some(store) = backend.store() {
                return in_store(&store, of, config, settings).map(Some);
            }
            backend.is_volatile()
        }
        StateChoice::Configured if choice.keeps(Some(config)) => {
            return in_folder(of, config, settings, clock).map(Some);
        }
        StateChoice::Configured => true,
    };
    say_volatile(name, is_meant);
    Ok(None)
}

fn say_volatile(name: &str, is_meant: bool) {
    if is_meant {
        info!(pipeline = name, "windows live in memory only; a restart begins anew");
    } else {
        warn!(
            pipeline = name,
            "windows live in memory only, a restart begins anew: the state backend gives no store \
             (`StateBackend::store`); use `RedbStateBackend` to keep them"
        );
    }
}

/// In the store of a backend.
fn in_store(
    store: &Arc<dyn Store>,
    of: StateOf,
    config: &ProcessorConfig,
    settings: &JobSettings,
) -> ProcessorResult<Kept> {
    let StateOf { fingerprint, pipelines } = of;
    let name = pipelines.concat();
    let lease = Lease::take(store.as_ref(), &name)?;
    let freed = Freed(Some((lease.identity, lease.run)));
    let store: Arc<dyn Store> = Arc::new(Lent::new(Arc::clone(store), lease));
    let known = store.get(INSTANCE)?.map(|id| String::from_utf8_lossy(&id).into_owned());
    let instance_id = known.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    check_identity(store.as_ref(), &fingerprint, &instance_id, |found| {
        found.check_in_code(&fingerprint, &name)
    })?;
    info!(
        pipeline = name,
        "windows, positions and results are committed together; a restart goes on where this run stops"
    );
    let settings = embedded_settings(config, settings, pipelines, &Arc::<Telemetry>::default());
    let log_store = Arc::clone(&store);
    let log: OpenLog = Box::new(move |outputs: Vec<PipelineOutputs>| {
        Ok(Box::new(EmbeddedLog::new(log_store, outputs, settings)) as Box<dyn CommitLog>)
    });
    Ok(Kept { store, instance_id, log, freed })
}

/// In the folder that the configuration names, as the program keeps it: with checkpoints.
fn in_folder(
    of: StateOf,
    config: &ProcessorConfig,
    settings: &JobSettings,
    clock: &Arc<dyn Clock>,
) -> ProcessorResult<Kept> {
    let state = config.state.clone().unwrap_or_default();
    info!(
        pipeline = of.pipelines.concat(), path = %state.path.display(),
        "windows, positions and results are committed together; a restart goes on where this run stops"
    );
    let parts = (Arc::clone(clock), Arc::<Telemetry>::default());
    let opened = open_state(config, &state, of, settings, SetupOptions::default(), parts)?;
    let (store, instance_id) = (Arc::clone(&opened.store), opened.instance_id.clone());
    Ok(Kept { store, instance_id, log: opened.log(), freed: Freed(None) })
}

/// Stores that pipelines of this process use.
static IN_USE: Mutex<BTreeMap<usize, User>> = Mutex::new(BTreeMap::new());
static LET_GO: Condvar = Condvar::new();

/// Who uses a store: the name of the pipeline, and which of its runs.
#[derive(Debug, Clone)]
struct User {
    pipeline: String,
    run: uuid::Uuid,
}

type Users = BTreeMap<usize, User>;

fn in_use() -> MutexGuard<'static, Users> {
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits, for a moment at most, until `is_awaited` holds of nobody who uses the store.
///
/// # Errors
/// Who uses it still.
fn wait_for(
    identity: usize,
    is_awaited: impl Fn(&User) -> bool,
) -> Result<MutexGuard<'static, Users>, User> {
    let until = Instant::now() + LETTING_GO;
    let mut used = in_use();
    while let Some(user) = used.get(&identity).filter(|user| is_awaited(user)) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(user.clone());
        }
        used = LET_GO.wait_timeout(used, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    Ok(used)
}

/// The right of one run to commit to a store.
#[derive(Debug)]
struct Lease {
    identity: usize,
    run: uuid::Uuid,
}

impl Lease {
    /// # Errors
    /// [`ProcessorError::Unavailable`] if another run has it.
    fn take(store: &dyn Store, pipeline: &str) -> ProcessorResult<Self> {
        let (identity, run) = (store.identity(), uuid::Uuid::new_v4());
        let mut used = wait_for(identity, |_| true).map_err(|user| ProcessorError::Unavailable {
            name: format!("state of pipeline {pipeline}"),
            reason: format!(
                "its store is being used by pipeline {}, which is still running: wait for its end, \
                 or give each pipeline a state backend of its own",
                user.pipeline
            ),
        })?;
        used.insert(identity, User { pipeline: pipeline.to_owned(), run });
        Ok(Self { identity, run })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        in_use().remove(&self.identity);
        LET_GO.notify_all();
    }
}

/// The store that a run had, if others of this process may want it.
pub(super) struct Freed(Option<(usize, uuid::Uuid)>);

impl Freed {
    /// Waits until the threads of the run, which has ended, let go of the store: whoever awaited the run can
    /// open it again. A sink that hangs is waited for only a moment; who comes next is told of it.
    pub(super) fn wait(&self) {
        if let Some((identity, run)) = self.0 {
            drop(wait_for(identity, |user| user.run == run));
        }
    }
}
