//! Results on standard output.

use llm_optimizer_config::settings::ConsoleFormat;

use super::{PipelineSink, SinkContext};
use crate::{
    error::ProcessorResult,
    sink::{
        ResultSink,
        console::{ConsoleLayout, ConsoleSink as Console},
    },
};

/// Shows results on standard output: a table on a terminal, one line of JSON per result otherwise.
///
/// ```
/// use llm_optimizer_processor::ConsoleSink;
/// let table_or_json = ConsoleSink::new();
/// let always_json = ConsoleSink::ndjson();
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ConsoleSink {
    format: Option<ConsoleFormat>,
}

impl ConsoleSink {
    /// A table on a terminal, JSON otherwise.
    #[must_use]
    pub const fn new() -> Self {
        Self { format: None }
    }

    /// One line of JSON per result, always.
    #[must_use]
    pub const fn ndjson() -> Self {
        Self { format: Some(ConsoleFormat::Ndjson) }
    }

    /// A table, always.
    #[must_use]
    pub const fn table() -> Self {
        Self { format: Some(ConsoleFormat::Table) }
    }
}

impl PipelineSink for ConsoleSink {
    fn open(self: Box<Self>, _: &SinkContext) -> ProcessorResult<Box<dyn ResultSink>> {
        Ok(Box::new(Console::stdout(ConsoleLayout::for_stdout(self.format))))
    }
}
