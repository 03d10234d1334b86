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
    state::Store,
};

/// What a source may need when a run begins.
pub struct SourceContext {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How large batches and records may become.
    pub limits: BatchLimits,
    /// The runtime that the pipeline runs on. A source is opened on another thread.
    pub runtime: Handle,
    /// Name of this instance for servers; where state is kept, the same in every run over it.
    pub instance_id: String,
    /// Where state is kept: the positions of the source are in it with each commit, and
    /// [`Source::resume`] is told of them.
    pub store: Option<Arc<dyn Store>>,
}

/// Gives events of type `T`, as records that deserialise to it.
///
/// | comes with the library | | over kept state |
/// | --- | --- | --- |
/// | `Vec<T>`, [`MemorySource`] | events that are there already | must give the same events again; those that were committed are passed over |
/// | [`StreamSource`], Tokio's receivers of channels | events that come one after the other | gives events that are new; what was taken and not committed at a crash is lost, but for [`StreamSource::resuming`] |
/// | [`FileSourceConfig`] | a file of JSON lines or CSV | goes on at the committed byte of the same file |
/// | `KafkaConfig` | topics | goes on at the committed offsets |
/// | [`GeneratorConfig`] | seeded LLM traffic | goes on at the committed record |
/// | `Box<dyn `[`Source`]`>` | anything that reads records | goes on if it has [`Source::resume`], else the second run is refused |
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
