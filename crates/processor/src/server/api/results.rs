//! Results that were committed lately, in order, for those who ask again and again.

use axum::{
    Json,
    extract::{Query, State},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use crate::runtime::LiveResult;

/// Most results of one answer.
const MAX_LIMIT: usize = 2_000;

/// Which results.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ResultsQuery {
    /// From this number on: `next` of the answer before. By default the newest `limit`.
    from: Option<u64>,
    /// At most so many (500; at most 2,000).
    limit: Option<usize>,
    /// Of this pipeline; all by default.
    pipeline: Option<String>,
}

/// Results in order.
#[expect(clippy::struct_field_names, reason = "the name on the wire")]
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Results {
    /// What to ask for next.
    next: u64,
    /// Results that went by before they were asked for.
    missed: u64,
    /// Result records as they are written to sinks, the oldest first.
    #[schema(value_type = Vec<Object>)]
    results: Vec<Value>,
}

/// Results that were committed lately by this process, in order: the same as `/api/v1/live` for those who poll.
#[utoipa::path(get, path = "/api/v1/results", tag = "live", params(ResultsQuery), responses((status = 200, body = Results)))]
pub(super) async fn results(
    State(api): State<Api>,
    Query(query): Query<ResultsQuery>,
) -> Json<Results> {
    let limit = query.limit.unwrap_or(500).min(MAX_LIMIT);
    let Some(live) = &api.telemetry().live else {
        return Json(Results { next: 0, missed: 0, results: Vec::new() });
    };
    let (heard, next) = live.read(query.from, limit);
    let is_wanted = |result: &&LiveResult| {
        let of = result.result().map(|result| &result.record.pipeline);
        query.pipeline.is_none() || query.pipeline.as_ref() == of
    };
    let json = |result: &LiveResult| serde_json::from_slice(&result.result()?.json).ok();
    let results = heard.results.iter().filter(is_wanted).filter_map(json).collect();
    Json(Results { next, missed: heard.missed, results })
}
