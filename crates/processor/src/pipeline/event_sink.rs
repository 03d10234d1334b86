//! Where a pipeline's results go: the user's own sinks, and those that come with the library.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::{runtime::Handle, sync::mpsc};

use super::deliver::Adapter;
use crate::{
    aggregation::AggregationResult,
    error::{ProcessorError, ProcessorResult},
    sink::{ResultSink, file::FileSink},
    source::StopToken,
};

/// Takes items one by one: results, late events or dead letters.
///
/// | call | afterwards |
/// | --- | --- |
/// | `send(item)` returned `Ok` | the item is where it belongs and is not sent again |
/// | `send(item)` returned `Err` | the same item is sent again after a pause, before any other; after the last attempt the run ends with the error |
/// | `close()` | nothing is sent any more |
///
/// Calls come one at a time, in order, on the runtime that `StreamPipeline::run` was called on.
///
/// Where state is kept, a result is kept too until `send` has taken it: after a crash those that may
/// not have arrived are sent again, with the same `result_id`, so at least once each. How far a sink
/// is, is known by its [`name`](Self::name): give several sinks of a pipeline names of their own.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> llm_optimizer_processor::ProcessorResult<()> {
/// use async_trait::async_trait;
/// use llm_optimizer_processor::{AggregationResult, EventSink, ProcessorResult};
///
/// struct Alarm {
///     threshold: f64,
/// }
///
/// #[async_trait]
/// impl EventSink<AggregationResult> for Alarm {
///     async fn send(&self, result: AggregationResult) -> ProcessorResult<()> {
///         if result.statistic("p95").is_some_and(|p95| p95 > self.threshold) {
///             println!("p95 is high in {}", result.window.id());
///         }
///         Ok(())
///     }
/// }
/// # let json = r#"{"window": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:05:00Z"},
/// #   "results": {"p95": 812.5}, "timestamp": "2026-01-01T00:05:01Z"}"#;
/// # Alarm { threshold: 500.0 }.send(serde_json::from_str(json).unwrap()).await
/// # }
/// ```
#[async_trait]
pub trait EventSink<T: Send + 'static>: Send + Sync {
    /// Takes one item.
    ///
    /// # Errors
    /// What a retry may heal.
    async fn send(&self, item: T) -> ProcessorResult<()>;

    /// Takes leave, after the last item.
    ///
    /// # Errors
    /// If what was sent could not be made durable.
    async fn close(&self) -> ProcessorResult<()> {
        Ok(())
    }

    /// Name for logs and errors.
    #[expect(clippy::unnecessary_literal_bound, reason = "a sink may keep its name")]
    fn name(&self) -> &str {
        "custom"
    }
}

#[async_trait]
impl<T: Send + 'static, S: EventSink<T> + ?Sized> EventSink<T> for Arc<S> {
    async fn send(&self, item: T) -> ProcessorResult<()> {
        (**self).send(item).await
    }

    async fn close(&self) -> ProcessorResult<()> {
        (**self).close().await
    }

    fn name(&self) -> &str {
        (**self).name()
    }
}

/// A full channel holds the pipeline back.
#[async_trait]
impl<T: Send + 'static> EventSink<T> for mpsc::Sender<T> {
    async fn send(&self, item: T) -> ProcessorResult<()> {
        Self::send(self, item).await.map_err(|_| nobody_receives())
    }

    fn name(&self) -> &'static str {
        "channel"
    }
}

#[async_trait]
impl<T: Send + 'static> EventSink<T> for mpsc::UnboundedSender<T> {
    async fn send(&self, item: T) -> ProcessorResult<()> {
        Self::send(self, item).map_err(|_| nobody_receives())
    }

    fn name(&self) -> &'static str {
        "channel"
    }
}

fn nobody_receives() -> ProcessorError {
    ProcessorError::Sink { name: "channel".into(), reason: "its receiver is gone".into() }
}

/// What a sink may need when a run begins.
#[derive(Debug)]
pub struct SinkContext {
    /// The runtime that the pipeline runs on.
    pub runtime: Handle,
    /// Stopped when the time to deliver after a stop is over; a sink that waits gives up then.
    pub give_up: StopToken,
    /// Name of this run for servers.
    pub client_id: String,
    /// Whether results are kept until every sink has them.
    pub keeps_state: bool,
    /// Sinks that were named so far.
    pub(super) named: Mutex<Vec<String>>,
}

impl SinkContext {
    /// What a sink of the user's is called in the store. Of two that have the same name the second one
    /// gets a number.
    pub(super) fn name_in_store(&self, role: &str, name: &str) -> String {
        let called = format!("{role} {name}");
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.push(called.clone());
        match named.iter().filter(|earlier| **earlier == called).count() {
            1 => called,
            number => format!("{called} #{number}"),
        }
    }
}

/// What [`with_sink`](super::StreamPipelineBuilder::with_sink) takes: every
/// [`EventSink`]`<`[`AggregationResult`]`>`, and the sinks of the library, which write the full result
/// records of a whole commit at once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no sink of results",
    note = "implement `EventSink<AggregationResult>`, or box it as `Box<dyn ResultSink>`"
)]
pub trait PipelineSink: Send {
    /// Everything that is wrong with its settings, each with what to do.
    fn check(&self) -> Vec<String> {
        Vec::new()
    }

    /// Opens the sink for a run.
    ///
    /// # Errors
    /// If it cannot be opened.
    fn open(self: Box<Self>, context: &SinkContext) -> ProcessorResult<Box<dyn ResultSink>>;
}

impl<S: EventSink<AggregationResult> + 'static> PipelineSink for S {
    fn open(self: Box<Self>, context: &SinkContext) -> ProcessorResult<Box<dyn ResultSink>> {
        let called = context.name_in_store("event sink", self.name());
        Ok(Box::new(Adapter::new(self, context.runtime.clone(), called)))
    }
}

impl PipelineSink for Box<dyn ResultSink> {
    fn open(self: Box<Self>, _: &SinkContext) -> ProcessorResult<Box<dyn ResultSink>> {
        Ok(*self)
    }
}

impl PipelineSink for FileSink {
    fn open(self: Box<Self>, _: &SinkContext) -> ProcessorResult<Box<dyn ResultSink>> {
        Ok(self)
    }
}
