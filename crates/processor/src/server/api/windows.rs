//! Open windows with what they hold, and results that were committed lately.

use std::time::Duration;

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};

use super::{Api, Problem, problem};
use crate::runtime::{LiveResult, OpenWindowView, Question, WindowsQuestion};

/// How long the worker is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most windows of one answer.
const MAX_LIMIT: usize = 1_000;

/// Which windows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WindowsQuery {
    /// Of this pipeline; all by default.
    pipeline: Option<String>,
    /// Of this key, as in results: `service=chat::model=gpt-4o`; all by default.
    key: Option<String>,
    /// That end after this instant: RFC 3339 or epoch milliseconds.
    from: Option<String>,
    /// That begin before this instant.
    to: Option<String>,
    /// `open`, `fired` or `all` (default).
    state: Option<String>,
    /// At most so many of each (100; at most 1,000).
    limit: Option<usize>,
}

/// Windows.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Windows {
    /// Windows that hold data and are not purged, with their statistics so far.
    open: Vec<OpenWindowView>,
    /// Results that were committed lately by this process, the newest first, as they are written to sinks.
    #[schema(value_type = Vec<Object>)]
    fired: Vec<Value>,
}

/// Windows of a key and range: open ones as they are now, and recent results.
#[utoipa::path(get, path = "/api/v1/windows", tag = "windows", params(WindowsQuery), responses(
    (status = 200, body = Windows), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn windows(State(api): State<Api>, Query(query): Query<WindowsQuery>) -> Response {
    let (from_ms, to_ms) =
        match (instant(query.from.as_deref(), i64::MIN), instant(query.to.as_deref(), i64::MAX)) {
            (Ok(from), Ok(to)) => (from, to),
            (Err(wrong), _) | (_, Err(wrong)) => {
                let error =
                    format!("`{wrong}` is no instant; write RFC 3339 or epoch milliseconds");
                return problem(StatusCode::BAD_REQUEST, error);
            }
        };
    let (wants_open, wants_fired) = match query.state.as_deref() {
        None | Some("all") => (true, true),
        Some("open") => (true, false),
        Some("fired") => (false, true),
        Some(_) => return problem(StatusCode::BAD_REQUEST, "state is `open`, `fired` or `all`"),
    };
    let wanted = WindowsQuestion {
        pipeline: query.pipeline,
        key: query.key,
        from_ms,
        to_ms,
        limit: query.limit.unwrap_or(100).min(MAX_LIMIT),
    };
    let fired = if wants_fired { fired(&api, &wanted) } else { Vec::new() };
    let open = if wants_open { open(&api, wanted).await } else { Ok(Vec::new()) };
    match open {
        Ok(open) => Json(Windows { open, fired }).into_response(),
        Err(why) => problem(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

/// Asks the worker, which answers between batches.
async fn open(api: &Api, wanted: WindowsQuestion) -> Result<Vec<OpenWindowView>, &'static str> {
    let (reply, answer) = oneshot::channel();
    if !api.telemetry().ask(Question::Windows(wanted, reply)) {
        return Err("too many questions wait for the worker; try again");
    }
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(_)) => Err("the run has ended"),
        Err(_) => Err("the worker is busy or reads state back; try again"),
    }
}

fn fired(api: &Api, wanted: &WindowsQuestion) -> Vec<Value> {
    let mut found = Vec::new();
    let Some(live) = &api.telemetry().live else { return found };
    live.recent(|result| {
        if is_asked_for(result, wanted) {
            found.extend(result.result().and_then(|r| serde_json::from_slice(&r.json).ok()));
        }
        found.len() < wanted.limit
    });
    found
}

fn is_asked_for(result: &LiveResult, wanted: &WindowsQuestion) -> bool {
    let Some(result) = result.result() else { return false };
    let (record, window) = (&result.record, &result.record.window);
    let is_of = |asked: &Option<String>, of: &str| asked.as_deref().is_none_or(|asked| asked == of);
    let ms = |text: &str| DateTime::parse_from_rfc3339(text).map(|at| at.timestamp_millis());
    is_of(&wanted.pipeline, &record.pipeline)
        && is_of(&wanted.key, &window.key)
        && ms(&window.end).is_ok_and(|end| end > wanted.from_ms)
        && ms(&window.start).is_ok_and(|start| start < wanted.to_ms)
}

/// An instant in epoch milliseconds, or what it is not.
pub(super) fn instant(text: Option<&str>, absent: i64) -> Result<i64, String> {
    let Some(text) = text else { return Ok(absent) };
    let number = text.parse().ok();
    // A plus is a blank in a query.
    let date = || DateTime::parse_from_rfc3339(&text.replace(' ', "+")).ok();
    number.or_else(|| date().map(|at| at.timestamp_millis())).ok_or_else(|| text.to_owned())
}
