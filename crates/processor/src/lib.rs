//! The stream processor: LLM feedback events in, correct window statistics out.
//!
//! An event travels `source → decode → engine → commit → sink`. This crate holds everything around
//! the pure [`engine`] and re-exports it, so that a user imports one crate.
//!
//! As a library, begin with [`create_pipeline`]:
//!
//! ```no_run
//! use llm_optimizer_processor::*;
//! use std::{sync::Arc, time::Duration};
//!
//! # #[cfg(feature = "kafka")]
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let pipeline = create_pipeline::<FeedbackEvent>()
//!         .with_kafka_source(KafkaConfig {
//!             bootstrap_servers: "localhost:9092".to_string(),
//!             group_id: "my-processor".to_string(),
//!             topics: vec!["feedback-events".to_string()],
//!             ..Default::default()
//!         })
//!         .with_watermark_generator(
//!             BoundedOutOfOrdernessWatermark::new(Duration::from_secs(30))
//!         )
//!         .with_tumbling_window(Duration::from_secs(300))
//!         .with_state_backend(Arc::new(MemoryStateBackend::new()))
//!         .with_sink(ConsoleSink::new())
//!         .build()?;
//!
//!     pipeline.run().await?;
//!     Ok(())
//! }
//! # #[cfg(not(feature = "kafka"))]
//! # fn main() {}
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`pipeline`] | building and running pipelines in code |
//! | [`stream_processor`] | pushing events in and reading results from a stream |
//! | [`core`], [`window`], [`watermark`], [`aggregation`], [`state`] | the words of that |
//! | [`handlers`] | late events and failures, decided in code |
//! | [`config`] | settings of a file and the environment |
//! | [`checkpoint`] | kept copies of state |
//! | [`source`], [`decode`], [`runtime`], [`commit`], [`sink`] | what pipelines are made of |
//! | [`metrics`], [`server`], [`trace`] | what a run says of itself: numbers, health, the HTTP API, traces |
//! | `kafka` | Kafka at both ends (feature `kafka`, on by default) |
//! | [`engine`], [`types`] | the crates below this one |

pub mod aggregation;
pub mod checkpoint;
pub mod cli;
pub mod commit;
pub mod config;
pub mod core;
pub mod decode;
pub mod error;
mod export;
pub mod handlers;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod metrics;
pub mod pipeline;
pub mod record;
pub mod runtime;
pub mod server;
pub mod sink;
pub mod source;
pub mod state;
pub mod stream_processor;
pub mod trace;
pub mod watermark;
pub mod window;

pub use llm_optimizer_engine as engine;
pub use llm_optimizer_types as types;

pub use aggregation::{AggregationEngine, AggregationResult, AggregationState, Aggregator};
pub use config::{ProcessorConfig, load_config};
pub use core::{EventMetadata, EventTimestamp, GroupingKey, ProcessorEvent};
pub use error::{ProcessorError, ProcessorResult};
pub use handlers::{
    ErrorHandler, ErrorHandlingDecision, ErrorPolicy, FailedEvent, LateEvent, LateEventDecision,
    LateEventHandler,
};
#[cfg(feature = "kafka")]
pub use kafka::DeadLetterSink;
pub use pipeline::{
    ConsoleSink, EventSink, EventSource, MemorySource, MetricsSink, PostgresSink, StreamPipeline,
    StreamPipelineBuilder, StreamSource, WebSocketSink, create_pipeline,
};
#[cfg(feature = "kafka")]
pub use pipeline::{KafkaAggregationSink, KafkaConfig, KafkaProducerConfig};
pub use runtime::RunReport;
pub use source::{StopToken, StopToken as StopHandle, file::FileSourceConfig};
#[cfg(feature = "rocksdb")]
pub use state::RocksDBStateBackend;
pub use state::{MemoryStateBackend, RedbStateBackend, StateBackend, WindowStateManager};
pub use stream_processor::{
    ProcessorStats, StreamProcessor, StreamProcessorBuilder, StreamProcessorConfig, WindowResult,
};
pub use types::FeedbackEvent;
pub use watermark::{
    AscendingWatermark, BoundedOutOfOrdernessWatermark, PerKeyWatermark,
    PeriodicWatermarkGenerator, PunctuatedWatermark, Watermark, WatermarkGenerator,
};
pub use window::{
    AllTrigger, AnyTrigger, CountTrigger, EventTimeTrigger, ProcessingTimeTrigger,
    SessionWindowAssigner, SlidingWindowAssigner, TumblingWindowAssigner, Window, WindowAssigner,
    WindowManager, WindowSpec, WindowTrigger, WindowType,
};

/// The programs of the page for users of the library.
#[cfg(all(doctest, feature = "kafka"))]
#[doc = include_str!("../../../docs/library.md")]
struct LibraryPage;
