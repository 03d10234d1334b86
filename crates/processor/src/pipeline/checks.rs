//! From what was said to a pipeline, or everything that is missing or makes no sense.

use llm_optimizer_config::{ProcessorConfig, settings::EventConfig};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    SourceContext, StreamPipeline, StreamPipelineBuilder,
    parts::Parts,
    plan::{self, Plan},
    run::Outlets,
    typed::{Flow, TypedDecoder, is_feedback},
    watermarks::WatermarkChoice,
};
use crate::{
    decode::{Decode, DecodeSettings, Decoder},
    error::{ProcessorError, ProcessorResult},
    runtime::decode_settings,
};

const WATERMARK_CALL: &str = "with_watermark_generator(BoundedOutOfOrdernessWatermark::new(…))";
const WINDOW_CALLS: &str =
    "with_tumbling_window(…)`, `with_sliding_window(…)` or `with_session_window(…)";
const DESCRIBED_TWICE: &str = "`event` of the configuration says what time, key and values are, and so \
    do operators or extractors in code: leave out one of the two";
const FURTHER: &str = "`aggregation.statistics` of the configuration needs records that are read as \
    `event` says, without operators, extractors and a watermark generator of your own";
const UNKEEPABLE: &str = "with `MemoryStateBackend` windows live in memory only";
const STATE_CALL: &str = "with_state_backend(Arc::new(MemoryStateBackend::new()))";

/// The pipeline that `builder` describes.
pub(super) fn build<T, In>(
    builder: StreamPipelineBuilder<T, In>,
) -> ProcessorResult<StreamPipeline<T>>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    In: Serialize + DeserializeOwned + Send + 'static,
{
    let StreamPipelineBuilder { source, flow, mut parts } = builder;
    let mut faults = Faults(std::mem::take(&mut parts.faults));
    let configured = parts.config.clone();
    let config = configured.as_deref();
    let source = faults.need(source, "source", "with_kafka_source(…)` or `with_source(…)");
    faults.0.extend(source.iter().flat_map(|source| source.check()));
    let is_live = source.as_ref().is_some_and(|source| source.is_live());
    let needs_value = parts.statistics.needs_value(config);
    let is_read_as_described = config.is_some() && flow.is_plain();
    let decoder = decoder(flow, config, needs_value, is_live, &mut faults.0);
    let watermark = parts.watermark.take();
    if config.is_none() {
        faults.need(watermark.as_ref(), "watermark generator", WATERMARK_CALL);
    }
    let windows = faults.take(plan::windows(&parts));
    let windows = windows.and_then(|windows| faults.need(windows, "window", WINDOW_CALLS));
    let has_further = config.is_some_and(|config| !config.aggregation.statistics.is_empty());
    if has_further && parts.statistics.is_configured() {
        let is_read = !decoder.feature_shape().is_empty();
        let is_announced = watermark.as_ref().is_some_and(WatermarkChoice::is_user);
        faults.0.extend((!is_read || is_announced).then(|| FURTHER.into()));
    }
    let aggregation = faults.take(parts.statistics.plan(config, decoder.value_names()));
    let state = faults.need(parts.state.take(), "state backend", STATE_CALL);
    if let (Some(state), Some(aggregation)) = (&state, &aggregation) {
        let unkeepable = aggregation.unkeepable().filter(|_| state.keeps(config));
        faults.0.extend(unkeepable.map(|reason| format!("{reason}; {UNKEEPABLE}")));
    }
    faults.need(parts.sinks.first(), "sink", "with_sink(…)");
    faults.0.extend(parts.sinks.iter().flat_map(|sink| sink.check()));
    let (Some(source), Some(windows), Some(aggregation), Some(state), true) =
        (source, windows, aggregation, state, faults.0.is_empty())
    else {
        return Err(faults.into_error());
    };
    let name = parts.name.take().unwrap_or_else(|| "default".into());
    let values = (!is_read_as_described).then(|| decoder.value_names());
    let fingerprint = plan::fingerprint(&name, &parts, (&windows, &aggregation), values);
    let (watermarks, decoder) = match watermark {
        Some(watermark) => watermark.apply(decoder),
        None => (None, decoder),
    };
    let triggers = plan::triggers(&parts);
    let Parts { sinks, late, dead_letters, errors, .. } = parts;
    let config = configured.unwrap_or_default();
    let plan =
        Plan { windows, triggers, watermarks, aggregation, errors, config, state, fingerprint };
    let outlets = Outlets { sinks, late, dead_letters };
    let open = Box::new(move |context: &SourceContext| source.open(context));
    Ok(StreamPipeline::new(name, open, decoder, plan, outlets))
}

/// The decoder: the profile's own for feedback events as they are, and for records that a
/// configuration describes; else one by way of the types.
fn decoder<T, In>(
    flow: Flow<In, T>,
    config: Option<&ProcessorConfig>,
    needs_value: bool,
    is_live: bool,
    faults: &mut Vec<String>,
) -> Box<dyn Decode + Send>
where
    T: Serialize + DeserializeOwned + 'static,
    In: DeserializeOwned + 'static,
{
    let is_described = config.is_some_and(|config| config.event != EventConfig::default());
    let default = ProcessorConfig::default();
    let ProcessorConfig { event, limits, watermark, .. } = config.unwrap_or(&default);
    let settings = DecodeSettings::from_config(event, limits, watermark, is_live);
    if flow.is_plain() && (is_feedback::<In>() || is_described) {
        let features = config.map(|config| decode_settings(config, false).features);
        let features = features.unwrap_or_default();
        return Box::new(Decoder::new(DecodeSettings { features, ..settings }));
    }
    if is_described {
        faults.push(DESCRIBED_TWICE.into());
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
