//! Late events and failures, handled in code.

use std::time::Duration;

use chrono::Utc;
use serde::{Serialize, de::DeserializeOwned};
use tokio::runtime::Handle;
use tracing::error;

use super::{
    EventSink, SinkContext, StreamPipelineBuilder, deliver::retryable, parts::PipelineSide,
};
use crate::{
    core::{EventMetadata, EventTimestamp, GroupingKey, ProcessorEvent, time::instant},
    error::ProcessorResult,
    handlers::{ErrorHandler, ErrorPolicy, FailedEvent, LateEvent, LateEventHandler},
    runtime::{JobSettings, RejectPolicy},
    sink::{SideOutput, SideSink},
    watermark::Watermark,
};

impl<T, In> StreamPipelineBuilder<T, In>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    In: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Says how long windows take late events, and where those go that come later still: as the
    /// source gave them, before any operator.
    ///
    /// It is [`with_allowed_lateness`](Self::with_allowed_lateness), and
    /// [`with_late_event_sink`](Self::with_late_event_sink) if the handler has a side output. The
    /// watermark of a [`LateEvent`] is that of its partition after the batch it came in; of one that is
    /// handed over again after a crash, time, key and watermark are not known any more. Records of
    /// CSV files have no such form; for them use `with_late_event_sink`.
    #[must_use]
    pub fn with_late_event_handler(self, handler: LateEventHandler<In>) -> Self {
        let (lateness, sink) = handler.into_parts();
        let mut builder = self.with_allowed_lateness(lateness);
        if let Some(sink) = sink {
            builder.parts.late = Some(Box::new(Typed { sink, form: late_event::<In> }));
        }
        builder
    }
}

impl<T, In> StreamPipelineBuilder<T, In>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    In: Serialize + DeserializeOwned + Send + 'static,
{
    /// Says what becomes of records that cannot be used and of sinks that fail.
    ///
    /// | policy | record that is no event, or whose time, key or value cannot be drawn | sink that fails |
    /// | --- | --- | --- |
    /// | none | dead letter | is tried again 3 times, then the run ends |
    /// | `Retry` | dead letter: another attempt would end the same | is tried again as the policy says, then the run ends |
    /// | `Skip` | counted as `skipped` | as without a policy: no result is left out |
    /// | `DeadLetter` | dead letter | as without a policy |
    /// | `Fail` | ends the run | ends the run at once |
    ///
    /// The handler's sink receives the dead letters that are an `In`; those that are none have no
    /// typed form and are logged. [`with_dead_letter_sink`](Self::with_dead_letter_sink) keeps all of
    /// them, as records; of the two calls the later one counts.
    #[must_use]
    pub fn with_error_handler(mut self, handler: ErrorHandler<In>) -> Self {
        let (policy, sink) = handler.into_parts();
        self.parts.errors = Some(policy);
        if let Some(sink) = sink {
            self.parts.dead_letters = Some(Box::new(Typed { sink, form: failed_event::<In> }));
        }
        self
    }
}

/// What becomes of records that cannot be used.
pub(super) fn rejects(policy: Option<ErrorPolicy>) -> RejectPolicy {
    match policy {
        None | Some(ErrorPolicy::Retry { .. } | ErrorPolicy::DeadLetter) => {
            RejectPolicy::DeadLetter
        }
        Some(ErrorPolicy::Skip) => RejectPolicy::Skip,
        Some(ErrorPolicy::Fail) => RejectPolicy::Fail,
    }
}

/// How a run goes on when a sink fails.
pub(super) fn with_retries(settings: JobSettings, policy: Option<ErrorPolicy>) -> JobSettings {
    match policy {
        Some(ErrorPolicy::Retry { max_attempts, initial_delay, max_delay }) => JobSettings {
            max_retries: max_attempts,
            initial_retry_delay: initial_delay,
            max_retry_delay: max_delay,
            ..settings
        },
        Some(ErrorPolicy::Fail) => JobSettings { max_retries: 0, ..settings },
        None | Some(ErrorPolicy::Skip | ErrorPolicy::DeadLetter) => settings,
    }
}

