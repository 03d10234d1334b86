//! `sinks:` and `side_outputs:`: which keys an output needs and which belong to another type.

use super::{Checks, source::does_not_apply};
use crate::{
    resolved::{TableName, wrong_address},
    settings::{Secs, SinkConfig, SinkType},
};

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
        server(checks, &key, sink);
        sizes(checks, &key, sink);
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
    let written: [(&str, bool, &[&str]); 12] = [
        ("path", sink.path.is_some(), &["file"]),
        ("topic", sink.topic.is_some(), &["kafka"]),
        ("bootstrap_servers", sink.bootstrap_servers.is_some(), &["kafka"]),
        ("format", sink.format.is_some(), &["console"]),
        ("url", sink.url.is_some(), &["websocket", "postgres"]),
        ("table", sink.table.is_some(), &["postgres"]),
        ("token", sink.token.is_some(), &["websocket"]),
        ("headers", sink.headers.is_some(), &["websocket"]),
        ("confirm", sink.confirm.is_some(), &["websocket"]),
        ("batch_size", sink.batch_size.is_some(), &["postgres", "websocket"]),
        ("max_series", sink.max_series.is_some(), &["metrics"]),
        ("stale_after_secs", sink.stale_after_secs.is_some(), &["metrics"]),
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

/// What a sink that is a server needs.
fn server(checks: &mut Checks<'_>, at: &str, sink: &SinkConfig) {
    let (what, example) = match sink.kind {
        SinkType::Postgres => {
            ("a Postgres sink", "write `url: postgres://user@host:5432/database`")
        }
        SinkType::Websocket => ("a WebSocket sink", "write `url: ws://host:port/path`"),
        _ => return,
    };
    let (type_key, url_key) = (format!("{at}.type"), format!("{at}.url"));
    match &sink.url {
        None => {
            let message = format!("{what} needs the address of its server");
            checks.conflict(&url_key, &[&type_key], message, example);
        }
        Some(url) => {
            if let Some(reason) = wrong_address(sink.kind, url) {
                checks.conflict(&url_key, &[&type_key], reason, "");
            }
        }
    }
    if sink.kind == SinkType::Postgres {
        table(checks, at, sink);
    } else {
        headers(checks, at, sink);
    }
}

fn table(checks: &mut Checks<'_>, at: &str, sink: &SinkConfig) {
    let key = format!("{at}.table");
    match sink.table.as_deref().map(TableName::parse) {
        None => {
            let message = "a Postgres sink needs the table to write";
            let help = "write `table: results`; it is created if it is not there";
            checks.conflict(&key, &[&format!("{at}.type")], message, help);
        }
        Some(Err(reason)) => checks.fault(&key, reason, "write `table` or `schema.table`"),
        Some(Ok(_)) => {}
    }
}

fn headers(checks: &mut Checks<'_>, at: &str, sink: &SinkConfig) {
    let key = format!("{at}.headers");
    let letter = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let is_text = |value: &str| value.chars().all(|c| c == '\t' || (' '..='~').contains(&c));
    for (name, value) in sink.headers.iter().flatten() {
        if name.is_empty() || !name.chars().all(letter) {
            checks.fault(&key, format!("`{name}` is no name of a header"), "");
        } else if !is_text(value) {
            let message = format!("the value of `{name}` holds what no header can");
            checks.fault(&key, message, "use printable ASCII");
        }
    }
    let key = format!("{at}.token");
    if sink.token.as_deref().is_some_and(|token| token.is_empty() || !is_text(token)) {
        checks.fault(&key, "the token is empty or holds what no header can", "use printable ASCII");
    }
    let names_it = |name: &String| name.eq_ignore_ascii_case("authorization");
    if sink.token.is_some() && sink.headers.iter().flatten().any(|(name, _)| names_it(name)) {
        let message = "`token` and the header `Authorization` say the same";
        checks.fault(&key, message, "remove one of them");
    }
}

fn sizes(checks: &mut Checks<'_>, at: &str, sink: &SinkConfig) {
    for (name, size) in [("batch_size", sink.batch_size), ("max_series", sink.max_series)] {
        if size == Some(0) {
            checks.fault(&format!("{at}.{name}"), "0 must be greater than 0", "");
        }
    }
    if sink.stale_after_secs.is_some_and(|secs| secs <= Secs::default()) {
        checks.fault(&format!("{at}.stale_after_secs"), "it must be greater than 0", "");
    }
}
