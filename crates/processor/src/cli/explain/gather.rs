//! What a configuration will do, as data.

use llm_optimizer_config::{
    EffectiveValue, Loaded, NamedPipeline, ProcessorConfig, RecordFormat, Source,
    settings::{EventProfile, EventTimeKind, OffsetReset, StateBackendName},
};
use llm_optimizer_types::{RecordShape, profile};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    args::ExplainArgs,
    memory::{self, MemoryEstimate},
    outputs::{Commits, OutputExplained, outputs},
    windows::{self, WindowsExplained},
    words::{bytes, span},
};
use crate::{
    cli::check::{place_json, warning_json},
    decode::Decoder,
    error::ProcessorResult,
    metrics::memory_limit,
    runtime::{decode_settings, task_plan},
};

/// What a run will do.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    pub(super) config: String,
    pub(super) source: String,
    pub(super) state: String,
    pub(super) commits: String,
    pub(super) http: String,
    pub(super) memory: String,
    pub(super) pipelines: Vec<PipelineExplained>,
    /// What this release does otherwise than the keys promise.
    pub(super) warnings: Vec<Value>,
    /// Every value that is in effect.
    pub(super) values: Vec<Value>,
}

/// What a pipeline will do.
#[derive(Debug, Serialize)]
pub(super) struct PipelineExplained {
    pub(super) name: String,
    pub(super) records: String,
    pub(super) key: String,
    pub(super) windows: WindowsExplained,
    /// Names of the numbers of a result.
    pub(super) statistics: Vec<String>,
    pub(super) outputs: Vec<OutputExplained>,
    pub(super) limits: String,
    pub(super) memory: MemoryEstimate,
}

/// Gathers everything there is to say.
///
/// # Errors
/// [`Config`](crate::ProcessorError::Config) for what this release does not have.
pub(super) fn gather(
    args: &ExplainArgs,
    loaded: &Loaded,
    values: &[EffectiveValue],
) -> ProcessorResult<Explanation> {
    let config = &loaded.config;
    let bounded = args.until_end || config.is_bounded();
    let keeps_state = keeps_state(config);
    let commits = Commits::of(config, keeps_state);
    let pipelines = config.pipelines();
    let pipelines =
        pipelines.iter().map(|pipeline| explain_pipeline(args, pipeline, bounded, commits));
    Ok(Explanation {
        config: args.config.display().to_string(),
        source: source(config, args.until_end),
        state: state(config, keeps_state, args.new_state),
        commits: when_committed(config, commits),
        http: http(config, bounded),
        memory: memory(config),
        pipelines: pipelines.collect::<ProcessorResult<_>>()?,
        warnings: loaded.warnings.iter().map(warning_json).collect(),
        values: with_flags(args, values),
    })
}

fn explain_pipeline(
    args: &ExplainArgs,
    pipeline: &NamedPipeline,
    bounded: bool,
    commits: Commits,
) -> ProcessorResult<PipelineExplained> {
    let config = &pipeline.config;
    let decoder = Decoder::new(decode_settings(config, bounded));
    let plan = task_plan(config, decoder.value_names(), bounded)?;
    let built_in = plan.aggregation.statistics().iter().map(|statistic| statistic.name.clone());
    let further = config.aggregation.further().unwrap_or_default();
    let statistics = built_in.chain(further.into_iter().map(|statistic| statistic.name));
    let limits = &config.limits;
    Ok(PipelineExplained {
        name: pipeline.name.clone(),
        records: records(config, decoder.value_names()),
        key: key(config),
        windows: windows::explain(config, args.at, bounded)?,
        statistics: statistics.collect(),
        outputs: outputs(config, commits),
        limits: format!(
            "at most {} keys (further ones are counted together under __overflow__), {} open windows per key \
             (further ones are dead letters), {} per record",
            super::words::count(limits.max_keys),
            super::words::count(limits.max_windows_per_key),
            bytes(limits.max_record_bytes)
        ),
        memory: memory::estimate(config, args.keys)?,
    })
}

/// Whether a run that does not read Kafka keeps its state.
fn keeps_state(config: &ProcessorConfig) -> bool {
    match &config.state {
        Some(state) => state.backend != StateBackendName::Memory,
        None => !config.is_bounded(),
    }
}

