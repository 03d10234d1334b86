//! Pipelines built in code: a typed source, windows, statistics, sinks.
//!
//! ```text
//! create_pipeline::<T>() ─▶ StreamPipelineBuilder ─ build(): all faults at once ─▶ StreamPipeline ─▶ run()
//! ```
//!
//! A pipeline runs as a [`Job`](crate::runtime::Job), the same that the command line runs. What is
//! here turns the user's types and sinks into what a job is made of.
//!
//! | of your own | give | to |
//! | --- | --- | --- |
//! | source | a stream of events, a channel, or a [`Source`](crate::source::Source) | [`with_source`](StreamPipelineBuilder::with_source) |
//! | operators | closures | [`map`](StreamPipelineBuilder::map), [`try_map`](StreamPipelineBuilder::try_map), [`filter`](StreamPipelineBuilder::filter), [`flat_map`](StreamPipelineBuilder::flat_map), [`key_by`](StreamPipelineBuilder::key_by) |
//! | time, key, values | closures | [`with_timestamp`](StreamPipelineBuilder::with_timestamp), [`with_key`](StreamPipelineBuilder::with_key), [`with_value`](StreamPipelineBuilder::with_value) |
//! | watermarks | a [`WatermarkGenerator`](crate::WatermarkGenerator) | [`with_watermark_generator`](StreamPipelineBuilder::with_watermark_generator) |
//! | windows | a [`WindowAssigner`](crate::WindowAssigner) | [`with_window_assigner`](StreamPipelineBuilder::with_window_assigner) |
//! | early results | a [`WindowTrigger`](crate::WindowTrigger) | [`with_trigger`](StreamPipelineBuilder::with_trigger) |
//! | statistics | an [`Aggregator`](crate::Aggregator) | [`with_aggregator`](StreamPipelineBuilder::with_aggregator), [`register_aggregator`](StreamPipelineBuilder::register_aggregator) |
//! | late events, failures | a [`LateEventHandler`](crate::LateEventHandler), an [`ErrorHandler`](crate::ErrorHandler) | [`with_late_event_handler`](StreamPipelineBuilder::with_late_event_handler), [`with_error_handler`](StreamPipelineBuilder::with_error_handler) |
//! | sink | an [`EventSink`] | [`with_sink`](StreamPipelineBuilder::with_sink) |

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
mod kept;
mod operators;
mod parts;
mod plan;
mod run;
mod servers;
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
pub use servers::{MetricsSink, PostgresSink, WebSocketSink};
pub use source::{EventSource, MemorySource, SourceContext, StreamSource};
