//! `sinks:` and `side_outputs:`: which keys an output needs and which belong to another type.

use super::{Checks, source::does_not_apply};
use crate::settings::{SinkConfig, SinkType};

pub(super) fn check(checks: &mut Checks<'_>) {
    if checks.config.sinks.as_ref().is_some_and(Vec::is_empty) {
        let help = "name a sink, or remove `sinks` to send results to kafka.producer.result_topic";
        checks.fault("sinks", "the list is empty: results would go nowhere", help);
    }
    for (key, sink, is_side) in outputs(checks) {
        let side_kind = matches!(sink.kind, SinkType::File | SinkType::Kafka);
        if is_side && !side_kind {
            not_a_side_output(checks, &key, sink);
            continue;
        }
        applicable(checks, &key, sink);
        required(checks, &key, sink, is_side);
    }
    let both = checks.config.error_handling.dead_letter_topic.is_some()
        && checks.config.side_outputs.dead_letter.is_some();
    // A pipeline's own dead letter output takes the place of the topic of all.
    if both && !checks.is_of_entry("side_outputs.dead_letter") {
        checks.conflict(
            "error_handling.dead_letter_topic",
            &["side_outputs.dead_letter"],
            "dead letters have two places: this topic and side_outputs.dead_letter",
            "remove one of them; they mean the same",
        );
    }
}

/// Every output with its key (`sinks[0]`, `side_outputs.late`) and whether it is a side output.
pub(super) fn outputs<'a>(checks: &Checks<'a>) -> Vec<(String, &'a SinkConfig, bool)> {
    let config = checks.config;
    let sinks = config.sinks.iter().flatten().enumerate();
    let side = [
        ("side_outputs.late", &config.side_outputs.late),
        ("side_outputs.dead_letter", &config.side_outputs.dead_letter),
    ];
    let side = side.into_iter().filter_map(|(key, sink)| Some((key, sink.as_ref()?)));
    sinks
        .map(|(index, sink)| (format!("sinks[{index}]"), sink, false))
        .chain(side.map(|(key, sink)| (key.to_owned(), sink, true)))
        .collect()
}

fn not_a_side_output(checks: &mut Checks<'_>, key: &str, sink: &SinkConfig) {
    let type_key = format!("{key}.type");
    let (message, help) = if checks.has(&type_key) {
        let name = sink.kind.name();
        (format!("a side output cannot go to type `{name}`"), "use type `file` or `kafka`")
    } else {
        ("the type of the side output is missing".into(), "write `type: file` or `type: kafka`")
    };
    checks.conflict(&type_key, &[], message, help);
}

fn applicable(checks: &mut Checks<'_>, at: &str, sink: &SinkConfig) {
    let written: [(&str, bool, &[&str]); 6] = [
        ("path", sink.path.is_some(), &["file"]),
        ("topic", sink.topic.is_some(), &["kafka"]),
        ("bootstrap_servers", sink.bootstrap_servers.is_some(), &["kafka"]),
        ("format", sink.format.is_some(), &["console"]),
        ("url", sink.url.is_some(), &["websocket", "postgres"]),
        ("table", sink.table.is_some(), &["postgres"]),
    ];
    let kind = sink.kind.name();
    for (key, _, kinds) in written.into_iter().filter(|(_, written, _)| *written) {
        if !kinds.contains(&kind) {
            does_not_apply(checks, at, key, kind, kinds);
        }
    }
}

fn required(checks: &mut Checks<'_>, at: &str, sink: &SinkConfig, is_side: bool) {
    let type_key = format!("{at}.type");
    let path_key = format!("{at}.path");
    match &sink.path {
        None if sink.kind == SinkType::File => {
            let message = "a file output needs the file to write";
            checks.conflict(&path_key, &[&type_key], message, "write `path: results.ndjson`");
        }
        Some(path) if path.as_os_str().is_empty() => {
            checks.fault(&path_key, "the path is empty", "write the file to write");
        }
        _ => {}
    }
    if is_side && sink.kind == SinkType::Kafka && sink.topic.is_none() {
        let message = "a Kafka side output needs its topic";
        let help = "write `topic: <name>`";
        checks.conflict(&format!("{at}.topic"), &[&type_key], message, help);
    }
}
