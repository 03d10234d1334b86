//! Spans and metrics leave by OTLP over HTTP, where the configuration or the environment names a receiver.
//!
//! | file | subject |
//! | --- | --- |
//! | `settings` | what is asked for, and of whom |
//! | `refusal` | what a build without the feature `otlp-export` says |
//! | `absent` | what such a build sends: nothing |
//! | `spans` | spans end in a bounded queue; which are recorded |
//! | `json_logs` | log lines say which span they are of |
//! | `pusher` | the thread that sends, waits, and flushes at the end |
//! | `post` | one request |
//! | `numbers` | metrics as OTLP has them |
//! | `resource` | who sends |
//!
//! Nothing of it holds the processor up: what cannot be sent is kept for a while, then dropped and counted. Of OTLP there is
//! HTTP with Protobuf; neither gRPC nor logs.

#[cfg(not(feature = "otlp-export"))]
mod absent;
#[cfg(feature = "otlp-export")]
mod json_logs;
#[cfg(feature = "otlp-export")]
mod numbers;
#[cfg(feature = "otlp-export")]
mod post;
#[cfg(feature = "otlp-export")]
mod pusher;
mod refusal;
#[cfg(feature = "otlp-export")]
mod resource;
#[cfg_attr(not(feature = "otlp-export"), allow(dead_code, reason = "nobody sends"))]
mod settings;
#[cfg(feature = "otlp-export")]
mod spans;

#[cfg(not(feature = "otlp-export"))]
pub(crate) use absent::Export;
#[cfg(feature = "otlp-export")]
pub(crate) use json_logs::WithSpanIds;
#[cfg(feature = "otlp-export")]
pub(crate) use pusher::Export;
pub(crate) use settings::ExportSettings;

use crate::error::ProcessorResult;

/// Makes ready what `settings` ask for, if anything is.
///
/// # Errors
/// [`Config`](crate::ProcessorError::Config) if the configuration asks for it and this build cannot send.
pub(crate) fn begin(settings: &mut ExportSettings) -> ProcessorResult<Option<Export>> {
    refusal::check(settings, cfg!(feature = "otlp-export"))?;
    Ok(Export::begin(settings))
}
