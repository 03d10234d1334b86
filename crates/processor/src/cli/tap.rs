//! `tap`: samples of any stage of a running processor, as they come.

use std::{fmt::Write as _, io::Write as _};

use serde::Deserialize;

use super::{
    client::{Client, Events, Failure},
    exit::{Exit, print},
    live_args::TapArgs,
    shown::safe,
};
use crate::{runtime::TapSample, why::words::count};

/// What was not shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
struct Skipped {
    not_shown: u64,
    missed: u64,
}

/// Shows samples until as many came as were asked for, the run ends, or somebody interrupts.
pub(super) fn tap(args: &TapArgs) -> Exit {
    match Client::of(&args.server).and_then(|client| open(&client, args)) {
        Ok(events) => show(events, args),
        Err(failure) => failure.tell(),
    }
}

fn open(client: &Client, args: &TapArgs) -> Result<Events, Failure> {
    let rate = args.rate().to_string();
    let mut query = vec![("stage", args.stage.name()), ("rate", rate.as_str())];
    query.extend(args.pipeline.as_deref().map(|name| ("pipeline", name)));
    query.extend(args.key.as_deref().map(|key| ("key", key)));
    client.events("/api/v1/tap", &query)
}

fn show(mut events: Events, args: &TapArgs) -> Exit {
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let event = match events.next() {
            Ok(Some(event)) => event,
            Ok(None) => {
                return Failure::new(Exit::Ok, "the run has ended").tell();
            }
            Err(cause) => {
                let lost = format!("the connection is lost: {cause}");
                return Failure::new(Exit::Unavailable, lost).tell();
            }
        };
        let exit = match event.name.as_str() {
            "sample" => {
                left -= 1;
                sample(&event.data, args)
            }
            "skipped" => skipped(&event.data, args),
            _ => Exit::Ok,
        };
        if exit != Exit::Ok {
            return exit;
        }
    }
    Exit::Ok
}

fn sample(json: &str, args: &TapArgs) -> Exit {
    if args.output.is_json() {
        return print(format!("{json}\n").as_bytes());
    }
    match serde_json::from_str::<TapSample>(json) {
        Ok(sample) => print(format!("{}\n", line(&sample)).as_bytes()),
        Err(_) => print(format!("{}\n", safe(json)).as_bytes()),
    }
}

/// Of programs it is a line of its own; people see it beside the samples, on standard error.
fn skipped(json: &str, args: &TapArgs) -> Exit {
    let Ok(skipped) = serde_json::from_str::<Skipped>(json) else { return Exit::Ok };
    let Skipped { not_shown, missed } = skipped;
    if args.output.is_json() {
        let line = format!("{{\"skipped\":{{\"not_shown\":{not_shown},\"missed\":{missed}}}}}\n");
        return print(line.as_bytes());
    }
    let mut text = format!("… {} more not shown at {} per second", count(not_shown), args.rate());
    if missed > 0 {
        let _ = write!(text, ", {} lost because this reader is slow", count(missed));
    }
    // Nobody may read standard error.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
    Exit::Ok
}

/// A sample as a line: when, which pipeline, where from, and what.
fn line(sample: &TapSample) -> String {
    let mut parts = vec![sample.at.clone()];
    parts.extend(sample.pipeline.clone());
    if let Some(origin) = &sample.origin {
        parts.push(match origin.source.as_str() {
            "kafka" => format!("{}/{}@{}", origin.name, origin.partition, origin.offset),
            _ if origin.name.is_empty() => format!("{}@{}", origin.source, origin.offset),
            _ => match origin.line {
                Some(line) => format!("{}:{line}", origin.name),
                None => format!("{}@{}", origin.name, origin.offset),
            },
        });
    }
    parts.extend(sample.time.as_ref().map(|time| format!("time={time}")));
    parts.extend(sample.key.clone());
    parts.extend(sample.values.iter().map(|(name, value)| format!("{name}={value}")));
    parts.extend(
        sample.lateness_ms.map(|ms| format!("late by {}", crate::why::words::duration(ms))),
    );
    let said = sample.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    parts.extend(sample.reason.as_ref().map(|reason| format!("{reason}{said}")));
    parts.extend(sample.result.as_ref().map(result));
    parts.extend(sample.commit.as_ref().map(commit));
    parts.extend(sample.record.as_ref().map(record));
    safe(&parts.join("  "))
}

fn result(result: &serde_json::Value) -> String {
    let text =
        |pointer: &str| result.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or("?");
    let mut shown = format!(
        "[{}, {}) {} #{}",
        text("/window/start"),
        text("/window/end"),
        text("/pane/timing"),
        result.pointer("/pane/revision").unwrap_or(&serde_json::Value::Null)
    );
    let statistics = result.get("results").and_then(serde_json::Value::as_object);
    for (name, value) in statistics.into_iter().flatten() {
        let _ = write!(shown, " {name}={value}");
    }
    shown
}

fn commit(commit: &crate::runtime::TapCommit) -> String {
    let mut shown = format!(
        "commit {} {}: {} results, {} late, {} dead letters",
        commit.number, commit.step, commit.results, commit.late, commit.dead_letters
    );
    if let Some(ms) = commit.took_ms {
        let _ = write!(shown, ", {ms:.1} ms after the cut");
    }
    if let Some(error) = &commit.error {
        let _ = write!(shown, ": {error}");
    }
    shown
}

fn record(record: &crate::runtime::TapRecord) -> String {
    let mut shown = String::new();
    if let Some(key) = &record.key {
        let _ = write!(shown, "key={key}  ");
    }
    for (name, value) in &record.headers {
        let _ = write!(shown, "{name}: {value}  ");
    }
    match (&record.text, &record.base64) {
        (Some(text), _) => shown.push_str(text),
        (None, Some(base64)) => {
            let _ = write!(shown, "base64:{base64}");
        }
        (None, None) => {}
    }
    if record.is_cut {
        let _ = write!(shown, "… ({} bytes in all)", count(record.bytes));
    }
    shown
}
