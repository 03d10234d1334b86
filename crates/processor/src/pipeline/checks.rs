//! From what was said to a pipeline, or everything that is missing or makes no sense.

use llm_optimizer_config::settings::{EventConfig, EventProfile, ProcessorConfig};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    StreamPipeline, StreamPipelineBuilder,
    plan::Plan,
    run::Outlets,
    typed::{Extractors, Given, TypedDecoder, is_feedback},
};
use crate::{
    decode::{Decode, DecodeSettings, Decoder},
    error::{ProcessorError, ProcessorResult},
};

/// The pipeline that `builder` describes.
pub(super) fn build<T>(builder: StreamPipelineBuilder<T>) -> ProcessorResult<StreamPipeline<T>>
where
    T: Serialize + DeserializeOwned + Send + 'static,
{
    let mut faults = Faults::default();
    let source = faults.need(builder.source, "source", "with_kafka_source(…)` or `with_source(…)");
    faults.0.extend(source.iter().flat_map(|source| source.check()));
    let is_live = source.as_ref().is_some_and(|source| source.is_live());
    let decoder = decoder(builder.given, builder.statistics.needs_value(), is_live, &mut faults.0);
    let watermark = faults.need(
        builder.watermark,
        "watermark generator",
        "with_watermark_generator(BoundedOutOfOrdernessWatermark::new(…))",
    );
    let window = faults.need(
        builder.window,
        "window",
        "with_tumbling_window(…)`, `with_sliding_window(…)` or `with_session_window(…)",
    );
    let windows = window.and_then(|window| faults.take(window.spec(builder.lateness)));
    let aggregation = faults.take(builder.statistics.plan(decoder.value_names()));
    let state = faults.need(
        builder.state,
        "state backend",
        "with_state_backend(Arc::new(MemoryStateBackend::new()))",
    );
    if builder.sinks.is_empty() {
        faults.missing("sink", "with_sink(…)");
    }
    faults.0.extend(builder.sinks.iter().flat_map(|sink| sink.check()));
    match (source, watermark, windows, aggregation, state) {
        (Some(source), Some(watermark), Some(windows), Some(aggregation), Some(_))
            if faults.0.is_empty() =>
        {
            let plan = Plan { windows, watermark, aggregation };
            let outlets = Outlets {
                sinks: builder.sinks,
                late: builder.late,
                dead_letters: builder.dead_letters,
            };
            Ok(StreamPipeline::new(builder.name, source, decoder, plan, outlets))
        }
        _ => Err(faults.into_error()),
    }
}

/// The decoder for `T`: the profile's own for feedback events as they are, else one by way of `T`.
fn decoder<T>(
    given: Given<T>,
    needs_value: bool,
    is_live: bool,
    faults: &mut Vec<String>,
) -> Box<dyn Decode + Send>
where
    T: Serialize + DeserializeOwned + 'static,
{
    let config = ProcessorConfig::default();
    let event = EventConfig { profile: EventProfile::FeedbackEvent, ..config.event };
    let settings = DecodeSettings::from_config(&event, &config.limits, &config.watermark, is_live);
    if is_feedback::<T>() && given.is_empty() {
        return Box::new(Decoder::new(settings));
    }
    Box::new(TypedDecoder::new(Extractors::new(given, needs_value, faults), &settings))
}

/// Sentences, each saying what to do.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn missing(&mut self, what: &str, call: &str) {
        self.0.push(format!("no {what}: call `{call}`"));
    }

    fn need<V>(&mut self, part: Option<V>, what: &str, call: &str) -> Option<V> {
        if part.is_none() {
            self.missing(what, call);
        }
        part
    }

    fn take<V>(&mut self, part: Result<V, String>) -> Option<V> {
        part.map_err(|fault| self.0.push(fault)).ok()
    }

    fn into_error(self) -> ProcessorError {
        let list: Vec<String> = self.0.iter().map(|fault| format!("\n  - {fault}")).collect();
        ProcessorError::Config(format!("the pipeline cannot be built:{}", list.concat()))
    }
}
