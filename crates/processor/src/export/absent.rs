//! Nothing is sent by a build without the feature `otlp-export`.

use std::sync::Arc;

use super::ExportSettings;
use crate::{error::ProcessorResult, metrics::Metrics};

/// There is none: nothing is ever sent.
#[derive(Debug)]
pub(crate) enum Export {}

impl Export {
    /// `None`.
    pub(crate) fn begin(_settings: &ExportSettings) -> Option<Self> {
        None
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
