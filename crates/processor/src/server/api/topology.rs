//! What the run consists of, resolved: source, pipelines, where results and side records go.

use axum::{Json, extract::State};
use llm_optimizer_config::{
    NamedPipeline, PostgresSpec, ProcessorConfig, ResultSinkSpec, SideSinkSpec, Source,
    WebSocketSpec, WindowSettings, settings::EventProfile,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;

/// The parts of a run, as its configuration names them; no addresses that may hold secrets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Topology {
    /// Where records come from.
    source: Place,
    /// The pipelines in the order of the configuration.
    pipelines: Vec<PipelineParts>,
}

/// A source, a sink or a side output.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Place {
    /// `kafka`, `file`, `stdin`, `generator`, `http`, `otlp`, `console`, `postgres`, `websocket`, `metrics`.
    kind: &'static str,
    /// Topic, path, table or host; empty where there is only one of the kind.
    name: String,
}

/// One pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PipelineParts {
    /// Its name.
    name: String,
    /// How records are read: `feedback_event`, `cloudevents`, `gen_ai`, `custom`.
    profile: &'static str,
    /// Paths of the key fields; empty = those of the profile.
    key: Vec<String>,
    /// Names of the values; empty = that of the profile.
    values: Vec<String>,
    /// Its windows.
    window: WindowParts,
    /// Where results go.
    sinks: Vec<Place>,
    /// Where late events go; none = they are only counted.
    late: Option<Place>,
    /// Where records go that cannot be used; none = they are only counted.
    dead_letter: Option<Place>,
}

/// The windows of a pipeline; spans in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WindowParts {
    /// `tumbling`, `sliding` or `session`.
    kind: &'static str,
    /// Length; of sessions the silence that ends one.
    size_ms: i64,
    /// Distance between starts of sliding windows.
    slide_ms: Option<i64>,
    /// How long after its end a window takes late events.
    allowed_lateness_ms: i64,
}

impl Topology {
    /// The parts that `config` names.
    #[must_use]
    pub fn of(config: &ProcessorConfig) -> Self {
        let source = config.source().map(|source| source_place(&source, config));
        Self {
            source: source.unwrap_or_default(),
            pipelines: config.pipelines().iter().map(PipelineParts::of).collect(),
        }
    }
}

impl PipelineParts {
    fn of(named: &NamedPipeline) -> Self {
        let config = &named.config;
        let values = config.event.values.iter().flat_map(|values| &values.0);
        // What cannot be used was refused before the run began.
        let side = |sink: Option<SideSinkSpec>| sink.map(|sink| side_place(&sink));
        Self {
            name: named.name.clone(),
            profile: match config.event.profile {
                EventProfile::FeedbackEvent => "feedback_event",
                EventProfile::Cloudevents => "cloudevents",
                EventProfile::GenAi => "gen_ai",
                EventProfile::Custom => "custom",
            },
            key: config.event.key.clone().unwrap_or_default(),
            values: values.map(|(name, _)| name.clone()).collect(),
            window: WindowParts::of(config.window()),
            sinks: config.sinks().unwrap_or_default().iter().map(sink_place).collect(),
            late: side(config.late_output().ok().flatten()),
            dead_letter: side(config.dead_letter_output().ok().flatten()),
        }
    }
}

impl WindowParts {
    fn of(window: WindowSettings) -> Self {
        match window {
            WindowSettings::Tumbling { size_ms, lateness_ms, .. } => {
                Self { kind: "tumbling", size_ms, slide_ms: None, allowed_lateness_ms: lateness_ms }
            }
            WindowSettings::Sliding { size_ms, slide_ms, lateness_ms, .. } => Self {
                kind: "sliding",
                size_ms,
                slide_ms: Some(slide_ms),
                allowed_lateness_ms: lateness_ms,
            },
            WindowSettings::Session { gap_ms, lateness_ms } => Self {
                kind: "session",
                size_ms: gap_ms,
                slide_ms: None,
                allowed_lateness_ms: lateness_ms,
            },
        }
    }
}

fn source_place(source: &Source, config: &ProcessorConfig) -> Place {
    let (kind, name) = match source {
        Source::File { path, .. } => ("file", path.display().to_string()),
        Source::Stdin { .. } => ("stdin", String::new()),
        Source::Kafka => ("kafka", config.kafka.consumer.topics.join(", ")),
        Source::Generator(_) => ("generator", String::new()),
        Source::Http(_) => ("http", "POST /v1/events".into()),
        Source::Otlp(_) => ("otlp", "POST /v1/traces".into()),
    };
    Place { kind, name }
}

fn sink_place(sink: &ResultSinkSpec) -> Place {
    let (kind, name) = match sink {
        ResultSinkSpec::Console { .. } => ("console", String::new()),
        ResultSinkSpec::File { path } => ("file", path.display().to_string()),
        ResultSinkSpec::Kafka { topic, .. } => ("kafka", topic.clone()),
        ResultSinkSpec::Postgres(PostgresSpec { table, .. }) => ("postgres", table.quoted()),
        ResultSinkSpec::WebSocket(WebSocketSpec { url, .. }) => ("websocket", host(url).into()),
        ResultSinkSpec::Metrics { .. } => ("metrics", String::new()),
    };
    Place { kind, name }
}

fn side_place(sink: &SideSinkSpec) -> Place {
    match sink {
        SideSinkSpec::File { path } => Place { kind: "file", name: path.display().to_string() },
        SideSinkSpec::Kafka { topic, .. } => Place { kind: "kafka", name: topic.clone() },
    }
}

/// The host of an address, without user, password, path and query.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// What the run consists of, with defaults filled in.
#[utoipa::path(get, path = "/api/v1/topology", tag = "run", responses((status = 200, body = Topology)))]
pub(super) async fn topology(State(api): State<Api>) -> Json<Topology> {
    Json(api.parts.topology.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_says_what_it_inherits_and_no_secret() {
        let yaml = "processor:
  source: { type: generator }
  event: { profile: custom, timestamp: t, key: [model], values: { ms: latency_ms } }
  windows: { tumbling: { size_secs: 5, allowed_lateness_secs: 2 } }
  sinks: [ { type: websocket, url: 'wss://user:pass@feed.example:8443/in?token=t' }, { type: postgres, url: 'postgres://u:p@db/x', table: metrics.results } ]
  side_outputs: { late: { type: file, path: late.ndjson } }
  pipelines: [ { name: calls }, { name: slow, sinks: [ { type: console } ] } ]
";
        let loaded = llm_optimizer_config::load_str(yaml, "test.yaml", None).unwrap();
        let topology = Topology::of(&loaded.config);
        assert_eq!(topology.source.kind, "generator");
        let [calls, slow] = topology.pipelines.as_slice() else { panic!("{topology:?}") };
        assert_eq!((calls.name.as_str(), calls.key.join("/")), ("calls", "model".into()));
        assert_eq!((calls.window.kind, calls.window.size_ms), ("tumbling", 5_000));
        assert_eq!(calls.sinks[0].name, "feed.example:8443");
        assert!(slow.sinks[0].kind == "console" && slow.late == calls.late);
        assert_eq!(calls.dead_letter, None);
        let text = serde_json::to_string(&topology).unwrap();
        assert!(
            !text.contains("pass") && !text.contains("token=t") && !text.contains("u:p"),
            "{text}"
        );
    }
}
