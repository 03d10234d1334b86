//! `explain`: what a configuration will do, resolved, in plain words.
//!
//! Nothing is opened or asked: what it says follows from the configuration alone, but for the memory of this
//! machine.

mod args;
mod gather;
mod memory;
mod outputs;
mod windows;
mod words;

use std::fmt::Write;

pub(super) use args::ExplainArgs;
use gather::{Explanation, PipelineExplained};
use llm_optimizer_config::load_effective;
use serde_json::Value;
use words::{bytes, count};

use super::{
    exit::{Exit, print},
    paint::Paint,
};

/// Explains a configuration.
pub(super) fn explain(args: &ExplainArgs) -> Exit {
    let env = std::env::vars_os().map(|(name, value)| {
        (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
    });
    let (loaded, values) = match load_effective(&args.config, env) {
        Ok(loaded) => loaded,
        Err(faults) => {
            // Nobody reads standard error: the exit code still tells.
            drop(std::io::Write::write_fmt(
                &mut std::io::stderr().lock(),
                format_args!("{faults}\n"),
            ));
            return Exit::Config;
        }
    };
    match gather::gather(args, &loaded, &values) {
        Ok(explanation) if args.output.is_json() => {
            let json = serde_json::to_value(&explanation).unwrap_or_default();
            args.output.answer(&json, "")
        }
        Ok(explanation) => print(text(&explanation, args, Paint::for_stdout()).as_bytes()),
        Err(error) => Exit::of(Err(error)),
    }
}

fn text(explanation: &Explanation, args: &ExplainArgs, paint: Paint) -> String {
    let mut text = String::new();
    let Explanation { config, source, state, commits, http, memory, .. } = explanation;
    let _ = writeln!(text, "{}", paint.bold(&format!("{config} {source}.")));
    for (name, what) in [("state", state), ("commits", commits), ("http", http), ("memory", memory)]
    {
        let _ = writeln!(text, "  {name:<10} {what}");
    }
    for pipeline in &explanation.pipelines {
        pipeline_text(&mut text, pipeline, paint);
    }
    if !explanation.warnings.is_empty() {
        let _ = writeln!(text, "\n{}", paint.bold("Warnings"));
    }
    for warning in &explanation.warnings {
        let word = |name: &str| warning.get(name).and_then(Value::as_str).unwrap_or_default();
        let place = origin_words(warning.get("place").unwrap_or(&Value::Null));
        let _ = writeln!(text, "  {}: {} ({place})", word("path"), word("message"));
    }
    values_text(&mut text, explanation, args.all, paint);
    text
}

fn pipeline_text(text: &mut String, pipeline: &PipelineExplained, paint: Paint) {
    let _ = writeln!(text, "\n{}", paint.bold(&format!("Pipeline {}", pipeline.name)));
    let windows = &pipeline.windows;
    let mut line = |name: &str, what: &str| {
        let _ = writeln!(text, "  {name:<10} {what}");
    };
    line("records", &pipeline.records);
    line("key", &pipeline.key);
    line("windows", &windows.summary);
    line("watermark", &windows.watermark);
    let plural = if windows.windows_per_event == 1 { "" } else { "s" };
    let many = windows.windows_per_event;
    line("example", &format!("an event at {} is in {many} window{plural}", windows.at));
    let skips = windows.windows_per_event > windows.example.len();
    for (index, one) in windows.example.iter().enumerate() {
        if skips && index == windows.example.len() / 2 {
            line("", "…");
        }
        line(
            "",
            &format!(
                "[{}, {}): fires when all partitions have reached {}, closes at {}",
                one.start, one.end, one.fires_at, one.closes_at
            ),
        );
    }
    if let Some(early) = &windows.early {
        line("early", early);
    }
    line("results", &pipeline.statistics.join(", "));
    for output in &pipeline.outputs {
        let place = output.place.as_deref().map(|place| format!("{} {place}: ", output.kind));
        line(output_name(output.of), &format!("{}{}", place.unwrap_or_default(), output.guarantee));
    }
    line("limits", &pipeline.limits);
    let memory = &pipeline.memory;
    let between = |[few, many]: [u64; 2]| match (bytes(few), bytes(many)) {
        (few, many) if few == many => few,
        (few, many) => format!("{few} to {many}"),
    };
    let parts = match memory.open_panes_per_key {
        1 => "one part of a window open".to_owned(),
        panes => format!("{panes} parts of windows open at a time"),
    };
    line(
        "memory",
        &format!(
            "about {} for {} keys: {parts}, {} each with 10 to 300 events",
            between(memory.total_bytes),
            count(memory.keys),
            between(memory.bytes_per_pane)
        ),
    );
}

/// The word at the beginning of the line of an output.
fn output_name(of: &str) -> &str {
    match of {
        "results" => "to",
        "dead_letters" => "dead",
        other => other,
    }
}

fn values_text(text: &mut String, explanation: &Explanation, all: bool, paint: Paint) {
    let is_default = |value: &Value| value.pointer("/origin/default").is_some();
    let shown: Vec<&Value> =
        explanation.values.iter().filter(|value| all || !is_default(value)).collect();
    let _ = writeln!(text, "\n{}", paint.bold("Values"));
    let path = |value: &Value| value.get("path").and_then(Value::as_str).unwrap_or_default().len();
    let width = shown.iter().map(|value| path(value)).max().unwrap_or_default().min(60);
    for value in &shown {
        let name = value.get("path").and_then(Value::as_str).unwrap_or_default();
        let what = value.get("value").unwrap_or(&Value::Null);
        let origin = origin_words(value.get("origin").unwrap_or(&Value::Null));
        let _ = writeln!(text, "  {name:<width$}  {what}  {}", paint.dim(&origin));
    }
    let hidden = explanation.values.len() - shown.len();
    if hidden > 0 {
        let plural = if hidden == 1 { "" } else { "s" };
        let _ = writeln!(text, "  and {hidden} default{plural} (--all shows them)");
    }
}

/// Where a value is from.
fn origin_words(origin: &Value) -> String {
    let word = |name: &str| origin.get(name).and_then(Value::as_str);
    if let Some(variable) = word("variable") {
        return format!("environment variable {variable}");
    }
    if let Some(flag) = word("flag") {
        return format!("flag {flag}");
    }
    let number = |name: &str| origin.get(name).and_then(Value::as_u64);
    match (word("file"), number("line"), number("column")) {
        (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}"),
        (Some(file), ..) => file.to_owned(),
        _ => "default".into(),
    }
}