fn source(config: &ProcessorConfig, until_end: bool) -> String {
    let text = |format: &RecordFormat| match format {
        RecordFormat::Ndjson => "NDJSON",
        RecordFormat::Csv(_) => "CSV",
    };
    match config.source() {
        Err(reason) => reason.to_string(),
        Ok(Source::File { path, format, follow }) => {
            let end = if follow { "goes on with what is appended" } else { "ends with the file" };
            format!("reads {} as {}, and {end}", path.display(), text(&format))
        }
        Ok(Source::Stdin { format }) => {
            format!(
                "reads standard input as {} until it closes; what was read and not committed is lost by a crash",
                text(&format)
            )
        }
        Ok(Source::Generator(generator)) => match generator.max_events {
            Some(events) => format!("makes {events} events of seed {}", generator.seed),
            None => format!(
                "makes {} events per second of seed {}, without end",
                generator.events_per_sec, generator.seed
            ),
        },
        Ok(Source::Kafka) => kafka(config, until_end),
        Ok(Source::Http(_)) => {
            "takes records at POST /v1/events; they are on disk before the answer".into()
        }
        Ok(Source::Otlp(_)) => {
            "takes spans at POST /v1/traces; they are on disk before the answer".into()
        }
    }
}

fn kafka(config: &ProcessorConfig, until_end: bool) -> String {
    let consumer = &config.kafka.consumer;
    let begin = match consumer.auto_offset_reset {
        OffsetReset::Earliest => "the oldest record",
        OffsetReset::Latest => "what comes from now on",
    };
    let end = if until_end { "; ends at the offsets that are the ends at its start" } else { "" };
    format!(
        "reads the topics {} at {} as group {}, alone: it counts while it has all partitions; the first start begins \
         with {begin}, every other one where the last commit ended{end}",
        consumer.topics.join(", "),
        redacted(&consumer.bootstrap_servers),
        consumer.group_id
    )
}

/// Brokers without passwords.
fn redacted(brokers: &str) -> String {
    let one = |broker: &str| broker.rsplit_once('@').map_or(broker, |(_, host)| host).to_owned();
    brokers.split(',').map(one).collect::<Vec<_>>().join(",")
}

fn records(config: &ProcessorConfig, values: &[String]) -> String {
    let event = &config.event;
    let kind = match event.profile {
        EventProfile::FeedbackEvent => "records of the Collector and its peers",
        EventProfile::Cloudevents => "CloudEvents 1.0",
        EventProfile::GenAi => "OpenTelemetry gen_ai spans",
        EventProfile::Custom => "any JSON or CSV records",
    };
    let time = match (event.time, &event.timestamp) {
        (EventTimeKind::Event, Some(path)) => format!("time from `{path}`"),
        (EventTimeKind::Event, None) => match event.profile {
            EventProfile::Cloudevents => "time from `time`".into(),
            _ => "time from `timestamp`".into(),
        },
        (EventTimeKind::Ingestion, _) => "time when the log appended the record".into(),
        (EventTimeKind::Processing, _) => "time when the record was read".into(),
    };
    let values = if values.is_empty() {
        "events are only counted".into()
    } else {
        match &event.values {
            Some(fields) => {
                let field = |(name, path): &(String, String)| format!("{name} from `{path}`");
                format!("values: {}", fields.0.iter().map(field).collect::<Vec<_>>().join(", "))
            }
            None => format!("values: {}", default_values(config)),
        }
    };
    format!("{kind}; {time}; {values}")
}

fn key(config: &ProcessorConfig) -> String {
    match &config.event.key {
        None => default_keys(config),
        Some(paths) if paths.is_empty() => "none: all events together".into(),
        Some(paths) => paths.join(", "),
    }
}

/// Shapes of records whose key and value a profile knows, by the name of their type.
const SHAPES: [(RecordShape, &str); 7] = [
    (RecordShape::PerformanceMetrics, "performance_metrics"),
    (RecordShape::UserFeedback, "user_feedback"),
    (RecordShape::ModelResponse, "model_response"),
    (RecordShape::SystemHealth, "system_health"),
    (RecordShape::ExperimentResult, "experiment_result"),
    (RecordShape::SharedFeedback, "shared feedback event"),
    (RecordShape::MetricPoint, "metric point"),
];

/// The key where none is written.
fn default_keys(config: &ProcessorConfig) -> String {
    let paths = |shape| {
        let sets = profile::default_key(shape).iter().map(|set| set.join(" and "));
        sets.collect::<Vec<_>>().join(", else ")
    };
    match config.event.profile {
        EventProfile::FeedbackEvent => by_shape(paths),
        EventProfile::Cloudevents => paths(RecordShape::CloudEvent),
        EventProfile::GenAi => "model and operation, else model".into(),
        EventProfile::Custom => "none: all events together".into(),
    }
}

