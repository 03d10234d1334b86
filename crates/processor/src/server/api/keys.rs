//! Keys with their newest result and how one statistic of theirs went: a page at a time.
//!
//! What is shown comes from the ring of committed results alone, so neither the worker nor the store is asked. A key
//! whose results have all left the ring is not in the list; `results` says how many there are to choose from.

use std::cmp::Reverse;

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    Api, Problem,
    order::{natural, usual},
    problem,
    remembered::{MAX_POINTS, Remembered, Windows, end_text, value},
};
use crate::runtime::{LiveResult, Telemetry};

/// Most keys of one answer.
const MAX_LIMIT: usize = 200;

/// Which keys.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct KeysQuery {
    /// Of this pipeline; the first by default.
    pipeline: Option<String>,
    /// Whose name holds this text, in any case.
    search: Option<String>,
    /// The statistic whose values are shown over time; by default `p95`, else the first percentile, average or statistic there is.
    statistic: Option<String>,
    /// `key` (default), or `value`: the newest value of the statistic, the greatest first.
    sort: Option<String>,
    /// How many keys are passed over (0).
    offset: Option<usize>,
    /// At most so many keys (50; at most 200).
    limit: Option<usize>,
    /// At most so many windows of each (30; at most 240).
    points: Option<usize>,
}

/// A page of keys.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyPage {
    /// Their pipeline.
    pipeline: String,
    /// The statistic that is shown over time.
    statistic: String,
    /// Statistics there are.
    statistics: Vec<String>,
    /// Keys that fit the question, on all pages.
    total: usize,
    /// Keys with results that are still remembered, whatever was searched for.
    known: usize,
    /// Results of the pipeline that are still remembered.
    results: usize,
    /// How many keys were passed over.
    offset: usize,
    /// The keys of this page.
    keys: Vec<KeyRow>,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyRow {
    /// The key as in results.
    key: String,
    /// Its newest result by window, as it is written to sinks.
    #[schema(value_type = Object)]
    newest: Value,
    /// Windows over time, the oldest first; of each the newest revision.
    series: Vec<KeyPoint>,
}

/// One window of a key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyPoint {
    /// Its end, in epoch milliseconds.
    end_ms: i64,
    /// The statistic; none if it has no value.
    value: Option<f64>,
}

/// Keys whose results were committed lately, a page at a time, each with a series for a sparkline.
#[utoipa::path(get, path = "/api/v1/keys", tag = "windows", params(KeysQuery), responses(
    (status = 200, body = KeyPage), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn keys(State(api): State<Api>, Query(query): Query<KeysQuery>) -> Response {
    // Ten thousand results are looked through: not on the thread that answers probes.
    match tokio::task::spawn_blocking(move || find(api.telemetry(), query)).await {
        Ok(Ok(found)) => Json(found).into_response(),
        Ok(Err((status, why))) => problem(status, why),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn find(telemetry: &Telemetry, query: KeysQuery) -> Result<KeyPage, (StatusCode, String)> {
    let view = telemetry.view.load();
    let named = query.pipeline.as_deref();
    let pipeline = match view.pipelines.iter().find(|p| named.is_none_or(|name| name == p.name)) {
        Some(pipeline) => pipeline.name.clone(),
        None => match query.pipeline {
            Some(name) if !view.pipelines.is_empty() => {
                return Err((StatusCode::NOT_FOUND, format!("there is no pipeline `{name}`")));
            }
            // The worker has not looked yet.
            asked => asked.unwrap_or_default(),
        },
    };
    let by_value = match query.sort.as_deref() {
        None | Some("key") => false,
        Some("value") => true,
        Some(_) => return Err((StatusCode::BAD_REQUEST, "sort is `key` or `value`".into())),
    };
    let remembered = Remembered::of(telemetry, &pipeline);
    let statistics = remembered.statistics();
    let statistic = query.statistic.unwrap_or_else(|| usual(&statistics));
    let search = query.search.unwrap_or_default().to_lowercase();
    let mut keys: Vec<(&str, &Windows)> = remembered
        .keys
        .iter()
        .filter(|(key, _)| search.is_empty() || key.to_lowercase().contains(&search))
        .map(|(key, windows)| (key.as_str(), windows))
        .collect();
    keys.sort_unstable_by(|a, b| natural(a.0, b.0));
    if by_value {
        let newest = |windows: &Windows| windows.first().and_then(|of| value(of, &statistic));
        // Those without a value come last.
        keys.sort_by_cached_key(|(_, windows)| Reverse(newest(windows).map(ordered)));
    }
    let (offset, limit) = (query.offset.unwrap_or(0), query.limit.unwrap_or(50).min(MAX_LIMIT));
    let points = query.points.unwrap_or(30).min(MAX_POINTS);
    let page = keys.iter().skip(offset).take(limit);
    Ok(KeyPage {
        total: keys.len(),
        known: remembered.keys.len(),
        results: remembered.results,
        offset,
        keys: page.map(|(key, windows)| row(key, windows, &statistic, points)).collect(),
        pipeline,
        statistic,
        statistics,
    })
}

fn row(key: &str, windows: &Windows, statistic: &str, points: usize) -> KeyRow {
    let newest = windows.first().and_then(LiveResult::result);
    let newest = newest.and_then(|result| serde_json::from_slice(&result.json).ok());
    let point = |live: &LiveResult| {
        let end = DateTime::parse_from_rfc3339(end_text(live)).ok()?;
        Some(KeyPoint { end_ms: end.timestamp_millis(), value: value(live, statistic) })
    };
    let mut series: Vec<KeyPoint> = windows.iter().take(points).filter_map(point).collect();
    series.reverse();
    KeyRow { key: key.to_owned(), newest: newest.unwrap_or_default(), series }
}

/// A number whose order as an integer is that of the number.
fn ordered(value: f64) -> i64 {
    let bits = value.to_bits().cast_signed();
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::ordered;

    #[test]
    fn integers_have_the_order_of_their_numbers() {
        let sorted = [f64::MIN, -2.5, -1.0, -0.0, 0.0, 1e-300, 1.0, 2.5, f64::MAX];
        assert!(sorted.windows(2).all(|pair| ordered(pair[0]) < ordered(pair[1])));
    }
}
