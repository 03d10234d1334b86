//! `sinks:` and `side_outputs:`.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secs;
use crate::redact::redact;

/// Kind of sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkType {
    /// Standard output: a table on a terminal, NDJSON otherwise.
    #[default]
    Console,
    /// A file of NDJSON.
    File,
    /// A Kafka topic.
    Kafka,
    /// A `PostgreSQL` table.
    Postgres,
    /// A WebSocket server.
    Websocket,
    /// The metrics endpoint.
    Metrics,
}

impl SinkType {
    /// The name in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::File => "file",
            Self::Kafka => "kafka",
            Self::Postgres => "postgres",
            Self::Websocket => "websocket",
            Self::Metrics => "metrics",
        }
    }
}

/// Where results or side outputs go. Which keys apply follows from `type`; the validator says so.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SinkConfig {
    /// Kind of sink.
    #[serde(rename = "type")]
    pub kind: SinkType,
    /// `file`: the file to write.
    pub path: Option<PathBuf>,
    /// `kafka`: the topic (for results: `kafka.producer.result_topic`).
    pub topic: Option<String>,
    /// `kafka`: another cluster than `kafka.producer.bootstrap_servers`.
    pub bootstrap_servers: Option<String>,
    /// `console`: `table`, `ndjson`, or by default what fits standard output.
    pub format: Option<ConsoleFormat>,
    /// `websocket`, `postgres`: address of the server; a secret where it holds a password.
    pub url: Option<String>,
    /// `postgres`: the table, if need be with its schema (`metrics.results`).
    pub table: Option<String>,
    /// `websocket`: sent as `Authorization: Bearer`; a secret.
    pub token: Option<String>,
    /// `websocket`: further headers of the handshake; their values are secrets.
    pub headers: Option<BTreeMap<String, String>>,
    /// `websocket`: what says that the server has a result (`pong`).
    pub confirm: Option<WebSocketConfirm>,
    /// `postgres`, `websocket`: results that are written or confirmed together (1000).
    pub batch_size: Option<u32>,
    /// `metrics`: statistics of keys that are shown at most (10000).
    pub max_series: Option<u32>,
    /// `metrics`: how long a key without a new result is shown (the larger of 5 min and two windows).
    pub stale_after_secs: Option<Secs>,
}

/// What says that a WebSocket server has a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebSocketConfirm {
    /// Its pong answers a ping that was sent behind the result: it has read it.
    #[default]
    Pong,
    /// It sends back the `result_id` of the last result that it has dealt with: nothing is lost even if it
    /// dies between reading and dealing with one.
    ResultId,
}

/// How the console shows results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleFormat {
    /// A readable table.
    Table,
    /// One JSON object per line.
    Ndjson,
}

/// Where records go that are in no result.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SideOutputsConfig {
    /// Events too late for every window.
    pub late: Option<SinkConfig>,
    /// Records that cannot be used.
    pub dead_letter: Option<SinkConfig>,
}

impl fmt::Debug for SinkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkConfig")
            .field("kind", &self.kind)
            .field("path", &self.path)
            .field("topic", &self.topic)
            .field("bootstrap_servers", &self.bootstrap_servers.as_deref().map(redact))
            .field("format", &self.format)
            .field("url", &self.url.as_deref().map(redact))
            .field("table", &self.table)
            .field("token", &self.token.as_ref().map(|_| "***"))
            .field(
                "headers",
                &self.headers.as_ref().map(|headers| headers.keys().collect::<Vec<_>>()),
            )
            .field("confirm", &self.confirm)
            .field("batch_size", &self.batch_size)
            .field("max_series", &self.max_series)
            .field("stale_after_secs", &self.stale_after_secs)
            .finish()
    }
}
