//! Samples of any stage as they come: server-sent events.
//!
//! Stages that show records as they were sent may show what nobody else should see. They are for those who may change
//! something: with `http.token` they need it, without one they are for this machine alone.

use axum::{
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{Response, sse::Event},
};
use futures::{StreamExt, stream};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    Api, Problem,
    guard::{check_origin, check_payload},
    live::told,
    problem,
};
use crate::runtime::{MAX_TAP_RATE, TapHeard, TapSample, TapStage, TapWanted};

/// What is tapped.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TapQuery {
    /// `records` as they were read, decoded `events`, `filtered` records, `late` events, `dead-letters`, `results` as they fire,
    /// or `commits`.
    stage: String,
    /// Of this pipeline; all by default.
    pipeline: Option<String>,
    /// Of this key, as in results; for `events`, `late` and `results`.
    key: Option<String>,
    /// Samples per second (at most 1,000; 10 by default, all steps of `commits`).
    rate: Option<u32>,
}

/// Server-sent events while the connection lasts: `sample` with a sample as its data; `skipped`, at most once a second, with
/// `not_shown` (because of the rate) and `missed` (because the listener is slow). Stages with records as they were sent
/// (`records`, `filtered`, `late`, `dead-letters`) need `Authorization: Bearer <http.token>`, if there is a token; without one
/// they are refused where other machines can reach the server.
#[utoipa::path(get, path = "/api/v1/tap", tag = "live", params(TapQuery), responses(
    (status = 200, description = "a stream of events; the data of `sample`", content_type = "text/event-stream", body = TapSample),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn tap(
    State(api): State<Api>,
    Query(query): Query<TapQuery>,
    headers: HeaderMap,
) -> Response {
    let wanted = match wanted(&api, query) {
        Ok(wanted) => wanted,
        Err(refused) => return *refused,
    };
    let allowed = if wanted.stage.shows_payload() {
        check_payload(&api, &headers)
    } else {
        check_origin(&headers)
    };
    if let Err(refused) = allowed {
        return *refused;
    }
    let taps = &api.telemetry().taps;
    let Some(tap) = taps.open(wanted) else {
        let full = "eight taps are open already; end one of them";
        return problem(StatusCode::SERVICE_UNAVAILABLE, full);
    };
    let heard = stream::unfold(tap, |mut tap| async move { Some((tap.hear().await?, tap)) });
    told(heard.flat_map(|heard| stream::iter(in_events(heard))), || {})
}

fn wanted(api: &Api, query: TapQuery) -> Result<TapWanted, Box<Response>> {
    let refuse = |why: String| Box::new(problem(StatusCode::BAD_REQUEST, why));
    let Some(stage) = TapStage::of_name(&query.stage) else {
        let names: Vec<&str> = TapStage::ALL.iter().map(|stage| stage.name()).collect();
        return Err(refuse(format!(
            "there is no stage `{}`; there are {}",
            query.stage,
            names.join(", ")
        )));
    };
    if query.key.is_some() && !stage.has_key() {
        let name = stage.name();
        return Err(refuse(format!("{name} have no key; `events`, `late` and `results` have")));
    }
    let rate = query.rate.unwrap_or_else(|| stage.default_rate());
    if !(1..=MAX_TAP_RATE).contains(&rate) {
        return Err(refuse(format!("rate is 1 to {MAX_TAP_RATE} samples per second, not {rate}")));
    }
    let is_known = |name: &String| api.parts.rules.iter().any(|rules| rules.pipeline == *name);
    if let Some(name) = query.pipeline.as_ref().filter(|name| !is_known(name)) {
        let why = format!("there is no pipeline `{name}`");
        return Err(Box::new(problem(StatusCode::NOT_FOUND, why)));
    }
    Ok(TapWanted { stage, pipeline: query.pipeline, key: query.key, rate })
}

fn in_events(heard: TapHeard) -> Vec<Event> {
    let TapHeard { samples, not_shown, missed } = heard;
    let mut events: Vec<Event> =
        samples.into_iter().map(|sample| Event::default().event("sample").data(sample)).collect();
    if not_shown > 0 || missed > 0 {
        let told = format!("{{\"not_shown\":{not_shown},\"missed\":{missed}}}");
        events.push(Event::default().event("skipped").data(told));
    }
    events
}
