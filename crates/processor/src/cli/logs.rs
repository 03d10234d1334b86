//! Logs on standard error, as text or JSON; spans to whoever exports them.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, prelude::*};

use super::args::{LogArgs, LogFormat};
use crate::export::Export;

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging; an unusable filter falls back to `info` with a warning. `export` gets spans, however much is logged.
pub(super) fn start(args: &LogArgs, export: Option<&Export>) {
    let (filter, fault) = match EnvFilter::try_new(&args.log) {
        Ok(filter) => (filter, None),
        Err(fault) => (EnvFilter::new("info"), Some(fault)),
    };
    let layers = layers(args.log_format, filter, export);
    let started = tracing_subscriber::registry().with(layers).try_init();
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
fn lines(format: LogFormat, filter: EnvFilter) -> Vec<BoxedLayer> {
    let layer = match format {
        LogFormat::Text => text(),
        LogFormat::Json => json(),
    };
    vec![layer.with_filter(filter).boxed()]
}

#[cfg(not(feature = "otlp-export"))]
fn layers(format: LogFormat, filter: EnvFilter, _export: Option<&Export>) -> Vec<BoxedLayer> {
    lines(format, filter)
}

/// Lines, and the spans that are exported.
#[cfg(feature = "otlp-export")]
fn layers(format: LogFormat, filter: EnvFilter, export: Option<&Export>) -> Vec<BoxedLayer> {
    use tracing::level_filters::LevelFilter;
    use tracing_subscriber::filter::{FilterExt, filter_fn};

    use crate::export::{WithSpanIds, is_ours};

    let Some(tracer) = export.and_then(Export::tracer) else { return lines(format, filter) };
    let layer = match format {
        LogFormat::Text => text(),
        LogFormat::Json => {
            let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
            layer.json().flatten_event(true).map_event_format(WithSpanIds).boxed()
        }
    };
    // A line can say which span it is of only if the span is there for lines too, also with `--log warn`.
    let spans = filter_fn(|metadata| metadata.is_span() && is_ours(metadata));
    let filter = filter.or(spans.with_max_level_hint(LevelFilter::INFO));
    let recorded = filter_fn(is_ours).with_max_level_hint(LevelFilter::INFO);
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    vec![layer.with_filter(filter).boxed(), spans.with_filter(recorded).boxed()]
}
