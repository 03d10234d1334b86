//! Which runs keep their state, and where.

use std::{env, path::Path, sync::Arc};

use llm_optimizer_config::{
    ProcessorConfig, Source,
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
        embedded::{EmbeddedLog, EmbeddedSettings, FINGERPRINT, INSTANCE, Patience, PlantedFault},
    },
    error::{ProcessorError, ProcessorResult},
    sink::file::OpenMode,
    source::clock::Clock,
    state::{DataDirectory, Durability, Store, WriteBatch},
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
    /// | followed file | `memory` | refused |
    /// | any but Kafka | redb, rocksdb | there |
    ///
    /// # Errors
    /// [`ProcessorError::Config`] where the table says refused.
    pub(super) fn of(config: &ProcessorConfig, options: SetupOptions) -> ProcessorResult<Self> {
        let source = config.source().map_err(unusable)?;
        let bounded = source.is_bounded();
        let in_memory = if bounded { Self::Afresh } else { Self::Nothing };
        if source == Source::Kafka || options.in_memory {
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

/// The folder, its store and what the log needs, opened and checked.
pub(super) struct Opened {
    /// Name of this instance: the configured one, else that of the folder.
    pub(super) instance_id: String,
    directory: DataDirectory,
    keeper: CheckpointKeeper,
    store: Arc<dyn Store>,
    settings: EmbeddedSettings,
}

/// Opens the store of a run that keeps state, and checks that the state is of this configuration.
///
/// # Errors
/// [`ProcessorError::Unavailable`] if another process uses the folder, [`ProcessorError::Config`] if the
/// state is of another configuration, [`ProcessorError::State`] if it is damaged.
pub(super) fn open(
    config: &ProcessorConfig,
    state: &StateConfig,
    settings: &JobSettings,
    options: SetupOptions,
    (clock, telemetry): (Arc<dyn Clock>, Arc<Telemetry>),
) -> ProcessorResult<Opened> {
    let directory = DataDirectory::lock(&state.path)?;
    if options.new_state {
        set_aside(&directory, clock.now_ms())?;
    }
    let now_ms = clock.now_ms();
    let folder = state.checkpoint_path.clone();
    let folder = folder.unwrap_or_else(|| directory.path().join("checkpoints"));
    let checkpoints = CheckpointStore::new(folder);
    let (store, fallback) =
        open_or_fall_back(state.backend, directory.path(), &checkpoints, now_ms)?;
    fallback.iter().for_each(tell);
    let instance_id = match &config.instance_id {
        Some(id) => id.clone(),
        None => directory.instance_id()?,
    };
    check_identity(store.as_ref(), &Fingerprint::of(config), &instance_id, &state.path)?;
    let settings = EmbeddedSettings {
        max_outbox_bytes: config.max_outbox_bytes,
        patience: Patience {
            max_retries: settings.max_retries,
            initial: settings.initial_retry_delay,
            longest: settings.max_retry_delay,
        },
        pipelines: config.pipelines().into_iter().map(|pipeline| pipeline.name).collect(),
        planted: planted_fault()?,
        telemetry: Arc::clone(&telemetry),
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
    Ok(Opened { instance_id, directory, keeper, store, settings })
}

impl Opened {
    /// The log, once the sinks are there. The folder stays locked as long as it lives.
    pub(super) fn log(self) -> OpenLog {
        Box::new(move |outputs: Vec<PipelineOutputs>| {
            let Self { directory, keeper, store, settings, .. } = self;
            let log = EmbeddedLog::new(store, outputs, settings);
            let log = log.holding(vec![Box::new(keeper), Box::new(directory)]);
            Ok(Box::new(log) as Box<dyn CommitLog>)
        })
    }
}

/// Says that a checkpoint took the place of a damaged store.
fn tell(fallback: &Fallback) {
    let Fallback { restored, passed_over, moved_to } = fallback;
    warn!(
        checkpoint = restored.id,
        damaged_checkpoints = passed_over.len(),
        damaged_store = moved_to.as_ref().map(|path| path.display().to_string()),
        "the store is damaged: the run goes on from a checkpoint, and reads and writes again what came \
         after it"
    );
}

fn set_aside(directory: &DataDirectory, now_ms: i64) -> ProcessorResult<()> {
    if let Some(aside) = directory.set_aside(now_ms)? {
        info!(old_state = %aside.display(), "begins afresh; the old state is kept");
    } else {
        info!(path = %directory.path().display(), "begins afresh; there was no state");
    }
    Ok(())
}

/// The state is of this configuration, or there is none and it will be.
fn check_identity(
    store: &dyn Store,
    configured: &Fingerprint,
    instance_id: &str,
    path: &Path,
) -> ProcessorResult<()> {
    let fingerprint = store.get(FINGERPRINT)?;
    if let Some(json) = &fingerprint {
        Fingerprint::from_json(json)?.check(configured, path)?;
    }
    if fingerprint.is_some() && store.get(INSTANCE)?.as_deref() == Some(instance_id.as_bytes()) {
        return Ok(());
    }
    let mut batch = WriteBatch::default();
    batch.put(FINGERPRINT, &configured.to_json()?);
    batch.put(INSTANCE, instance_id.as_bytes());
    store.write(&batch, Durability::Synced)
}

fn planted_fault() -> ProcessorResult<Option<PlantedFault>> {
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

/// Who a run is that commits on Kafka: the configured name, else that of the folder of its state, else the host.
#[cfg(feature = "kafka")]
pub(super) struct KafkaInstance {
    id: String,
    /// Locked as long as this lives.
    _directory: Option<DataDirectory>,
}

#[cfg(feature = "kafka")]
impl KafkaInstance {
    /// The instance of `config`.
    ///
    /// # Errors
    /// [`ProcessorError::Unavailable`] if another process uses the folder, [`ProcessorError::Config`] for
    /// `--new-state`, which Kafka does not have.
    pub(super) fn of(config: &ProcessorConfig, options: SetupOptions) -> ProcessorResult<Self> {
        if options.new_state {
            return Err(ProcessorError::Config(
                "--new-state: on Kafka the state belongs to the group; to begin afresh beside it, write another \
                 kafka.consumer.group_id"
                    .into(),
            ));
        }
        if let Some(id) = &config.instance_id {
            return Ok(Self { id: id.clone(), _directory: None });
        }
        let state = config.state.clone().unwrap_or_default();
        if state.backend == StateBackendName::Memory {
            return Ok(Self { id: host_name(), _directory: None });
        }
        let directory = DataDirectory::lock(&state.path)?;
        Ok(Self { id: directory.instance_id()?, _directory: Some(directory) })
    }

    /// The name.
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

/// Name of this machine, as far as it is known.
#[cfg(feature = "kafka")]
fn host_name() -> String {
    let read = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = env::var("HOSTNAME").ok().or_else(read).unwrap_or_default();
    let name: String =
        name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).collect();
    if name.is_empty() { "host".to_owned() } else { name }
}
