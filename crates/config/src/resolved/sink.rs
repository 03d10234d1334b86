//! Where results, late events and dead letters go.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use super::Unusable;
use crate::redact::redact;
use crate::settings::{ConsoleFormat, ProcessorConfig, SinkConfig, SinkType};

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
    /// [`Unusable::Missing`] for a file without `path`, [`Unusable::NotInThisRelease`] for the
    /// types `postgres`, `websocket` and `metrics`.
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
            SinkType::Postgres => Err(later(&at, "the Postgres sink")),
            SinkType::Websocket => Err(later(&at, "the WebSocket sink")),
            SinkType::Metrics => Err(later(&at, "the metrics sink")),
        }
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

fn later(at: &str, feature: &'static str) -> Unusable {
    Unusable::NotInThisRelease { path: format!("{at}.type"), feature }
}

impl fmt::Debug for ResultSinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Console { format } => f.debug_struct("Console").field("format", format).finish(),
            Self::File { path } => f.debug_struct("File").field("path", path).finish(),
            Self::Kafka { bootstrap_servers, topic } => kafka_debug(f, bootstrap_servers, topic),
        }
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
