//! Where results, late events and dead letters go.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use super::{TableName, Unusable, WindowSettings};
use crate::redact::redact;
use crate::settings::{ConsoleFormat, ProcessorConfig, SinkConfig, SinkType, WebSocketConfirm};

/// Results that are written or confirmed together, where nothing else is said.
const BATCH_SIZE: u32 = 1_000;
/// Series of the metrics sink, where nothing else is said.
const MAX_SERIES: u32 = 10_000;
/// Least time that the metrics sink shows a key without a new result, where nothing is said.
const LEAST_STALE_MS: i64 = 300_000;

/// Where results go, with every default filled in.
#[derive(Clone, PartialEq, Eq)]
pub enum ResultSinkSpec {
    /// Standard output.
    Console {
        /// The format; `None` = a table on a terminal, NDJSON otherwise.
        format: Option<ConsoleFormat>,
    },
    /// A file of NDJSON.
    File {
        /// The file; a relative path is relative to the working directory.
        path: PathBuf,
    },
    /// A Kafka topic.
    Kafka {
        /// Brokers, `host:port` separated by commas.
        bootstrap_servers: String,
        /// The topic.
        topic: String,
    },
    /// A table of `PostgreSQL`.
    Postgres(PostgresSpec),
    /// A WebSocket server.
    WebSocket(WebSocketSpec),
    /// The metrics endpoint.
    Metrics {
        /// Statistics of keys that are shown at most.
        max_series: usize,
        /// How long a key without a new result is shown.
        stale_after: Duration,
    },
}

/// A table of `PostgreSQL`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PostgresSpec {
    /// `postgres://user:password@host:port/database`; a secret.
    pub url: String,
    /// The table.
    pub table: TableName,
    /// Results that are written together, at least 1.
    pub batch_size: usize,
}

/// A WebSocket server.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebSocketSpec {
    /// `ws://…` or `wss://…`; a secret.
    pub url: String,
    /// Sent as `Authorization: Bearer`; a secret.
    pub token: Option<String>,
    /// Further headers of the handshake; secrets.
    pub headers: BTreeMap<String, String>,
    /// What says that the server has a result.
    pub confirm: WebSocketConfirm,
    /// Results that are confirmed together, at least 1.
    pub batch_size: usize,
}

/// Where late events or dead letters go.
#[derive(Clone, PartialEq, Eq)]
pub enum SideSinkSpec {
    /// A file of NDJSON.
    File {
        /// The file; a relative path is relative to the working directory.
        path: PathBuf,
    },
    /// A Kafka topic.
    Kafka {
        /// Brokers, `host:port` separated by commas.
        bootstrap_servers: String,
        /// The topic.
        topic: String,
    },
}

impl ProcessorConfig {
    /// Where results go, in the order of the file; Kafka's `result_topic` where no `sinks` are
    /// written.
    ///
    /// # Errors
    /// [`Unusable::Missing`] for a file without `path` or a server without `url`, [`Unusable::Wrong`] for
    /// an address that is none.
    pub fn sinks(&self) -> Result<Vec<ResultSinkSpec>, Unusable> {
        let Some(sinks) = &self.sinks else {
            return Ok(vec![self.result_topic(&SinkConfig::default())]);
        };
        sinks.iter().enumerate().map(|(index, sink)| self.result_sink(index, sink)).collect()
    }

    /// Where events go that are too late for every window; `None` = they are only counted.
    ///
    /// # Errors
    /// [`Unusable`] where a key is missing or the type is no side output.
    pub fn late_output(&self) -> Result<Option<SideSinkSpec>, Unusable> {
        let late = self.side_outputs.late.as_ref();
        late.map(|sink| self.side_sink("processor.side_outputs.late", sink)).transpose()
    }

