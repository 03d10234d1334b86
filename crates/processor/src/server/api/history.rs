//! The run over the last quarter of an hour.

use axum::{
    Json,
    extract::{Query, State},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use crate::runtime::HistoryView;

/// Which points.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// Only points that were taken after this instant, in epoch milliseconds; all by default.
    since_ms: Option<i64>,
}

/// Rates, latencies and watermark lag, one point per second, at most 900.
#[utoipa::path(get, path = "/api/v1/history", tag = "run", params(HistoryQuery),
    responses((status = 200, body = HistoryView)))]
pub(super) async fn history(
    State(api): State<Api>,
    Query(query): Query<HistoryQuery>,
) -> Json<HistoryView> {
    let telemetry = api.telemetry();
    let view = telemetry.view.load();
    Json(telemetry.history.since(query.since_ms.unwrap_or(i64::MIN), &view))
}
