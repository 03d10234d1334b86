//! Settings: file and environment → validated values.
//!
//! Everything of [`llm_optimizer_config`], and [`load_config`] for asynchronous code.

use std::path::Path;

pub use llm_optimizer_config::*;
use tokio::task::spawn_blocking;
use tracing::warn;

use crate::error::{ProcessorError, ProcessorResult};

/// Loads the configuration file at `path`; variables of the process named `PROCESSOR_…` override it.
/// Warnings go to the log.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use llm_optimizer_processor::load_config;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("processor.yaml");
/// std::fs::write(&path, "processor: { buffer_size: 500, source: { type: stdin } }")?;
/// let config = load_config(&path).await?;
/// assert_eq!(config.buffer_size, 500);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ProcessorError::Config`] with every fault of the file and the variables at once.
pub async fn load_config(path: impl AsRef<Path>) -> ProcessorResult<ProcessorConfig> {
    let path = path.as_ref().to_owned();
    let loaded = spawn_blocking(move || load_with_process_env(&path))
        .await
        .map_err(|cause| ProcessorError::Internal(format!("loading ended early: {cause}")))?
        .map_err(|faults| ProcessorError::Config(faults.to_string()))?;
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    Ok(loaded.config)
}
