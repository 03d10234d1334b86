//! Why a window has not fired, or what holds the watermark back.

use std::time::Duration;

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::DateTime;
use serde::Deserialize;
use tokio::sync::oneshot;
use utoipa::IntoParams;

use super::{Api, Problem, problem, windows::instant};
use crate::{
    runtime::{OpenWindowView, Question, WindowsQuestion},
    why::{Asked, Facts, FiredWindow, PipelineRules, Why, WindowFacts, judge},
};

/// How long the worker is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Windows of a pipeline that are looked at.
const MAX_WINDOWS: usize = 1_000;
/// Recent results of a pipeline that are looked at.
const MAX_FIRED: usize = 100;

/// What is asked about.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhyQuery {
    /// This pipeline; all by default.
    pipeline: Option<String>,
    /// Windows of this key, as in results: `service=chat::model=gpt-4o`.
    key: Option<String>,
    /// The window that holds this instant (RFC 3339 or epoch milliseconds), or exactly the one of `start/end`; by default the
    /// next one to fire.
    window: Option<String>,
}

/// Why a window has not fired, or what holds the watermark back now: a verdict per pipeline, with its numbers and what to do.
/// Always 200, also when the answer is that nothing is wrong.
#[utoipa::path(get, path = "/api/v1/why", tag = "run", params(WhyQuery), responses(
    (status = 200, body = Why), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn why(State(api): State<Api>, Query(query): Query<WhyQuery>) -> Response {
    let asked = match asked(&query) {
        Ok(asked) => asked,
        Err(wrong) => return problem(StatusCode::BAD_REQUEST, wrong),
    };
    let is_asked =
        |rules: &&PipelineRules| query.pipeline.as_ref().is_none_or(|name| *name == rules.pipeline);
    let rules: Vec<&PipelineRules> = api.parts.rules.iter().filter(is_asked).collect();
    if let (Some(name), []) = (&query.pipeline, rules.as_slice()) {
        return problem(StatusCode::NOT_FOUND, format!("there is no pipeline `{name}`"));
    }
    let telemetry = api.telemetry();
    let mut windows = Vec::new();
    for rules in &rules {
        windows.push(WindowFacts {
            open: open(&api, &rules.pipeline, &asked).await,
            fired: fired(&api, &rules.pipeline, &asked),
        });
    }
    // What was answered is no older than the picture.
    let (view, earlier) = (telemetry.view.load(), telemetry.history.earlier());
    let (health, sinks) = (telemetry.health.report(), telemetry.sinks.view());
    let facts = Facts { view: &view, earlier: &earlier, health: &health, sinks: &sinks };
    let verdicts = rules.iter().zip(&windows);
    let pipelines =
        verdicts.map(|(rules, windows)| judge(&facts, rules, windows, &asked)).collect();
    Json(Why { at_ms: view.at_ms, status: health.status.clone(), pipelines }).into_response()
}

fn asked(query: &WhyQuery) -> Result<Asked, String> {
    let mut asked = Asked { key: query.key.clone(), ..Asked::default() };
    let Some(window) = query.window.as_deref() else { return Ok(asked) };
    let ms = |text: &str| {
        let what = "no instant; write RFC 3339, epoch milliseconds, or two of them as `start/end`";
        instant(Some(text), 0).map_err(|wrong| format!("`{wrong}` is {what}"))
    };
    match window.split_once('/') {
        Some((start, end)) => (asked.at_ms, asked.end_ms) = (Some(ms(start)?), Some(ms(end)?)),
        None => asked.at_ms = Some(ms(window)?),
    }
    Ok(asked)
}

/// Asks the worker; `None` if it does not answer in time, as while state is read back.
async fn open(api: &Api, pipeline: &str, asked: &Asked) -> Option<Vec<OpenWindowView>> {
    let telemetry = api.telemetry();
    if !telemetry.health.report().started {
        return None;
    }
    let (from_ms, to_ms) = match (asked.at_ms, asked.end_ms) {
        (Some(at), Some(end)) => (at, end.max(at.saturating_add(1))),
        (Some(at), None) => (at, at.saturating_add(1)),
        _ if asked.key.is_some() => (i64::MIN, i64::MAX),
        // Those that have not fired.
        _ => {
            let view = telemetry.view.load();
            let known = view.pipelines.iter().find(|known| known.name == pipeline);
            (known.and_then(|known| known.watermark_ms).unwrap_or(i64::MIN), i64::MAX)
        }
    };
    let wanted = WindowsQuestion {
        pipeline: Some(pipeline.to_owned()),
        key: asked.key.clone(),
        from_ms,
        to_ms,
        limit: MAX_WINDOWS,
    };
    let (reply, answer) = oneshot::channel();
    if !telemetry.ask(Question::Windows(wanted, reply)) {
        return None;
    }
    tokio::time::timeout(PATIENCE, answer).await.ok()?.ok()
}

fn fired(api: &Api, pipeline: &str, asked: &Asked) -> Vec<FiredWindow> {
    let mut found = Vec::new();
    let Some(live) = api.telemetry().live.as_ref().filter(|_| asked.is_certain()) else {
        return found;
    };
    let ms = |text: &str| DateTime::parse_from_rfc3339(text).map(|at| at.timestamp_millis()).ok();
    live.recent(|result| {
        let Some(record) = result.result().map(|result| &result.record) else { return true };
        let is_key = asked.key.as_ref().is_none_or(|key| *key == record.window.key);
        if record.pipeline == pipeline
            && is_key
            && let (Some(start_ms), Some(end_ms)) =
                (ms(&record.window.start), ms(&record.window.end))
            && asked.at_ms.is_none_or(|at| (start_ms..end_ms).contains(&at))
        {
            found.push(FiredWindow {
                start_ms,
                end_ms,
                key: record.window.key.clone(),
                revision: record.pane.revision,
                timestamp: record.timestamp.clone(),
                events: record.results.get("count").and_then(serde_json::Value::as_u64),
            });
        }
        found.len() < MAX_FIRED
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(window: &str) -> Result<(Option<i64>, Option<i64>), String> {
        let query = WhyQuery { pipeline: None, key: None, window: Some(window.into()) };
        asked(&query).map(|asked| (asked.at_ms, asked.end_ms))
    }

    #[test]
    fn a_window_is_an_instant_or_a_span() {
        assert_eq!(asks("1000"), Ok((Some(1_000), None)));
        assert_eq!(asks("1970-01-01T00:00:01Z/2000"), Ok((Some(1_000), Some(2_000))));
        assert!(asks("noon").unwrap_err().contains("RFC 3339"));
    }
}
