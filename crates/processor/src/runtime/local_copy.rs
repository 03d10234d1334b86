//! The folder of a run that commits on Kafka: the name of its instance, and the local copy of the state.

use std::{env, path::Path, sync::Arc};

use llm_optimizer_config::{
    ProcessorConfig,
    settings::{StateBackendName, StateConfig},
};
use tracing::{info, warn};

use super::{
    observe::{KeptCheckpoints, Telemetry},
    setup::SetupOptions,
    transactional::KafkaState,
};
use crate::{
    checkpoint::{CheckpointKeeper, CheckpointStore, KeeperSettings, open_or_fall_back},
    commit::Fingerprint,
    error::{ProcessorError, ProcessorResult},
    kafka::{Generation, LocalCopySettings},
    source::clock::Clock,
    state::{COPY_FOLDER, DataDirectory, Store, StoreError, remove_store},
};

/// Who a run is that commits on Kafka, and where it may keep things.
pub(super) struct KafkaPlace {
    id: String,
    /// Locked as long as this lives; none where nothing is kept.
    directory: Option<Arc<DataDirectory>>,
}

impl KafkaPlace {
    /// The place of `config`. The name is the configured one, else that of the folder of the state, else the host's.
    ///
    /// # Errors
    /// [`ProcessorError::State`] if another process uses the folder, [`ProcessorError::Io`] if the system refuses it.
    pub(super) fn of(config: &ProcessorConfig) -> ProcessorResult<Self> {
        let state = config.state.clone().unwrap_or_default();
        let configured = config.instance_id.clone();
        if state.backend == StateBackendName::Memory {
            let id = configured.unwrap_or_else(host_name);
            return Ok(Self { id, directory: None });
        }
        match (DataDirectory::lock(&state.path), configured) {
            (Ok(directory), configured) => {
                let id = configured.map_or_else(|| directory.instance_id(), Ok)?;
                Ok(Self { id, directory: Some(Arc::new(directory)) })
            }
            // Nobody asked for the folder, and who this is is known without it.
            (Err(error), Some(id)) if config.state.is_none() => {
                warn!(%error, "no local copy of the state is kept: each start reads the whole changelog");
                Ok(Self { id, directory: None })
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The name.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Which state is used, and the copy of it.
    ///
    /// # Errors
    /// [`ProcessorError::Serialization`], which cannot happen.
    pub(super) fn state(
        &self,
        config: &ProcessorConfig,
        options: SetupOptions,
        (clock, telemetry): (Arc<dyn Clock>, &Telemetry),
    ) -> ProcessorResult<KafkaState> {
        let generation = Arc::new(Generation::new(options.new_state));
        let Some(directory) = &self.directory else {
            return Ok(KafkaState { generation, copy: None });
        };
        let state = config.state.clone().unwrap_or_default();
        let folder = directory.path().join(COPY_FOLDER);
        let kept = state.checkpoint_path.clone().unwrap_or_else(|| folder.join("checkpoints"));
        let checkpoints = CheckpointStore::new(kept);
        let store = match open(&state, &folder, &checkpoints, clock.now_ms()) {
            Ok(store) => store,
            Err(error) => {
                warn!(%error, "no local copy of the state is kept: each start reads the whole changelog");
                return Ok(KafkaState { generation, copy: None });
            }
        };
        let keeping = KeeperSettings {
            interval: config.checkpoint_interval_secs.as_duration(),
            retain: state.checkpoint_retain,
        };
        // A second run would have a telemetry of its own.
        let kept = KeptCheckpoints::new(Arc::clone(&store), checkpoints.clone());
        let _ = telemetry.checkpoints.set(kept);
        let keeper = CheckpointKeeper::start(
            Arc::clone(&store),
            checkpoints,
            keeping,
            Arc::clone(&clock),
            telemetry.metrics.clone(),
        )?;
        let copy = LocalCopySettings {
            store,
            clock,
            pipelines: config.pipelines().into_iter().map(|pipeline| pipeline.name).collect(),
            group: config.kafka.consumer.group_id.clone(),
            fingerprint: Fingerprint::of(config).to_json()?,
            instance_id: self.id.clone(),
            keeper: Some(Arc::new((keeper, Arc::clone(directory)))),
        };
        Ok(KafkaState { generation, copy: Some(copy) })
    }
}

/// The store of the copy; what cannot be read gives way to the newest whole checkpoint, or to an empty one.
fn open(
    state: &StateConfig,
    folder: &Path,
    checkpoints: &CheckpointStore,
    now_ms: i64,
) -> ProcessorResult<Arc<dyn Store>> {
    let opened = std::fs::create_dir_all(folder)
        .map_err(|cause| ProcessorError::Io { action: "create", path: folder.to_owned(), cause })
        .and_then(|()| open_or_fall_back(state.backend, folder, checkpoints, now_ms));
    match opened {
        Ok((store, None)) => Ok(store),
        Ok((store, Some(fallback))) => {
            warn!(
                checkpoint = fallback.restored.id,
                "the local copy of the state is damaged: a checkpoint of it takes its place, and the changelog says the rest"
            );
            Ok(store)
        }
        Err(ProcessorError::Store(error)) if !matches!(error, StoreError::InUse { .. }) => {
            info!("the local copy of the state is not used: {error}");
            warn!("the local copy of the state is wiped; it is made anew from the changelog");
            remove_store(folder)?;
            open_or_fall_back(state.backend, folder, checkpoints, now_ms).map(|(store, _)| store)
        }
        Err(error) => Err(error),
    }
}

/// Name of this machine, as far as it is known.
fn host_name() -> String {
    let read = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = env::var("HOSTNAME").ok().or_else(read).unwrap_or_default();
    let name: String =
        name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).collect();
    if name.is_empty() { "host".to_owned() } else { name }
}
