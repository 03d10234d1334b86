//! Which state and which checkpoints are meant.

use std::{path::PathBuf, sync::Arc};

use llm_optimizer_config::{
    ProcessorConfig, Source,
    settings::{HttpConfig, StateBackendName, StateConfig},
};

use super::{Failure, args::PlaceArgs};
use crate::{
    checkpoint::CheckpointStore,
    cli::{check::load, exit::Exit},
    state::{COPY_FOLDER, StateLock, Store, backend_in, open_store},
};

/// A state and its checkpoints.
pub(super) struct Place {
    /// Where the store is.
    pub(super) folder: PathBuf,
    /// What a processor locks.
    locked: PathBuf,
    /// The store is a copy of what Kafka keeps.
    pub(super) is_copy: bool,
    pub(super) backend: StateBackendName,
    pub(super) checkpoints: CheckpointStore,
    /// Where the processor over this state listens, if a configuration says so.
    pub(super) http: Option<HttpConfig>,
    /// The configuration, if there is one.
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only Kafka needs more of it"))]
    pub(super) config: Option<Box<ProcessorConfig>>,
}

impl Place {
    pub(super) fn of(args: &PlaceArgs) -> Result<Self, Failure> {
        let (mut http, mut configured) = (None, None);
        let (settings, is_copy) = match (&args.config, &args.state) {
            (Some(path), _) => {
                let faults =
                    |exit| Failure { exit, message: format!("{}: see above", path.display()) };
                let config = load(path).map_err(faults)?.config;
                let is_copy = config.source().is_ok_and(|source| source == Source::Kafka);
                http = Some(config.http.clone().unwrap_or_default());
                let state = config.state.clone().unwrap_or_default();
                configured = Some(Box::new(config));
                (state, is_copy)
            }
            (None, Some(folder)) => {
                let (own, copy) = (backend_in(folder), backend_in(&folder.join(COPY_FOLDER)));
                let settings = StateConfig {
                    backend: own.or(copy).unwrap_or_default(),
                    path: folder.clone(),
                    ..StateConfig::default()
                };
                (settings, own.is_none() && copy.is_some())
            }
            (None, None) => {
                let message = "--config or --state must say where the state is".into();
                return Err(Failure { exit: Exit::Usage, message });
            }
        };
        let locked = settings.path;
        let folder = if is_copy { locked.join(COPY_FOLDER) } else { locked.clone() };
        let kept = args.checkpoints.clone().or(settings.checkpoint_path);
        let kept = kept.unwrap_or_else(|| folder.join("checkpoints"));
        let checkpoints = CheckpointStore::new(kept);
        let (backend, config) = (settings.backend, configured);
        Ok(Self { folder, locked, is_copy, backend, checkpoints, http, config })
    }

    /// Keeps every processor out of the state until the lock is dropped.
    pub(super) fn lock(&self) -> Result<StateLock, Failure> {
        Ok(StateLock::acquire(&self.locked)?)
    }

    /// The store, which must be there.
    pub(super) fn open_existing(&self) -> Result<Arc<dyn Store>, Failure> {
        if backend_in(&self.folder).is_none() {
            let message = format!("there is no state in {}", self.folder.display());
            return Err(Failure { exit: Exit::NoInput, message });
        }
        Ok(open_store(self.backend, &self.folder)?)
    }
}
