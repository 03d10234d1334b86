//! Which runs keep their state, and where.

use std::{
    any::Any,
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use llm_optimizer_config::{
    Intake, ProcessorConfig, Source,
    settings::{Delivery, StateBackendName, StateConfig},
};
use tracing::{info, warn};

use super::{
    job::{JobSettings, OpenLog},
    observe::{KeptCheckpoints, Telemetry},
    outputs::unusable,
    setup::SetupOptions,
    worker::PipelineOutputs,
};
use crate::{
    checkpoint::{CheckpointKeeper, CheckpointStore, Fallback, KeeperSettings, open_or_fall_back},
    commit::{
        CommitLog, Fingerprint,
        embedded::{
            CommitPoint, EmbeddedLog, EmbeddedSettings, FINGERPRINT, INSTANCE, Patience,
            PlantedFault, begin_another_lineage, keys::COMMIT,
        },
    },
    error::{ProcessorError, ProcessorResult},
    sink::file::OpenMode,
    source::{
        clock::Clock,
        intake::{self, Inbox, IntakeMetrics},
    },
    state::{DataDirectory, Durability, Store, WriteBatch, backend_in, open_store},
};

/// A fault that a test plants in the real process, to see that it is found.
const PLANTED_VARIABLE: &str = "PROCESSOR_PLANTED_FAULT";

/// Whether a run keeps its state.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Keeping {
    /// In memory: the run begins at the start of its input, and replaces the files it writes.
    Afresh,
    /// In memory, by a source that goes on for ever: files are added to.
    Nothing,
    /// In a local store: the run goes on where it stopped.
    Embedded(StateConfig),
}

impl Keeping {
    /// What `config` asks for.
    ///
    /// | source | `state` | kept |
    /// | --- | --- | --- |
    /// | Kafka | any | nothing yet |
    /// | bounded | not written, or `memory` | nothing |
    /// | goes on for ever | not written | redb in `./processor-state` |
    /// | endless generator | `memory` | nothing: generated traffic is nobody's loss |
    /// | followed file, `http`, `otlp` | `memory` | refused |
    /// | any but Kafka | redb, rocksdb | there |
    ///
    /// # Errors
    /// [`ProcessorError::Config`] where the table says refused.
    pub(super) fn of(config: &ProcessorConfig, options: SetupOptions) -> ProcessorResult<Self> {
        let source = config.source().map_err(unusable)?;
        let bounded = source.is_bounded();
        let in_memory = if bounded { Self::Afresh } else { Self::Nothing };
        let is_sent = matches!(source, Source::Http(_) | Source::Otlp(_));
        if source == Source::Kafka || options.in_memory && !is_sent {
            return Ok(in_memory);
        }
        match (&config.state, bounded) {
            (None, true) => Ok(in_memory),
            (Some(state), _) if state.backend == StateBackendName::Memory => {
                if bounded || matches!(source, Source::Generator(_)) {
                    return Ok(in_memory);
                }
                Err(ProcessorError::Config(
                    "state.backend: memory is for runs that end by themselves; this one goes on for \
                     ever, and would lose what it read: use redb"
                        .into(),
                ))
            }
            (state, _) => Ok(Self::Embedded(state.clone().unwrap_or_default())),
        }
    }

    /// What becomes of the files of sinks.
    pub(super) fn open_mode(&self) -> OpenMode {
        match self {
            Self::Afresh => OpenMode::Truncate,
            Self::Nothing => OpenMode::Append,
            Self::Embedded(_) => OpenMode::Resume,
        }
    }

    /// Says what a crash costs.
    pub(super) fn announce(&self, config: &ProcessorConfig) {
        let delivery = match config.delivery {
            Delivery::ExactlyOnce => "exactly_once",
            Delivery::AtLeastOnce => "at_least_once",
        };
        match self {
            Self::Embedded(state) => info!(
                path = %state.path.display(),
                delivery,
                "state, positions and results are committed together; files have each result once, \
                 topics at least once"
            ),
            Self::Afresh if config.state.is_some() => info!(
                "state is kept in memory: the run begins at the start of its input, and a restart does \
                 so again"
            ),
            Self::Nothing if matches!(config.source(), Ok(Source::Generator(_))) => {
                info!("state is kept in memory: a restart begins anew");
            }
            // Kafka says itself where it begins; what is not asked for is not said.
            Self::Afresh | Self::Nothing => {}
        }
    }
}

/// Whose state a store holds.
pub(crate) struct StateOf {
    /// What its numbers mean.
    pub(crate) fingerprint: Fingerprint,
    /// Names of the pipelines, in the order of their outputs.
    pub(crate) pipelines: Vec<String>,
}