    /// Where records go that cannot be used; `None` = they are only counted.
    ///
    /// `error_handling.dead_letter_topic` means the same as `side_outputs.dead_letter` of type
    /// `kafka` with that topic.
    ///
    /// # Errors
    /// [`Unusable`] where a key is missing or the type is no side output.
    pub fn dead_letter_output(&self) -> Result<Option<SideSinkSpec>, Unusable> {
        if let Some(sink) = &self.side_outputs.dead_letter {
            return self.side_sink("processor.side_outputs.dead_letter", sink).map(Some);
        }
        let topic = self.error_handling.dead_letter_topic.as_ref();
        Ok(topic.map(|topic| SideSinkSpec::Kafka {
            bootstrap_servers: self.kafka.producer.bootstrap_servers.clone(),
            topic: topic.clone(),
        }))
    }

    fn result_sink(&self, index: usize, sink: &SinkConfig) -> Result<ResultSinkSpec, Unusable> {
        let at = format!("processor.sinks[{index}]");
        match sink.kind {
            SinkType::Console => Ok(ResultSinkSpec::Console { format: sink.format }),
            SinkType::File => Ok(ResultSinkSpec::File { path: path_of(&at, sink)? }),
            SinkType::Kafka => Ok(self.result_topic(sink)),
            SinkType::Postgres => postgres(&at, sink).map(ResultSinkSpec::Postgres),
            SinkType::Websocket => web_socket(&at, sink).map(ResultSinkSpec::WebSocket),
            SinkType::Metrics => Ok(ResultSinkSpec::Metrics {
                max_series: size(sink.max_series, MAX_SERIES),
                stale_after: self.stale_after(sink),
            }),
        }
    }

    /// What is written, else the larger of two windows and five minutes.
    fn stale_after(&self, sink: &SinkConfig) -> Duration {
        let window_ms = match self.window() {
            WindowSettings::Tumbling { size_ms, .. } | WindowSettings::Sliding { size_ms, .. } => {
                size_ms
            }
            WindowSettings::Session { gap_ms, .. } => gap_ms,
        };
        let default_ms = window_ms.saturating_mul(2).max(LEAST_STALE_MS);
        let default = Duration::from_millis(u64::try_from(default_ms).unwrap_or_default());
        sink.stale_after_secs.map_or(default, crate::settings::Secs::as_duration)
    }

    fn result_topic(&self, sink: &SinkConfig) -> ResultSinkSpec {
        let producer = &self.kafka.producer;
        ResultSinkSpec::Kafka {
            bootstrap_servers: self.brokers_of(sink),
            topic: sink.topic.clone().unwrap_or_else(|| producer.result_topic.clone()),
        }
    }

    fn side_sink(&self, at: &str, sink: &SinkConfig) -> Result<SideSinkSpec, Unusable> {
        match sink.kind {
            SinkType::File => Ok(SideSinkSpec::File { path: path_of(at, sink)? }),
            SinkType::Kafka => {
                let missing = || Unusable::Missing { path: format!("{at}.topic") };
                let topic = sink.topic.clone().ok_or_else(missing)?;
                Ok(SideSinkSpec::Kafka { bootstrap_servers: self.brokers_of(sink), topic })
            }
            SinkType::Console | SinkType::Postgres | SinkType::Websocket | SinkType::Metrics => {
                Err(Unusable::NotASideOutput { path: at.into() })
            }
        }
    }

    fn brokers_of(&self, sink: &SinkConfig) -> String {
        let default = &self.kafka.producer.bootstrap_servers;
        sink.bootstrap_servers.as_ref().unwrap_or(default).clone()
    }
}