/// A sink of late or failed events.
struct Typed<V, F> {
    sink: Box<dyn EventSink<V>>,
    /// Makes an event of a side output whose record has that form.
    form: F,
}

impl<V, F> PipelineSide for Typed<V, F>
where
    V: Send + 'static,
    F: Fn(&SideOutput) -> Result<V, serde_json::Error> + Send + 'static,
{
    fn open(
        self: Box<Self>,
        role: &str,
        context: &SinkContext,
    ) -> ProcessorResult<Box<dyn SideSink>> {
        let Self { sink, form } = *self;
        let called = context.name_in_store(role, sink.name());
        Ok(Box::new(TypedSide { sink, form, runtime: context.runtime.clone(), called, sent: 0 }))
    }
}

/// The same while a run lasts.
struct TypedSide<V, F> {
    sink: Box<dyn EventSink<V>>,
    form: F,
    runtime: Handle,
    /// What the sink is called in the store.
    called: String,
    /// Records of the current commit that are done.
    sent: usize,
}

impl<V, F> SideSink for TypedSide<V, F>
where
    V: Send + 'static,
    F: Fn(&SideOutput) -> Result<V, serde_json::Error> + Send,
{
    fn name(&self) -> &str {
        self.sink.name()
    }

    fn cursor_name(&self) -> Option<String> {
        Some(self.called.clone())
    }

    fn deliver(&mut self, records: &[SideOutput]) -> ProcessorResult<()> {
        for output in records.get(self.sent..).unwrap_or_default() {
            match (self.form)(output) {
                Ok(event) => {
                    let done = self.runtime.block_on(self.sink.send(event));
                    done.map_err(|error| retryable(self.sink.name(), error))?;
                }
                Err(cause) => {
                    let (sink, detail) = (self.sink.name(), &output.record.detail);
                    error!(sink, detail, %cause, "a record has no typed form for its sink");
                }
            }
            self.sent += 1;
        }
        self.sent = 0;
        Ok(())
    }

    fn close(&mut self) -> ProcessorResult<()> {
        self.runtime.block_on(self.sink.close())
    }
}

/// The event in a side output.
fn event_of<In: DeserializeOwned>(
    output: &SideOutput,
) -> Result<ProcessorEvent<In>, serde_json::Error> {
    let now = Utc::now();
    let judged = output.judged.as_ref();
    let at = judged.map(|judged| EventTimestamp::Event(instant(judged.at_ms)));
    let key = judged.filter(|judged| !judged.key.is_empty());
    Ok(ProcessorEvent {
        data: serde_json::from_slice(&output.payload)?,
        timestamp: at.unwrap_or(EventTimestamp::Processing(now)),
        processing_time: now,
        key: key.map(|judged| GroupingKey::new(judged.key.clone())),
        metadata: EventMetadata {
            partition: Some(output.record.origin.partition),
            offset: Some(output.record.origin.offset),
            ..EventMetadata::default()
        },
    })
}

fn late_event<In: DeserializeOwned>(
    output: &SideOutput,
) -> Result<LateEvent<In>, serde_json::Error> {
    let watermark = output.judged.as_ref().map(|judged| Watermark::new(instant(judged.watermark)));
    let lateness_ms = output.record.lateness_ms.unwrap_or_default();
    Ok(LateEvent {
        event: event_of(output)?,
        watermark: watermark.unwrap_or(Watermark::min()),
        lateness: Duration::from_millis(lateness_ms.unsigned_abs()),
    })
}

fn failed_event<In: DeserializeOwned>(
    output: &SideOutput,
) -> Result<FailedEvent<In>, serde_json::Error> {
    let event = event_of(output)?;
    let error = output.record.detail.clone();
    Ok(FailedEvent { timestamp: event.processing_time, event, error, retry_count: 0 })
}
