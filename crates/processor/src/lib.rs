//! The stream processor: LLM feedback events in, correct window statistics out.
//!
//! An event travels `source → decode → engine → commit → sink`. This crate holds everything around
//! the pure engine ([`llm_optimizer_engine`]) and re-exports it, so that a user imports one crate.

pub mod cli;
pub mod commit;
pub mod decode;
pub mod error;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod pipeline;
pub mod record;
pub mod runtime;
pub mod sink;
pub mod source;

pub use error::{ProcessorError, ProcessorResult};