/// `./a/../b` as `b`: two spellings of a path compare equal; links are not followed.
#[must_use]
pub fn plain_path(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

fn path_of(at: &str, sink: &SinkConfig) -> Result<PathBuf, Unusable> {
    sink.path.clone().ok_or_else(|| Unusable::Missing { path: format!("{at}.path") })
}

fn postgres(at: &str, sink: &SinkConfig) -> Result<PostgresSpec, Unusable> {
    let url = url_of(at, sink)?;
    let missing = || Unusable::Missing { path: format!("{at}.table") };
    let table = sink.table.as_deref().ok_or_else(missing)?;
    let wrong = |reason| Unusable::Wrong { path: format!("{at}.table"), reason };
    let table = TableName::parse(table).map_err(wrong)?;
    Ok(PostgresSpec { url, table, batch_size: size(sink.batch_size, BATCH_SIZE) })
}

fn web_socket(at: &str, sink: &SinkConfig) -> Result<WebSocketSpec, Unusable> {
    Ok(WebSocketSpec {
        url: url_of(at, sink)?,
        token: sink.token.clone(),
        headers: sink.headers.clone().unwrap_or_default(),
        confirm: sink.confirm.unwrap_or_default(),
        batch_size: size(sink.batch_size, BATCH_SIZE),
    })
}

fn url_of(at: &str, sink: &SinkConfig) -> Result<String, Unusable> {
    let path = format!("{at}.url");
    let url = sink.url.clone().ok_or_else(|| Unusable::Missing { path: path.clone() })?;
    match wrong_address(sink.kind, &url) {
        Some(reason) => Err(Unusable::Wrong { path, reason }),
        None => Ok(url),
    }
}

/// Why `url` is no address of a server for sinks of this kind; never says what it holds.
pub(crate) fn wrong_address(kind: SinkType, url: &str) -> Option<String> {
    let (schemes, example): (&[&str], &str) = match kind {
        SinkType::Postgres => {
            (&["postgres://", "postgresql://"], "postgres://user@host:5432/database")
        }
        _ => (&["ws://", "wss://"], "ws://host:port/path"),
    };
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
    let host = rest.map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    match host {
        None => Some(format!(
            "the address does not begin with {}: write {example}",
            schemes.join(" or ")
        )),
        // A Postgres server may be named by its socket, in the query.
        Some("") if kind != SinkType::Postgres => {
            Some(format!("the address names no host: write {example}"))
        }
        Some(_) if url.chars().any(char::is_whitespace) => {
            Some("the address holds a blank: write it as %20".into())
        }
        Some(_) => None,
    }
}

fn size(written: Option<u32>, default: u32) -> usize {
    usize::try_from(written.unwrap_or(default).max(1)).unwrap_or(usize::MAX)
}

impl fmt::Debug for ResultSinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Console { format } => f.debug_struct("Console").field("format", format).finish(),
            Self::File { path } => f.debug_struct("File").field("path", path).finish(),
            Self::Kafka { bootstrap_servers, topic } => kafka_debug(f, bootstrap_servers, topic),
            Self::Postgres(spec) => spec.fmt(f),
            Self::WebSocket(spec) => spec.fmt(f),
            Self::Metrics { max_series, stale_after } => f
                .debug_struct("Metrics")
                .field("max_series", max_series)
                .field("stale_after", stale_after)
                .finish(),
        }
    }
}

impl fmt::Debug for PostgresSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("url", &redact(&self.url))
            .field("table", &self.table)
            .field("batch_size", &self.batch_size)
            .finish()
    }
}

impl fmt::Debug for WebSocketSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("url", &redact(&self.url))
            .field("token", &self.token.as_ref().map(|_| "***"))
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("confirm", &self.confirm)
            .field("batch_size", &self.batch_size)
            .finish()
    }
}

impl fmt::Debug for SideSinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path } => f.debug_struct("File").field("path", path).finish(),
            Self::Kafka { bootstrap_servers, topic } => kafka_debug(f, bootstrap_servers, topic),
        }
    }
}

/// Without the password that a list of brokers may hold.
fn kafka_debug(f: &mut fmt::Formatter<'_>, brokers: &str, topic: &str) -> fmt::Result {
    let brokers = redact(brokers);
    f.debug_struct("Kafka").field("bootstrap_servers", &brokers).field("topic", &topic).finish()
}
