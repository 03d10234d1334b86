//! `why`: why a window has not fired, or what holds the watermark back, as a running processor says.

use std::fmt::Write;

use super::{client::Client, exit::Exit, live_args::WhyArgs, shown::safe};
use crate::{
    runtime::PartitionView,
    why::{
        CauseKind, PipelineWhy, Why, WindowState, WindowWhy,
        words::{count, duration, instant, partition_id},
    },
};

/// Partitions that are listed.
const MAX_PARTITIONS: usize = 16;

/// Asks and prints the answer; 0 whatever it is.
pub(super) fn why(args: &WhyArgs) -> Exit {
    let answer = Client::of(&args.server).and_then(|client| {
        let query = [("pipeline", &args.pipeline), ("key", &args.key), ("window", &args.window)];
        let given = query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        client.get_as::<Why>("/api/v1/why", &given.collect::<Vec<_>>())
    });
    match answer {
        Ok(answer) => {
            let json = serde_json::to_value(&answer).unwrap_or_default();
            args.output.answer(&json, &text(&answer))
        }
        Err(failure) => failure.tell(),
    }
}

fn text(answer: &Why) -> String {
    let mut text = String::new();
    for (index, pipeline) in answer.pipelines.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        // Writing to a string does not fail.
        let _ = of_pipeline(&mut text, answer.at_ms, pipeline);
    }
    text
}

fn of_pipeline(text: &mut String, now_ms: i64, why: &PipelineWhy) -> std::fmt::Result {
    writeln!(text, "{}: {}", safe(&why.pipeline), why.cause.name())?;
    writeln!(text, "  {}", safe(&why.verdict))?;
    if why.cause != CauseKind::NothingWrong {
        writeln!(text, "  to do: {}", safe(&why.advice))?;
    }
    if let Some(window) = &why.window {
        writeln!(text, "  {}", safe(&of_window(now_ms, window, why.expected_ms)))?;
    }
    let watermark = match (why.watermark_ms, why.watermark_lag_ms) {
        (Some(w), Some(lag)) => {
            let pace = why.watermark_speed.map(|speed| format!(", gains {speed:.1} s per second"));
            format!("{}, {}{}", instant(w), behind(lag), pace.unwrap_or_default())
        }
        _ => "none yet".into(),
    };
    writeln!(text, "  watermark: {watermark}")?;
    for finding in why.findings.iter().skip(1) {
        writeln!(text, "  also {}: {}", finding.cause.name(), safe(&finding.what))?;
        writeln!(text, "    to do: {}", safe(&finding.advice))?;
    }
    for note in &why.notes {
        writeln!(text, "  note: {}", safe(note))?;
    }
    let mut partitions: Vec<&PartitionView> = why.partitions.iter().collect();
    partitions.sort_by_key(|partition| (!partition.holds_watermark, partition.watermark_ms));
    for partition in partitions.iter().take(MAX_PARTITIONS) {
        writeln!(text, "  {}", safe(&of_partition(partition)))?;
    }
    if let Some(more) = partitions.len().checked_sub(MAX_PARTITIONS).filter(|more| *more > 0) {
        writeln!(text, "  and {more} further partitions (--output json has all)")?;
    }
    Ok(())
}

fn behind(lag_ms: i64) -> String {
    if lag_ms < 0 {
        format!("{} ahead of the clock", duration(-lag_ms))
    } else {
        format!("{} behind the clock", duration(lag_ms))
    }
}

fn of_window(now_ms: i64, window: &WindowWhy, expected_ms: Option<i64>) -> String {
    let state = match window.state {
        WindowState::Open => "open",
        WindowState::Fired => "fired, takes late events",
        WindowState::Closed => "closed",
        WindowState::Empty => "empty",
    };
    let mut text = format!("window: [{}, {})", window.start, window.end);
    if let Some(key) = &window.key {
        let _ = write!(text, " of {key}");
    }
    let _ = write!(text, ": {state}");
    if let Some(events) = window.events {
        let _ = write!(text, ", {} events", count(events));
    }
    if let Some(gap) = window.watermark_gap_ms.filter(|gap| *gap > 0) {
        let _ = write!(text, ", the watermark is {} short of its end", duration(gap));
    }
    if let Some(at) = expected_ms {
        let _ = write!(text, ", expected to fire in about {}", duration((at - now_ms).max(0)));
    }
    text
}

fn of_partition(partition: &PartitionView) -> String {
    let watermark = partition.watermark_ms.map_or_else(|| "no watermark yet".into(), instant);
    let mut text = format!("{}: {watermark}", partition_id(partition));
    if let Some(lag) = partition.lag_records {
        let _ = write!(text, ", lag {}", count(lag));
    }
    let states = [
        (partition.holds_watermark, "holds the watermark"),
        (partition.is_idle, "idle"),
        (partition.is_paused, "paused: too far ahead"),
        (partition.has_ended, "ended"),
    ];
    for (_, state) in states.iter().filter(|(is_so, _)| *is_so) {
        let _ = write!(text, ", {state}");
    }
    if partition.silent_ms >= 1_000 && !partition.has_ended {
        let _ = write!(text, ", silent for {}", duration(partition.silent_ms));
    }
    if partition.future_records > 0 {
        let _ = write!(text, ", {} records from the future", count(partition.future_records));
    }
    text
}
