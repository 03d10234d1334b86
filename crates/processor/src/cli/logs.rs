//! Logs on standard error, as text or JSON; spans to whoever exports them.

use std::io::IsTerminal;

use tracing::{
    Id, Metadata, Subscriber,
    level_filters::LevelFilter,
    span::{Attributes, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt,
    layer::{Context, Layered},
    prelude::*,
    registry::LookupSpan,
};

use super::args::{LogArgs, LogFormat};
use crate::export::Export;

type BoxedLayer = Box<dyn Layer<Layered<Gate, Registry>> + Send + Sync>;

/// Starts logging; an unusable filter falls back to `info` with a warning. `export` gets spans, however much is logged.
pub(super) fn start(args: &LogArgs, export: Option<&Export>) {
    let (lines, fault) = match EnvFilter::try_new(&args.log) {
        Ok(filter) => (filter, None),
        Err(fault) => (EnvFilter::new("info"), Some(fault)),
    };
    let gate = Gate { lines, spans: export.is_some_and(Export::has_traces) };
    let layers = layers(args.log_format, export);
    let started = tracing_subscriber::registry().with(gate).with(layers).try_init();
    if let (Ok(()), Some(fault)) = (started, fault) {
        tracing::warn!(filter = args.log, %fault, "cannot read the log filter, using `info`");
    }
}

fn text() -> BoxedLayer {
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
    layer.with_ansi(std::io::stderr().is_terminal()).boxed()
}

fn json() -> BoxedLayer {
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
    layer.json().flatten_event(true).boxed()
}

/// Lines alone.
fn lines(format: LogFormat) -> Vec<BoxedLayer> {
    vec![match format {
        LogFormat::Text => text(),
        LogFormat::Json => json(),
    }]
}

#[cfg(not(feature = "otlp-export"))]
fn layers(format: LogFormat, _export: Option<&Export>) -> Vec<BoxedLayer> {
    lines(format)
}

/// Lines, and the spans that are exported.
#[cfg(feature = "otlp-export")]
fn layers(format: LogFormat, export: Option<&Export>) -> Vec<BoxedLayer> {
    use crate::export::WithSpanIds;

    let Some(tracer) = export.and_then(Export::tracer) else { return lines(format) };
    let layer = match format {
        LogFormat::Text => text(),
        LogFormat::Json => {
            let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
            layer.json().flatten_event(true).map_event_format(WithSpanIds).boxed()
        }
    };
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    vec![layer, spans.boxed()]
}

/// Lets pass what is logged, and spans of this program if they are exported, also with `--log warn`.
///
/// One filter for all, not one per layer: those leave a span out after somebody only asked what is logged, as the Kafka client
/// does.
struct Gate {
    lines: EnvFilter,
    spans: bool,
}

impl Gate {
    fn is_exported(&self, metadata: &Metadata<'_>) -> bool {
        self.spans
            && metadata.is_span()
            && *metadata.level() <= tracing::Level::INFO
            && metadata.target().starts_with("llm_optimizer_")
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Gate {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let of_lines = Layer::<S>::register_callsite(&self.lines, metadata);
        if self.is_exported(metadata) { Interest::always() } else { of_lines }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        self.is_exported(metadata) || Layer::enabled(&self.lines, metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let of_lines = Layer::<S>::max_level_hint(&self.lines)?;
        Some(if self.spans { of_lines.max(LevelFilter::INFO) } else { of_lines })
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        Layer::on_new_span(&self.lines, attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        Layer::on_record(&self.lines, id, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        Layer::on_enter(&self.lines, id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        Layer::on_exit(&self.lines, id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        Layer::on_close(&self.lines, id, context);
    }
}
