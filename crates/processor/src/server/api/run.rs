//! Pipelines, partitions, watermarks and the configuration.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Api, Problem, problem};
use crate::runtime::{PartitionView, PipelineView, RunView};

/// The run and its pipelines, as they were at most a quarter of a second ago.
#[utoipa::path(get, path = "/api/v1/pipelines", tag = "run", responses((status = 200, body = RunView)))]
pub(super) async fn pipelines(State(api): State<Api>) -> Json<RunView> {
    Json(RunView::clone(&api.telemetry().view.load()))
}

/// One pipeline.
#[utoipa::path(get, path = "/api/v1/pipelines/{name}", tag = "run",
    params(("name" = String, Path, description = "name of the pipeline")),
    responses((status = 200, body = PipelineView), (status = 404, body = Problem)))]
pub(super) async fn pipeline(State(api): State<Api>, Path(name): Path<String>) -> Response {
    let view = api.telemetry().view.load();
    match view.pipelines.iter().find(|pipeline| pipeline.name == name) {
        Some(pipeline) => Json(pipeline.clone()).into_response(),
        None => problem(StatusCode::NOT_FOUND, format!("there is no pipeline `{name}`")),
    }
}

/// A partition and the pipeline that sees it so.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PartitionOf {
    /// The pipeline.
    pipeline: String,
    #[serde(flatten)]
    partition: PartitionView,
}

/// The partitions that are read, once per pipeline.
#[utoipa::path(get, path = "/api/v1/partitions", tag = "run", responses((status = 200, body = Vec<PartitionOf>)))]
pub(super) async fn partitions(State(api): State<Api>) -> Json<Vec<PartitionOf>> {
    let view = api.telemetry().view.load();
    let of = |pipeline: &PipelineView| {
        let name = pipeline.name.clone();
        let partitions = pipeline.partitions.clone().into_iter();
        partitions.map(move |partition| PartitionOf { pipeline: name.clone(), partition })
    };
    Json(view.pipelines.iter().flat_map(of).collect())
}

/// A watermark and who holds it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WatermarkOf {
    /// The pipeline.
    pipeline: String,
    /// W in epoch milliseconds; none before the first event.
    watermark_ms: Option<i64>,
    /// Clock minus W.
    watermark_lag_ms: Option<i64>,
    /// Partitions on which W waits.
    held_by: Vec<PartitionView>,
    /// How many partitions are idle, and hold nothing.
    idle_partitions: usize,
}

/// The watermark of each pipeline, and which partitions hold it where it is.
#[utoipa::path(get, path = "/api/v1/watermarks", tag = "run", responses((status = 200, body = Vec<WatermarkOf>)))]
pub(super) async fn watermarks(State(api): State<Api>) -> Json<Vec<WatermarkOf>> {
    let view = api.telemetry().view.load();
    let of = |pipeline: &PipelineView| WatermarkOf {
        pipeline: pipeline.name.clone(),
        watermark_ms: pipeline.watermark_ms,
        watermark_lag_ms: pipeline.watermark_lag_ms,
        held_by: pipeline.partitions.iter().filter(|p| p.holds_watermark).cloned().collect(),
        idle_partitions: pipeline.partitions.iter().filter(|p| p.is_idle).count(),
    };
    Json(view.pipelines.iter().map(of).collect())
}

/// The configuration with defaults filled in and secrets masked.
#[utoipa::path(get, path = "/api/v1/configuration", tag = "run", responses((status = 200, body = Object)))]
pub(super) async fn configuration(State(api): State<Api>) -> Json<Value> {
    Json(api.parts.configuration.clone())
}
