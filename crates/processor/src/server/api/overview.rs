//! Everything that changes from moment to moment, in one answer: what `processor top` shows.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use crate::{
    metrics::{
        Metrics,
        catalogue::{
            CHECKPOINT_BYTES, CHECKPOINT_DURATION, CHECKPOINTS, LAST_CHECKPOINT_TIMESTAMP,
            MEMORY_LIMIT, Metric, PROCESS_CPU, PROCESS_MEMORY, STAGES, STORE_BYTES,
        },
    },
    runtime::{HealthReport, RunView, SinksView},
    why::PipelineRules,
};

/// A run at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Overview {
    /// Whether it is well.
    pub(crate) health: HealthReport,
    /// Pipelines and partitions, at most a quarter of a second old.
    pub(crate) run: RunView,
    /// How the sinks fare.
    pub(crate) sinks: SinksView,
    /// Quantiles of the last 30 to 60 seconds by stage: `processing`, `event_to_result`, `commit`, and `checkpoint` since the
    /// start; empty without metrics.
    pub(crate) latencies: BTreeMap<String, Quantiles>,
    /// The process; none without metrics.
    pub(crate) process: Option<Process>,
    /// What decides when windows fire.
    pub(crate) rules: Vec<PipelineRules>,
}

/// Quantiles of a duration, in milliseconds.
#[expect(clippy::struct_field_names, reason = "a unit goes last")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Quantiles {
    /// The median.
    pub(crate) p50_ms: f64,
    /// 95 of 100 are shorter.
    pub(crate) p95_ms: f64,
    /// 99 of 100 are shorter.
    pub(crate) p99_ms: f64,
}

/// What the process uses and keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Process {
    /// Resident memory.
    pub(crate) memory_bytes: f64,
    /// What it may use.
    pub(crate) memory_limit_bytes: f64,
    /// Processor time used, of all threads.
    pub(crate) cpu_secs: f64,
    /// Size of the local store on disk.
    pub(crate) store_bytes: f64,
    /// Checkpoints kept by this run.
    pub(crate) checkpoints: u64,
    /// When the newest of them was kept, in seconds since the Unix epoch; 0 before the first.
    pub(crate) last_checkpoint_secs: f64,
    /// Its size.
    pub(crate) checkpoint_bytes: f64,
}

/// Health, pipelines, partitions, sinks, latencies and the process in one answer.
#[utoipa::path(get, path = "/api/v1/overview", tag = "run", responses((status = 200, body = Overview)))]
pub(super) async fn overview(State(api): State<Api>) -> Json<Overview> {
    let telemetry = api.telemetry();
    let metrics = telemetry.metrics.as_deref();
    Json(Overview {
        health: telemetry.health.report(),
        run: RunView::clone(&telemetry.view.load()),
        sinks: telemetry.sinks.view(),
        latencies: metrics.map(latencies).unwrap_or_default(),
        process: metrics.map(process),
        rules: api.parts.rules.clone(),
    })
}

fn latencies(metrics: &Metrics) -> BTreeMap<String, Quantiles> {
    let quantiles = |(name, metric): (&str, Metric)| {
        let [p50_ms, p95_ms, p99_ms] = metrics.durations(&metric).quantiles_ms()?;
        Some((name.to_owned(), Quantiles { p50_ms, p95_ms, p99_ms }))
    };
    STAGES.into_iter().chain([("checkpoint", CHECKPOINT_DURATION)]).filter_map(quantiles).collect()
}

fn process(metrics: &Metrics) -> Process {
    let gauge = |metric: &Metric| metrics.gauge(metric, &[]).get();
    Process {
        memory_bytes: gauge(&PROCESS_MEMORY),
        memory_limit_bytes: gauge(&MEMORY_LIMIT),
        cpu_secs: metrics.seconds(&PROCESS_CPU, &[]).get(),
        store_bytes: gauge(&STORE_BYTES),
        checkpoints: metrics.counter(&CHECKPOINTS, &[]).get(),
        last_checkpoint_secs: gauge(&LAST_CHECKPOINT_TIMESTAMP),
        checkpoint_bytes: gauge(&CHECKPOINT_BYTES),
    }
}
