//! What a build without the feature `otlp-export` says when it is asked to send.

use std::sync::Arc;

use super::ExportSettings;
use crate::{
    error::{ProcessorError, ProcessorResult},
    metrics::Metrics,
};

/// There is none: nothing is ever sent.
#[derive(Debug)]
pub(crate) enum Export {}

impl Export {
    /// `None`; what only the environment asks for becomes a warning.
    ///
    /// # Errors
    /// [`ProcessorError::Config`] if the configuration asks for it.
    pub(crate) fn begin(settings: &mut ExportSettings) -> ProcessorResult<Option<Self>> {
        const WHAT: &str = "this build of the processor sends nothing by OTLP";
        const HELP: &str = "use a build with the feature `otlp-export` (it is on by default: leave out \
                            `--no-default-features`, or add `--features otlp-export`)";
        if let Some(key) = settings.asked_in_file {
            return Err(ProcessorError::Config(format!("processor.{key}: {WHAT}; {HELP}")));
        }
        if settings.is_asked_for() {
            settings
                .warnings
                .push(format!("OTEL_EXPORTER_OTLP_… names a receiver, and {WHAT}; {HELP}"));
        }
        Ok(None)
    }

    /// Whether spans are sent.
    pub(crate) fn has_traces(&self) -> bool {
        match *self {}
    }

    /// Begins to send.
    ///
    /// # Errors
    /// None.
    pub(crate) fn start(&mut self, _metrics: Option<Arc<Metrics>>) -> ProcessorResult<()> {
        match *self {}
    }

    /// Ends.
    pub(crate) fn end(self) {
        match self {}
    }
}