/// The value where none is written.
fn default_values(config: &ProcessorConfig) -> String {
    let path = |shape| profile::default_value(shape).to_owned();
    match config.event.profile {
        EventProfile::FeedbackEvent => by_shape(path),
        EventProfile::Cloudevents => path(RecordShape::CloudEvent),
        EventProfile::GenAi => "duration_ms".into(),
        EventProfile::Custom => "none".into(),
    }
}

fn by_shape(of: impl Fn(RecordShape) -> String) -> String {
    let one = |(shape, name): (RecordShape, &str)| format!("{} ({name})", of(shape));
    SHAPES.map(one).join("; ")
}

fn state(config: &ProcessorConfig, keeps_state: bool, new_state: bool) -> String {
    let state = config.state.clone().unwrap_or_default();
    let backend = match state.backend {
        StateBackendName::Memory => "memory",
        StateBackendName::Redb => "redb",
        StateBackendName::Rocksdb => "RocksDB",
    };
    let path = state.path.display();
    let afresh = if new_state {
        "; this run begins with an empty one, the old one is kept beside it"
    } else {
        ""
    };
    let is_kafka = matches!(config.source(), Ok(Source::Kafka));
    match (is_kafka, keeps_state || state.backend != StateBackendName::Memory) {
        (true, true) => format!(
            "in changelog topics of the group; a copy for faster starts in {path} ({backend}){afresh}"
        ),
        (true, false) => format!("in changelog topics of the group, with no local copy{afresh}"),
        (false, _) if !keeps_state => {
            "in memory: every run begins at the start of its input".into()
        }
        (false, _) => {
            let folder = state.checkpoint_path.unwrap_or_else(|| state.path.join("checkpoints"));
            let every = span(config.checkpoint_interval_secs.as_millis());
            let (retain, folder) = (state.checkpoint_retain, folder.display());
            format!(
                "in {path} ({backend}); a checkpoint every {every} in {folder}, the newest {retain} are kept{afresh}"
            )
        }
    }
}

fn when_committed(config: &ProcessorConfig, commits: Commits) -> String {
    let millis = |ms: u64| span(i64::try_from(ms).unwrap_or(i64::MAX));
    let often = format!(
        "results are committed {} after they fire at the earliest, everything else every {}, or at {}",
        millis(config.commit_min_interval_ms),
        millis(config.commit_interval_ms),
        bytes(config.max_commit_bytes)
    );
    let what = match commits {
        Commits::Kafka(_) => "in a Kafka transaction with positions and state",
        Commits::Embedded => "in one synced write of the local store with positions and state",
        Commits::Nothing => "to the sinks alone, nothing is kept",
    };
    format!("{often}; {what}")
}

fn http(config: &ProcessorConfig, bounded: bool) -> String {
    let http = config.http.clone().unwrap_or_default();
    if bounded && config.http.is_none() {
        return "none: this run ends by itself and `http` is not written".into();
    }
    let token = match http.token {
        Some(_) => "changes need the token",
        None => "changes are taken from this machine only",
    };
    format!("http://{} with health, metrics and API; {token}", http.bind)
}

fn memory(config: &ProcessorConfig) -> String {
    match (config.limits.memory_bytes, memory_limit(config.limits.memory_bytes)) {
        (Some(limit), _) => format!("{} by limits.memory_bytes", bytes(limit)),
        (None, Some(found)) => format!(
            "{} are there for this process; keys and windows are what is bounded, see `limits` of each pipeline",
            bytes(found)
        ),
        (None, None) => "nobody says how much there is".into(),
    }
}

/// Every value with its origin; flags of this command line are values too.
fn with_flags(args: &ExplainArgs, values: &[EffectiveValue]) -> Vec<Value> {
    let flag = |name: &str| json!({ "path": name, "value": true, "origin": { "flag": name } });
    let flags = [(args.until_end, "--until-end"), (args.new_state, "--new-state")];
    let flags = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| flag(name));
    let value = |one: &EffectiveValue| {
        let default = || json!({ "default": true });
        let origin = one.origin.as_ref().map_or_else(default, place_json);
        json!({ "path": one.path, "value": one.value, "origin": origin })
    };
    values.iter().map(value).chain(flags).collect()
}
