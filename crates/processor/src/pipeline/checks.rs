//! From what was said to a pipeline, or everything that is missing or makes no sense.

use llm_optimizer_config::settings::{EventConfig, EventProfile, ProcessorConfig};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    SourceContext, StreamPipeline, StreamPipelineBuilder,
    plan::Plan,
    run::Outlets,
    typed::{Flow, TypedDecoder, is_feedback},
};
use crate::{
    decode::{Decode, DecodeSettings, Decoder},
    error::{ProcessorError, ProcessorResult},
};

const WATERMARK_CALL: &str = "with_watermark_generator(BoundedOutOfOrdernessWatermark::new(…))";
const WINDOW_CALLS: &str =
    "with_tumbling_window(…)`, `with_sliding_window(…)` or `with_session_window(…)";
const STATE_CALL: &str = "with_state_backend(Arc::new(MemoryStateBackend::new()))";

/// The pipeline that `builder` describes.
pub(super) fn build<T, In>(
    builder: StreamPipelineBuilder<T, In>,
) -> ProcessorResult<StreamPipeline<T>>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    In: Serialize + DeserializeOwned + Send + 'static,
{
    let mut faults = Faults::default();
    let StreamPipelineBuilder { name, source, flow, statistics, state, sinks, .. } = builder;
    let source = faults.need(source, "source", "with_kafka_source(…)` or `with_source(…)");
    faults.0.extend(source.iter().flat_map(|source| source.check()));
    let is_live = source.as_ref().is_some_and(|source| source.is_live());
    let decoder = decoder(flow, statistics.needs_value(), is_live, &mut faults.0);
    let watermark = faults.need(builder.watermark, "watermark generator", WATERMARK_CALL);
    let windows = faults.need(builder.window, "window", WINDOW_CALLS);
    let windows = windows.and_then(|chosen| faults.take(chosen.spec(builder.lateness)));
    let aggregation = faults.take(statistics.plan(decoder.value_names()));
    faults.need(state, "state backend", STATE_CALL);
    faults.need(sinks.first(), "sink", "with_sink(…)");
    faults.0.extend(sinks.iter().flat_map(|sink| sink.check()));
    let outlets = Outlets { sinks, late: builder.late, dead_letters: builder.dead_letters };
    match (source, watermark, windows, aggregation) {
        (Some(source), Some(watermark), Some(windows), Some(aggregation))
            if faults.0.is_empty() =>
        {
            let plan = Plan { windows, watermark, aggregation };
            let open = Box::new(move |context: &SourceContext| source.open(context));
            Ok(StreamPipeline::new(name, open, decoder, plan, outlets))
        }
        _ => Err(faults.into_error()),
    }
}

/// The decoder: the profile's own for feedback events as they are, else one by way of the types.
fn decoder<T, In>(
    flow: Flow<In, T>,
    needs_value: bool,
    is_live: bool,
    faults: &mut Vec<String>,
) -> Box<dyn Decode + Send>
where
    T: Serialize + DeserializeOwned + 'static,
    In: DeserializeOwned + 'static,
{
    let config = ProcessorConfig::default();
    let event = EventConfig { profile: EventProfile::FeedbackEvent, ..config.event };
    let settings = DecodeSettings::from_config(&event, &config.limits, &config.watermark, is_live);
    if is_feedback::<In>() && flow.is_plain() {
        return Box::new(Decoder::new(settings));
    }
    Box::new(TypedDecoder::new(flow.finish(needs_value, faults), &settings))
}

/// Sentences, each saying what to do.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn need<V>(&mut self, part: Option<V>, what: &str, call: &str) -> Option<V> {
        if part.is_none() {
            self.0.push(format!("no {what}: call `{call}`"));
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
