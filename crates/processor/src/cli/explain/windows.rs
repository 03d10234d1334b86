//! Windows in words, with an example.

use chrono::{DateTime, Utc};
use llm_optimizer_config::{ProcessorConfig, settings::WatermarkStrategyName};
use llm_optimizer_engine::{core::Rfc3339Millis, window::WindowKind};
use serde::Serialize;

use super::words::span;
use crate::{
    decode::Decoder,
    error::ProcessorResult,
    runtime::{decode_settings, task_plan},
};

/// Windows that are shown of an instant; the first and the last ones.
const MAX_SHOWN: usize = 6;

/// The windows of a pipeline.
#[derive(Debug, Serialize)]
pub(super) struct WindowsExplained {
    /// In words.
    pub(super) summary: String,
    /// How the watermark goes on.
    pub(super) watermark: String,
    /// Instant of the event of the example.
    pub(super) at: String,
    /// How many windows that event is in.
    pub(super) windows_per_event: usize,
    /// The windows it is in; of many, the first and the last ones.
    pub(super) example: Vec<WindowExample>,
    /// Results before the end of a window.
    pub(super) early: Option<String>,
}

/// One window that the event is in.
#[derive(Debug, Serialize)]
pub(super) struct WindowExample {
    pub(super) start: String,
    pub(super) end: String,
    /// Event time that every partition must have reached for the window to fire.
    pub(super) fires_at: String,
    /// Event time from which on nothing of it can change.
    pub(super) closes_at: String,
}

/// Explains the windows of a pipeline by an event at `at`.
///
/// # Errors
/// As [`task_plan`].
pub(super) fn explain(
    config: &ProcessorConfig,
    at: DateTime<Utc>,
    bounded: bool,
) -> ProcessorResult<WindowsExplained> {
    let decoder = Decoder::new(decode_settings(config, bounded));
    let plan = task_plan(config, decoder.value_names(), bounded)?;
    let lateness_ms = plan.windows.allowed_lateness_ms();
    let disorder_ms = plan.watermarks.max_out_of_orderness_ms;
    let at_ms = at.timestamp_millis();
    let (summary, spans, gap_ms) = match plan.windows.kind() {
        WindowKind::Sliced(slices) => {
            let (size, slide) = (slices.size(), slices.slide());
            let pane = slices.pane_of(at_ms);
            let starts = slices.starts(slices.first_start(pane), slices.last_start(at_ms));
            let spans: Vec<(i64, i64)> = starts.map(|start| (start, start + size)).collect();
            (sliced(size, slide, slices.pane()), spans, 0)
        }
        WindowKind::Session { gap_ms } => {
            let summary = format!(
                "sessions: events of a key belong together as long as no more than {} pass between them",
                span(*gap_ms)
            );
            (summary, vec![(at_ms, at_ms + gap_ms)], *gap_ms)
        }
        WindowKind::Assigned(_) => ("windows of the user's own".into(), Vec::new(), 0),
    };
    let late = if lateness_ms > 0 {
        format!("; for {} after that, late events correct the result", span(lateness_ms))
    } else {
        "; what comes after that is too late".into()
    };
    let example = |(start, end): &(i64, i64)| WindowExample {
        start: Rfc3339Millis(*start).to_string(),
        end: Rfc3339Millis(*end).to_string(),
        fires_at: Rfc3339Millis(end + disorder_ms).to_string(),
        closes_at: Rfc3339Millis(end + gap_ms + lateness_ms + disorder_ms).to_string(),
    };
    let skipped = spans.len().saturating_sub(MAX_SHOWN);
    let shown = spans
        .iter()
        .enumerate()
        .filter(|(index, _)| *index < MAX_SHOWN / 2 || *index >= skipped + MAX_SHOWN / 2);
    Ok(WindowsExplained {
        summary: format!("{summary}; a window fires once the watermark has passed its end{late}"),
        watermark: watermark(config, disorder_ms, plan.watermarks.idle_timeout_ms),
        at: Rfc3339Millis(at_ms).to_string(),
        windows_per_event: spans.len(),
        example: shown.map(|(_, span)| example(span)).collect(),
        early: early(config),
    })
}

fn sliced(size_ms: i64, slide_ms: i64, pane_ms: i64) -> String {
    if size_ms == slide_ms {
        return format!("tumbling windows of {}, one behind the other", span(size_ms));
    }
    format!(
        "sliding windows of {}, a new one every {}; they share parts of {}, so an event is added once",
        span(size_ms),
        span(slide_ms),
        span(pane_ms)
    )
}

fn watermark(config: &ProcessorConfig, disorder_ms: i64, idle_ms: Option<i64>) -> String {
    let behind = match disorder_ms {
        0 => "the greatest event time seen".to_owned(),
        disorder => format!("{} behind the greatest event time seen", span(disorder)),
    };
    let every = match config.watermark.strategy {
        WatermarkStrategyName::Periodic => {
            format!(", looked at every {}", span(config.watermark.emit_interval_secs.as_millis()))
        }
        _ => String::new(),
    };
    let idle = match idle_ms {
        Some(idle) => format!(
            "; one that is read to its end and silent for {} is idle and holds nobody back, and when all are idle the \
             watermark goes on with the clock",
            span(idle)
        ),
        None => "; a partition is never idle, at the end of the input all windows fire".into(),
    };
    format!("per partition {behind}{every}; the slowest partition counts{idle}")
}

fn early(config: &ProcessorConfig) -> Option<String> {
    let trigger = &config.windows.trigger;
    let count = trigger.count.map(|count| format!("after every {count} events of a window"));
    let interval = trigger
        .interval_secs
        .map(|secs| format!("every {} by the clock while events come", span(secs.as_millis())));
    match (count, interval) {
        (Some(count), Some(interval)) => Some(format!("early results {count}, or {interval}")),
        (one, other) => one.or(other).map(|when| format!("early results {when}")),
    }
}
