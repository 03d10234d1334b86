//! Late events and dead letters: how many, and some of the newest.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Api;

/// A ledger of records that are in no result.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ledger {
    /// How many there are, by pipeline and reason.
    counts: BTreeMap<String, BTreeMap<String, u64>>,
    /// Some of the newest, at most 100: up to four of each batch, the newest last.
    #[schema(value_type = Vec<Object>)]
    samples: Vec<Value>,
}

/// Events too late for every window.
#[utoipa::path(get, path = "/api/v1/late", tag = "ledgers", responses((status = 200, body = Ledger)))]
pub(super) async fn late(State(api): State<Api>) -> Json<Ledger> {
    let view = api.telemetry().view.load();
    let too_late = |count| BTreeMap::from([("too_late".to_owned(), count)]);
    let counts =
        view.pipelines.iter().map(|p| (p.name.clone(), too_late(p.late_dropped))).collect();
    let samples = api
        .telemetry()
        .samples()
        .late
        .iter()
        .filter_map(|s| serde_json::to_value(s).ok())
        .collect();
    Json(Ledger { counts, samples })
}

/// Records that cannot be used.
#[utoipa::path(get, path = "/api/v1/dead-letters", tag = "ledgers", responses((status = 200, body = Ledger)))]
pub(super) async fn dead_letters(State(api): State<Api>) -> Json<Ledger> {
    let view = api.telemetry().view.load();
    let counts = view.pipelines.iter().map(|p| (p.name.clone(), p.dead_letters.clone())).collect();
    let samples = api.telemetry().samples();
    let samples =
        samples.dead_letters.iter().filter_map(|s| serde_json::to_value(s).ok()).collect();
    Json(Ledger { counts, samples })
}