impl StateOf {
    /// The state of all pipelines of `config`.
    pub(crate) fn config(config: &ProcessorConfig) -> Self {
        Self {
            fingerprint: Fingerprint::of(config),
            pipelines: config.pipelines().into_iter().map(|pipeline| pipeline.name).collect(),
        }
    }
}

/// The folder, its store and what the log needs, opened and checked.
pub(crate) struct Opened {
    /// Name of this instance: the configured one, else that of the folder.
    pub(crate) instance_id: String,
    directory: DataDirectory,
    keeper: CheckpointKeeper,
    pub(crate) store: Arc<dyn Store>,
    settings: EmbeddedSettings,
    inbox: Option<Arc<Inbox>>,
    held: Vec<Box<dyn Any + Send>>,
}

/// Opens the store of a run that keeps state, and checks that the state is of this configuration.
///
/// # Errors
/// [`ProcessorError::Unavailable`] if another process uses the folder, [`ProcessorError::Config`] if the
/// state is of another configuration, [`ProcessorError::State`] if it is damaged.
pub(crate) fn open(
    config: &ProcessorConfig,
    state: &StateConfig,
    of: StateOf,
    settings: &JobSettings,
    options: SetupOptions,
    (clock, telemetry): (Arc<dyn Clock>, Arc<Telemetry>),
) -> ProcessorResult<Opened> {
    let directory = DataDirectory::lock(&state.path)?;
    let aside = if options.new_state { set_aside(&directory, clock.now_ms())? } else { None };
    let now_ms = clock.now_ms();
    let folder = state.checkpoint_path.clone();
    let folder = folder.unwrap_or_else(|| directory.path().join("checkpoints"));
    let checkpoints = CheckpointStore::new(folder);
    let (store, fallback) =
        open_or_fall_back(state.backend, directory.path(), &checkpoints, now_ms)?;
    let intake = intake_of(config)?;
    if let Some(fallback) = &fallback {
        tell(fallback, intake.is_some());
        begin_another_lineage(store.as_ref())?;
    }
    let instance_id = match &config.instance_id {
        Some(id) => id.clone(),
        None => directory.instance_id()?,
    };
    let StateOf { fingerprint, pipelines } = of;
    check_identity(store.as_ref(), &fingerprint, &instance_id, |found| {
        found.check(&fingerprint, &state.path)
    })?;
    if let (Some(aside), Some(_)) = (&aside, &intake) {
        carry_inbox_over(aside, store.as_ref());
    }
    let inbox = intake.map(|intake| {
        intake::load(
            store.as_ref(),
            intake.max_inbox_bytes,
            IntakeMetrics::of(telemetry.metrics.as_deref()),
        )
    });
    let inbox = inbox.transpose()?;
    let settings = EmbeddedSettings {
        planted: planted_fault()?,
        ..embedded_settings(config, settings, pipelines, &telemetry)
    };
    let keeping = KeeperSettings {
        interval: config.checkpoint_interval_secs.as_duration(),
        retain: state.checkpoint_retain,
    };
    let kept = KeptCheckpoints::new(Arc::clone(&store), checkpoints.clone());
    // A second run would have a telemetry of its own.
    let _ = telemetry.checkpoints.set(kept);
    let metrics = telemetry.metrics.clone();
    let keeper = CheckpointKeeper::start(Arc::clone(&store), checkpoints, keeping, clock, metrics)?;
    Ok(Opened { instance_id, directory, keeper, store, settings, inbox, held: Vec::new() })
}

/// How the log of a run with these settings works.
pub(crate) fn embedded_settings(
    config: &ProcessorConfig,
    settings: &JobSettings,
    pipelines: Vec<String>,
    telemetry: &Arc<Telemetry>,
) -> EmbeddedSettings {
    EmbeddedSettings {
        max_outbox_bytes: config.max_outbox_bytes,
        patience: Patience {
            max_retries: settings.max_retries,
            initial: settings.initial_retry_delay,
            longest: settings.max_retry_delay,
        },
        pipelines,
        planted: None,
        telemetry: Arc::clone(telemetry),
    }
}

/// What is accepted from senders, if the source is sent records.
fn intake_of(config: &ProcessorConfig) -> ProcessorResult<Option<Intake>> {
    Ok(match config.source().map_err(unusable)? {
        Source::Http(intake) | Source::Otlp(intake) => Some(intake),
        _ => None,
    })
}

impl Opened {
    /// Keeps what must not end before the run has.
    pub(super) fn hold(&mut self, what: Box<dyn Any + Send>) {
        self.held.push(what);
    }

