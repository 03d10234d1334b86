//! The other shape of the library: push events of text keys in, read results from a stream.
//!
//! ```text
//! StreamProcessorBuilder ─▶ StreamProcessor: process_event(key, time, value) ─▶ engine ─▶ results()
//! ```
//!
//! It is the engine of pipelines with one input partition and one aggregator per key. Everything happens
//! inside [`process_event`](StreamProcessor::process_event): there is no task, thread or timer. Absent:
//! sources, sinks, state that outlives the process; a [pipeline](crate::pipeline) has those.

mod backlog;
mod builder;
mod census;
mod config;
mod core;
mod latency;
mod processor;
mod result;
mod stats;
#[cfg(test)]
mod tests;

pub use backlog::ResultStream;
pub use builder::StreamProcessorBuilder;
pub use config::StreamProcessorConfig;
pub use processor::StreamProcessor;
pub use result::WindowResult;
pub use stats::ProcessorStats;
