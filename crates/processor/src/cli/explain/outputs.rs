//! Where output goes, and how often it arrives.

use llm_optimizer_config::{
    ProcessorConfig, ResultSinkSpec, SideSinkSpec, Source, settings::Delivery,
};
use serde::Serialize;

use super::words::span;

/// One output.
#[derive(Debug, Serialize)]
pub(super) struct OutputExplained {
    /// What goes there: `results`, `late`, `dead_letters`.
    pub(super) of: &'static str,
    /// Kind of sink.
    pub(super) kind: &'static str,
    /// File, topic, table or server, secrets left out; `None`: it is only counted.
    pub(super) place: Option<String>,
    /// How often a record arrives.
    pub(super) guarantee: String,
}

/// How commits reach sinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commits {
    /// In transactions of Kafka.
    Kafka(Delivery),
    /// In a local store.
    Embedded,
    /// Nowhere.
    Nothing,
}

impl Commits {
    /// Those of a configuration; `keeps_state` says whether a run without Kafka keeps any.
    pub(super) fn of(config: &ProcessorConfig, keeps_state: bool) -> Self {
        match config.source() {
            Ok(Source::Kafka) => Self::Kafka(config.delivery),
            _ if keeps_state => Self::Embedded,
            _ => Self::Nothing,
        }
    }
}

/// The outputs of a pipeline.
pub(super) fn outputs(config: &ProcessorConfig, commits: Commits) -> Vec<OutputExplained> {
    let sinks = config.sinks().unwrap_or_default();
    let mut outputs: Vec<OutputExplained> =
        sinks.iter().map(|sink| result_sink(config, sink, commits)).collect();
    let late = ("late", config.late_output().ok().flatten());
    let dead = ("dead_letters", config.dead_letter_output().ok().flatten());
    outputs.extend([late, dead].map(|(of, sink)| side_sink(config, of, sink.as_ref(), commits)));
    outputs
}

fn result_sink(
    config: &ProcessorConfig,
    sink: &ResultSinkSpec,
    commits: Commits,
) -> OutputExplained {
    let (kind, place, guarantee) = match sink {
        ResultSinkSpec::Console { .. } => (
            "console",
            "standard output".into(),
            "shown once it is committed; nothing is kept for it".into(),
        ),
        ResultSinkSpec::File { path } => ("file", path.display().to_string(), file(commits)),
        ResultSinkSpec::Kafka { bootstrap_servers, topic } => {
            ("kafka", topic.clone(), self::topic(config, bootstrap_servers, commits))
        }
        ResultSinkSpec::Postgres(spec) => (
            "postgres",
            format!("{} at {}", spec.table, without_secrets(&spec.url)),
            "the newest revision of every window, by upsert: repeated results do not show".into(),
        ),
        ResultSinkSpec::WebSocket(spec) => (
            "websocket",
            without_secrets(&spec.url),
            "each result at least once; repeated ones have the same result_id".into(),
        ),
        ResultSinkSpec::Metrics { max_series, stale_after } => (
            "metrics",
            "/metrics".into(),
            format!(
                "the newest result of every key, at most {max_series} series, each shown for {}",
                span(i64::try_from(stale_after.as_millis()).unwrap_or(i64::MAX))
            ),
        ),
    };
    OutputExplained { of: "results", kind, place: Some(place), guarantee }
}

fn side_sink(
    config: &ProcessorConfig,
    of: &'static str,
    sink: Option<&SideSinkSpec>,
    commits: Commits,
) -> OutputExplained {
    let (kind, place, guarantee) = match sink {
        None => ("none", None, "counted only, the records are not kept".to_owned()),
        Some(SideSinkSpec::File { path }) => {
            ("file", Some(path.display().to_string()), file(commits))
        }
        Some(SideSinkSpec::Kafka { bootstrap_servers, topic }) => {
            ("kafka", Some(topic.clone()), self::topic(config, bootstrap_servers, commits))
        }
    };
    OutputExplained { of, kind, place, guarantee }
}

fn file(commits: Commits) -> String {
    match commits {
        Commits::Kafka(Delivery::AtLeastOnce) => "each record at least once".into(),
        Commits::Kafka(Delivery::ExactlyOnce) | Commits::Embedded => {
            "each record once: after a crash the file is cut to what was committed".into()
        }
        Commits::Nothing => "each record once; the file is written anew by every run".into(),
    }
}

fn topic(config: &ProcessorConfig, brokers: &str, commits: Commits) -> String {
    let is_own = brokers == config.kafka.consumer.bootstrap_servers;
    match commits {
        Commits::Kafka(Delivery::ExactlyOnce) if is_own => {
            "each record once, in the transaction with state and positions (for read_committed readers)".into()
        }
        Commits::Kafka(Delivery::AtLeastOnce) => {
            "each record at least once, before the commit; the last one of a window_id counts".into()
        }
        _ => "each record at least once; result_id tells which are the same".into(),
    }
}

/// An address without user, password and query.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let plain = rest.split('?').next().unwrap_or_default();
    let plain = plain.rsplit_once('@').map_or(plain, |(_, host)| host);
    format!("{scheme}://{plain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_secrets() {
        let shown = without_secrets("postgres://app:p@ss@db:5432/metrics?password=x");
        assert_eq!(shown, "postgres://db:5432/metrics");
        assert_eq!(without_secrets("ws://host/path?token=abc"), "ws://host/path");
    }
}
