//! Where a pipeline's events come from.

mod memory;
mod serialize;
mod stream;

use std::sync::Arc;

use llm_optimizer_config::settings::GeneratorConfig;
use tokio::runtime::Handle;

pub use memory::MemorySource;
pub use stream::StreamSource;

use crate::{
    error::ProcessorResult,
    source::{
        Source,
        clock::Clock,
        file::{FileSource, FileSourceConfig},
        generator::GeneratorSource,
        text::BatchLimits,
    },
};

/// What a source may need when a run begins.
pub struct SourceContext {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How large batches and records may become.
    pub limits: BatchLimits,
    /// The runtime that the pipeline runs on. A source is opened on another thread.
    pub runtime: Handle,
}

/// Gives events of type `T`, as records that deserialise to it.
///
/// | comes with the library | |
/// | --- | --- |
/// | `Vec<T>`, [`MemorySource`] | events that are there already |
/// | [`StreamSource`], Tokio's receivers of channels | events that come one after the other |
/// | [`FileSourceConfig`] | a file of JSON lines or CSV |
/// | `KafkaConfig` | topics |
/// | [`GeneratorConfig`] | seeded LLM traffic |
/// | `Box<dyn `[`Source`]`>` | anything that reads records |
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of `{T}`",
    note = "a `Vec<{T}>`, `StreamSource`, `MemorySource`, `FileSourceConfig` or `Box<dyn Source>` is one"
)]
pub trait EventSource<T>: Send {
    /// Everything that is wrong with its settings, each with what to do.
    fn check(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether events come about when they happen, so that one far in the future has a wrong clock
    /// and is a dead letter.
    fn is_live(&self) -> bool {
        false
    }

    /// Opens the source for a run.
    ///
    /// # Errors
    /// If it cannot be opened.
    fn open(self: Box<Self>, context: &SourceContext) -> ProcessorResult<Box<dyn Source>>;
}

impl<T> EventSource<T> for Box<dyn Source> {
    fn open(self: Box<Self>, _: &SourceContext) -> ProcessorResult<Box<dyn Source>> {
        Ok(*self)
    }
}

impl<T> EventSource<T> for FileSourceConfig {
    fn open(self: Box<Self>, context: &SourceContext) -> ProcessorResult<Box<dyn Source>> {
        Ok(Box::new(FileSource::open(*self, Arc::clone(&context.clock))?))
    }
}

impl<T> EventSource<T> for GeneratorConfig {
    fn open(self: Box<Self>, context: &SourceContext) -> ProcessorResult<Box<dyn Source>> {
        let clock = Arc::clone(&context.clock);
        Ok(Box::new(GeneratorSource::new(*self, context.limits, clock)?))
    }
}
