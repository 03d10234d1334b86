//! The settings as plain data, one struct per YAML section, defaults beside them.
//!
//! Durations are [`Secs`]: seconds in the file, decimals to the millisecond.

mod aggregation;
mod event;
mod kafka;
mod pipeline;
mod runtime;
mod secret;
mod sink;
mod source;
mod statistics;
mod telemetry;
mod time;
mod windows;

pub use aggregation::{AggregationConfig, Percentile, StatisticName};
pub use event::{EventConfig, EventProfile, EventTimeKind, TimestampUnit, ValueFields};
pub(crate) use kafka::{ACKS, COMPRESSION_TYPES};
pub use kafka::{KafkaConsumerConfig, KafkaProducerConfig, KafkaSettings, OffsetReset};
pub use pipeline::{PipelineConfig, PipelineLimitsConfig};
pub use runtime::{
    Delivery, ErrorHandlingConfig, ErrorPolicyName, Exchange, HttpConfig, LimitsConfig,
    ProcessorConfig, StateBackendName, StateConfig,
};
pub use secret::Secret;
pub use sink::{ConsoleFormat, SideOutputsConfig, SinkConfig, SinkType, WebSocketConfirm};
pub use source::{CsvConfig, FileFormat, GeneratorConfig, SourceConfig, SourceType};
pub use statistics::{
    ConditionConfig, FieldConditionConfig, FurtherFunction, ScalarValue, StatisticConfig,
};
pub use telemetry::{MetricsConfig, OtlpConfig, TracingConfig};
pub use time::Secs;
pub use windows::{
    SessionWindowConfig, SlidingWindowConfig, TriggerConfig, TumblingWindowConfig, WatermarkConfig,
    WatermarkStrategyName, WindowTypeName, WindowsConfig,
};
