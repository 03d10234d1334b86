//! Which state and which checkpoints are meant.

use std::{path::PathBuf, sync::Arc};

use llm_optimizer_config::settings::{HttpConfig, StateBackendName, StateConfig};

use super::{Failure, args::PlaceArgs};
use crate::{
    checkpoint::CheckpointStore,
    cli::{check::load, exit::Exit},
    state::{StateLock, Store, backend_in, open_store},
};

/// A state and its checkpoints.
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) backend: StateBackendName,
    pub(super) checkpoints: CheckpointStore,
    /// Where the processor over this state listens, if a configuration says so.
    pub(super) http: Option<HttpConfig>,
}

impl Place {
    pub(super) fn of(args: &PlaceArgs) -> Result<Self, Failure> {
        let mut http = None;
        let settings = match (&args.config, &args.state) {
            (Some(path), _) => {
                let faults =
                    |exit| Failure { exit, message: format!("{}: see above", path.display()) };
                let config = load(path).map_err(faults)?.config;
                http = Some(config.http.unwrap_or_default());
                config.state.unwrap_or_default()
            }
            (None, Some(folder)) => StateConfig {
                backend: backend_in(folder).unwrap_or_default(),
                path: folder.clone(),
                ..StateConfig::default()
            },
            (None, None) => {
                let message = "--config or --state must say where the state is".into();
                return Err(Failure { exit: Exit::Usage, message });
            }
        };
        let kept = args.checkpoints.clone().or(settings.checkpoint_path);
        let kept = kept.unwrap_or_else(|| settings.path.join("checkpoints"));
        let checkpoints = CheckpointStore::new(kept);
        Ok(Self { folder: settings.path, backend: settings.backend, checkpoints, http })
    }

    /// Keeps every processor out of the state until the lock is dropped.
    pub(super) fn lock(&self) -> Result<StateLock, Failure> {
        Ok(StateLock::acquire(&self.folder)?)
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