    /// The store and the inbox in it, if the source is sent records.
    pub(super) fn inbox(&self) -> Option<(Arc<dyn Store>, Arc<Inbox>)> {
        Some((Arc::clone(&self.store), Arc::clone(self.inbox.as_ref()?)))
    }

    /// The log, once the sinks are there. The folder stays locked as long as it lives.
    pub(crate) fn log(self) -> OpenLog {
        Box::new(move |outputs: Vec<PipelineOutputs>| {
            let Self { directory, keeper, store, settings, inbox, held, .. } = self;
            let log = EmbeddedLog::new(store, outputs, settings).with_inbox(inbox);
            let mut held = held;
            held.extend([Box::new(keeper) as Box<dyn Any + Send>, Box::new(directory)]);
            let log = log.holding(held);
            Ok(Box::new(log) as Box<dyn CommitLog>)
        })
    }
}

/// Says that a checkpoint took the place of a damaged store.
fn tell(fallback: &Fallback, is_sent: bool) {
    let Fallback { restored, passed_over, moved_to } = fallback;
    warn!(
        checkpoint = restored.id,
        damaged_checkpoints = passed_over.len(),
        damaged_store = moved_to.as_ref().map(|path| path.display().to_string()),
        "the store is damaged: the run goes on from a checkpoint, and reads and writes again what came \
         after it"
    );
    if is_sent {
        warn!(
            checkpoint = restored.id,
            "what was accepted from senders after the checkpoint is lost: they have to send it again"
        );
    }
}

/// What was accepted and is in no commit of the old state goes into the new one. An old state that cannot
/// be read is no reason not to begin afresh.
fn carry_inbox_over(aside: &Path, new: &dyn Store) {
    match carried_over(aside, new) {
        Ok(0) => {}
        Ok(records) => {
            info!(records, "records that were accepted and not processed go into the new state");
        }
        Err(error) => warn!(
            %error, old_state = %aside.display(),
            "what was accepted and not processed stays in the old state"
        ),
    }
}

fn carried_over(aside: &Path, new: &dyn Store) -> ProcessorResult<u64> {
    let Some(backend) = backend_in(aside) else { return Ok(0) };
    let old = open_store(backend, aside)?;
    let position = match old.get(COMMIT)? {
        Some(json) => intake::position_in(&CommitPoint::from_json(&json)?.places()),
        None => None,
    };
    intake::carry_over(old.as_ref(), position.unwrap_or_default(), new)
}

fn set_aside(directory: &DataDirectory, now_ms: i64) -> ProcessorResult<Option<PathBuf>> {
    let aside = directory.set_aside(now_ms)?;
    if let Some(aside) = &aside {
        info!(old_state = %aside.display(), "begins afresh; the old state is kept");
    } else {
        info!(path = %directory.path().display(), "begins afresh; there was no state");
    }
    Ok(aside)
}

/// The state is of this configuration, as `check` of its fingerprint says, or there is none and it will be.
///
/// # Errors
/// What `check` says, [`ProcessorError::State`] if what the state is of cannot be read.
pub(crate) fn check_identity(
    store: &dyn Store,
    configured: &Fingerprint,
    instance_id: &str,
    check: impl FnOnce(&Fingerprint) -> ProcessorResult<()>,
) -> ProcessorResult<()> {
    let fingerprint = store.get(FINGERPRINT)?;
    if let Some(json) = &fingerprint {
        check(&Fingerprint::from_json(json)?)?;
    }
    if fingerprint.is_some() && store.get(INSTANCE)?.as_deref() == Some(instance_id.as_bytes()) {
        return Ok(());
    }
    let mut batch = WriteBatch::default();
    batch.put(FINGERPRINT, &configured.to_json()?);
    batch.put(INSTANCE, instance_id.as_bytes());
    store.write(&batch, Durability::Synced)
}

pub(super) fn planted_fault() -> ProcessorResult<Option<PlantedFault>> {
    let Ok(name) = env::var(PLANTED_VARIABLE) else { return Ok(None) };
    let fault = match name.as_str() {
        "cursor_before_write" => PlantedFault::CursorBeforeWrite,
        "skip_sync" => PlantedFault::SkipSync,
        "remove_early" => PlantedFault::RemoveEarly,
        "skip_rewind" => PlantedFault::SkipRewind,
        _ => {
            return Err(ProcessorError::Config(format!("{PLANTED_VARIABLE}: no fault `{name}`")));
        }
    };
    warn!(fault = name, "a fault is planted: results will be wrong after a crash");
    Ok(Some(fault))
}
