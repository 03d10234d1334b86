//! A checkpoint into the group of a configuration.

use llm_optimizer_config::ProcessorConfig;

use super::{local_copy::KafkaPlace, transactional::restore_settings};
use crate::{
    checkpoint::{CheckpointStore, Manifest},
    kafka::{GroupRestoreError, GroupRestored},
};

/// Makes the checkpoint of `manifest` the state of the group that `config` reads with, which must be new. Every byte of the
/// checkpoint was verified.
///
/// It is done by the instance that will run the configuration: its folder is locked meanwhile, and transactions have its name.
///
/// # Errors
/// [`GroupRestoreError`]: what does not fit, and what to do.
pub fn restore_into_group(
    config: &ProcessorConfig,
    checkpoints: &CheckpointStore,
    manifest: &Manifest,
) -> Result<GroupRestored, GroupRestoreError> {
    let place = KafkaPlace::of(config)?;
    restore_settings(config, place.id())?.restore(checkpoints, manifest)
}
