//! Keys with their newest result and how one statistic of theirs went: a page at a time.
//!
//! What is shown comes from the ring of committed results alone, so neither the worker nor the store is asked. A key
//! whose results have all left the ring is not in the list; `results` says how many there are to choose from.

use std::{cmp::Ordering, collections::HashMap};

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

use super::{Api, Problem, problem};
use crate::runtime::{LiveResult, Telemetry};

/// Most keys of one answer.
const MAX_LIMIT: usize = 200;
/// Most windows of one key.
const MAX_POINTS: usize = 240;

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
pub(super) struct Keys {
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
    (status = 200, body = Keys), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn keys(State(api): State<Api>, Query(query): Query<KeysQuery>) -> Response {
    // Ten thousand results are looked through: not on the thread that answers probes.
    match tokio::task::spawn_blocking(move || find(api.telemetry(), query)).await {
        Ok(Ok(found)) => Json(found).into_response(),
        Ok(Err((status, why))) => problem(status, why),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn find(telemetry: &Telemetry, query: KeysQuery) -> Result<Keys, (StatusCode, String)> {
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
    let newest = |windows: &Windows| windows.first().and_then(|of| value(of, &statistic));
    if by_value {
        let greater = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => b.total_cmp(&a),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        let cached = keys.iter().map(|(key, windows)| (*key, *windows, newest(windows)));
        let mut valued: Vec<_> = cached.collect();
        valued.sort_unstable_by(|a, b| greater(a.2, b.2).then_with(|| a.0.cmp(b.0)));
        keys = valued.into_iter().map(|(key, windows, _)| (key, windows)).collect();
    } else {
        keys.sort_unstable_by(|a, b| natural(a.0, b.0));
    }
    let (offset, limit) = (query.offset.unwrap_or(0), query.limit.unwrap_or(50).min(MAX_LIMIT));
    let points = query.points.unwrap_or(30).min(MAX_POINTS);
    let page = keys.iter().skip(offset).take(limit);
    Ok(Keys {
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

/// Windows of a key, the newest first, of each the newest revision.
type Windows = Vec<LiveResult>;

/// What the ring holds of a pipeline.
struct Remembered {
    keys: HashMap<String, Windows>,
    results: usize,
}

impl Remembered {
    fn of(telemetry: &Telemetry, pipeline: &str) -> Self {
        let mut remembered = Self { keys: HashMap::new(), results: 0 };
        let Some(live) = &telemetry.live else { return remembered };
        live.recent(|result| {
            remembered.add(result, pipeline);
            true
        });
        let newest_first = |a: &LiveResult, b: &LiveResult| end_text(b).cmp(end_text(a));
        remembered.keys.values_mut().for_each(|windows| windows.sort_by(newest_first));
        remembered
    }

    /// Results come with the newest first: a window that is there already is there in a newer revision.
    fn add(&mut self, live: &LiveResult, pipeline: &str) {
        let Some(result) = live.result().filter(|of| of.record.pipeline == pipeline) else {
            return;
        };
        self.results += 1;
        let window = &result.record.window;
        if !self.keys.contains_key(&window.key) {
            self.keys.insert(window.key.clone(), Vec::new());
        }
        let Some(windows) = self.keys.get_mut(&window.key) else { return };
        let is_it = |other: &LiveResult| {
            let other = other.result().map(|other| &other.record.window);
            other.is_some_and(|other| other.start == window.start && other.end == window.end)
        };
        // Revisions of a window lie close together.
        if windows.len() < MAX_POINTS && !windows.iter().rev().take(16).any(is_it) {
            windows.push(live.clone());
        }
    }

    /// Names of the statistics that are numbers, of any one key: a pipeline has the same for all.
    fn statistics(&self) -> Vec<String> {
        let newest = self.keys.values().filter_map(|windows| windows.first()?.result()).next();
        let results = newest.iter().flat_map(|result| &result.record.results);
        let numbers = results.filter(|(_, value)| value.is_number());
        numbers.map(|(name, _)| name.clone()).collect()
    }
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

/// RFC 3339 in UTC with milliseconds: the order of texts is that of instants.
fn end_text(live: &LiveResult) -> &str {
    live.result().map_or("", |result| result.record.window.end.as_str())
}

fn value(live: &LiveResult, statistic: &str) -> Option<f64> {
    live.result()?.record.results.get(statistic)?.as_f64()
}

/// The statistic that says most: a percentile, best the 95th; else an average; else any.
fn usual(statistics: &[String]) -> String {
    let ends = |end: &str| statistics.iter().find(|name| name.ends_with(end));
    let percentile = |name: &&String| {
        let last = name.rsplit('_').next().unwrap_or_default();
        last.strip_prefix('p').is_some_and(|rest| rest.parse::<f64>().is_ok())
    };
    let found = ends("p95").or_else(|| statistics.iter().rfind(percentile));
    let found = found.or_else(|| ends("average")).or_else(|| statistics.first());
    found.cloned().unwrap_or_default()
}

/// `key-2` before `key-10`: runs of digits compare as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (one, rest_of_left) = chunk(left);
        let (other, rest_of_right) = chunk(right);
        let numbers = (one.parse::<u64>(), other.parse::<u64>());
        let order = match numbers {
            (Ok(one), Ok(other)) => one.cmp(&other),
            _ => one.cmp(other),
        };
        if order != Ordering::Equal || (one.is_empty() && other.is_empty()) {
            return order.then_with(|| a.cmp(b));
        }
        (left, right) = (rest_of_left, rest_of_right);
    }
}

/// The first run of digits, or of anything else.
fn chunk(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|first: char| first.is_ascii_digit());
    let end = text.find(|other: char| other.is_ascii_digit() != digits);
    text.split_at(end.unwrap_or(text.len()))
}
