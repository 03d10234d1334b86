//! Pipelines built in code: a typed source, windows, statistics, sinks.
//!
//! ```text
//! create_pipeline::<T>() ─▶ StreamPipelineBuilder ─ build(): all faults at once ─▶ StreamPipeline ─▶ run()
//! ```
//!
//! A pipeline runs as a [`Job`](crate::runtime::Job), the same that the command line runs. What is
//! here turns the user's types and sinks into what a job is made of. Absent: operators on typed
//! events, and aggregators, triggers and assigners of the user.

mod builder;
mod checks;
mod configured;
mod console;
mod deliver;
mod event_sink;
mod extensions;
mod handled;
#[cfg(feature = "kafka")]
mod kafka;
mod operators;
mod parts;
mod plan;
mod run;
mod source;
#[cfg(test)]
mod tests;
mod typed;
mod watermarks;

pub use builder::{StreamPipelineBuilder, create_pipeline};
pub use console::ConsoleSink;
pub use event_sink::{EventSink, PipelineSink, SinkContext};
#[cfg(feature = "kafka")]
pub use kafka::{KafkaAggregationSink, KafkaConfig, KafkaProducerConfig};
pub use run::StreamPipeline;
pub use source::{EventSource, MemorySource, SourceContext, StreamSource};
