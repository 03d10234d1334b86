//! What loading returns: a config with warnings, or every fault at once.

mod excerpt;
mod fault;

pub use excerpt::Excerpt;
pub use fault::{ConfigError, Fault, Place, Warning};

use crate::ProcessorConfig;

/// A config that passed every check.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The settings, every key with its value or its default.
    pub config: ProcessorConfig,
    /// What the user should know before a run, in the order of the file.
    pub warnings: Vec<Warning>,
}
