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
    loaded(move || load_with_process_env(&path)).await
}

/// [`load_config`] for a file whose `aggregation.enabled` may list these functions, which are
/// registered in code; see
/// [`register_aggregator`](crate::StreamPipelineBuilder::register_aggregator).
///
/// # Errors
/// As [`load_config`].
pub async fn load_config_with_functions(
    path: impl AsRef<Path>,
    functions: &[&str],
) -> ProcessorResult<ProcessorConfig> {
    let path = path.as_ref().to_owned();
    let names: Vec<String> = functions.iter().map(|name| (*name).to_owned()).collect();
    let place = path.clone();
    let text = spawn_blocking(move || std::fs::read_to_string(&place)).await;
    let text = text.unwrap_or_else(|cause| Err(std::io::Error::other(cause)));
    let failed = |cause| ProcessorError::Io { action: "read", path: path.clone(), cause };
    let text = text.map_err(failed)?;
    loaded(move || {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let env = std::env::vars_os().map(|(name, value)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        });
        load_with_functions(&text, &path.display().to_string(), env, &names)
    })
    .await
}

async fn loaded(
    load: impl FnOnce() -> Result<Loaded, ConfigError> + Send + 'static,
) -> ProcessorResult<ProcessorConfig> {
    let loaded = spawn_blocking(load)
        .await
        .map_err(|cause| ProcessorError::Internal(format!("loading ended early: {cause}")))?
        .map_err(|faults| ProcessorError::Config(faults.to_string()))?;
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    Ok(loaded.config)
}
