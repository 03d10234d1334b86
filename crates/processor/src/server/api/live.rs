//! Results as they are committed, over server-sent events and WebSocket.
//!
//! A listener that is too slow is told how many results it missed, and goes on with the oldest that is still there; one that
//! takes nothing for ten seconds is cut off, counted, and loses its place to another one. Nobody holds the run.

use std::{
    borrow::Cow,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    extract::{
        Query, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Api, Problem, guard::check_origin, problem};
use crate::{
    metrics::catalogue::{LIVE_LISTENERS, LIVE_LISTENERS_CUT_OFF, LIVE_RESULTS_MISSED},
    runtime::{Heard, Listener, LiveResult},
};

/// Listeners at once.
const MAX_LISTENERS: usize = 64;
/// How long a WebSocket may take nothing; for other streams the connection sees to it.
const MAX_STUCK: Duration = Duration::from_secs(10);
/// Events in one write.
const MAX_JOINED_EVENTS: usize = 256;

/// Which results.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LiveQuery {
    /// Of this pipeline; all by default.
    pipeline: Option<String>,
    /// Of this key; all by default.
    key: Option<String>,
}

impl LiveQuery {
    fn wants(&self, result: &LiveResult) -> bool {
        let is_of =
            |asked: &Option<String>, of: &str| asked.as_deref().is_none_or(|asked| asked == of);
        result.result().is_some_and(|result| {
            is_of(&self.pipeline, &result.record.pipeline)
                && is_of(&self.key, &result.record.window.key)
        })
    }
}

/// Server-sent events: `result` with the record as its data and its number as its id; `missed` with how many results a slow
/// listener missed.
#[utoipa::path(get, path = "/api/v1/live", tag = "live", params(LiveQuery), responses(
    (status = 200, description = "a stream of events", content_type = "text/event-stream", body = String),
    (status = 503, body = Problem)))]
pub(super) async fn events(
    State(api): State<Api>,
    Query(query): Query<LiveQuery>,
    headers: HeaderMap,
) -> Response {
    if let Err(refused) = check_origin(&headers) {
        return *refused;
    }
    let Some((listener, seat)) = listen(&api) else { return full() };
    let seat = Arc::new(seat);
    let heard = stream::unfold((listener, Arc::clone(&seat)), |(mut listener, seat)| async move {
        let heard = listener.hear().await?;
        seat.missed(heard.missed);
        Some((heard, (listener, seat)))
    });
    let events = heard.flat_map(move |heard| stream::iter(in_events(&heard, &query)));
    told(events, move || seat.cut_off())
}

/// An answer that goes on with each event. Events that are there at once are written at once: a write for each would cost more
/// than all else that is done for a listener. `cut_off` is called if the listener takes nothing for too long.
pub(super) fn told(
    events: impl Stream<Item = Event> + Send + 'static,
    cut_off: impl Fn() + Send + 'static,
) -> Response {
    let events = Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::default());
    let (parts, body) = events.into_response().into_parts();
    let joined = body.into_data_stream().ready_chunks(MAX_JOINED_EVENTS).map(|events| {
        events.into_iter().collect::<Result<Vec<_>, _>>().map(|events| Bytes::from(events.concat()))
    });
    let told = stream::unfold(Told { joined, since: None, cut_off }, |mut told| async move {
        told.since = None;
        let next = told.joined.next().await?;
        told.since = Some(Instant::now());
        Some((next, told))
    });
    Response::from_parts(parts, Body::from_stream(told))
}

/// What is written, and since when the listener has not taken it.
struct Told<S, F: Fn()> {
    joined: S,
    since: Option<Instant>,
    cut_off: F,
}

impl<S, F: Fn()> Drop for Told<S, F> {
    fn drop(&mut self) {
        if self.since.is_some_and(|since| since.elapsed() >= MAX_STUCK) {
            (self.cut_off)();
        }
    }
}

fn in_events(heard: &Heard, query: &LiveQuery) -> Vec<Event> {
    let missed = (heard.missed > 0).then(|| Event::default().event("missed").data(missed(heard)));
    let wanted = heard.results.iter().filter(|result| query.wants(result));
    let results = wanted.map(|result| {
        let id = result.number.to_string();
        Event::default().event("result").id(id).data(text(result))
    });
    missed.into_iter().chain(results).collect()
}

/// A WebSocket: each message is a result record, or `{"missed": n}`.
#[utoipa::path(get, path = "/api/v1/live/ws", tag = "live", params(LiveQuery), responses(
    (status = 101, description = "a WebSocket"), (status = 503, body = Problem)))]
pub(super) async fn socket(
    State(api): State<Api>,
    Query(query): Query<LiveQuery>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if let Err(refused) = check_origin(&headers) {
        return *refused;
    }
    let Some((listener, seat)) = listen(&api) else { return full() };
    upgrade.max_message_size(4 << 10).on_upgrade(move |socket| tell(socket, listener, seat, query))
}

async fn tell(mut socket: WebSocket, mut listener: Listener, seat: Seat, query: LiveQuery) {
    loop {
        let heard = tokio::select! {
            heard = listener.hear() => heard,
            said = socket.recv() => match said {
                // Whatever a listener says is nothing to us, but that it goes.
                Some(Ok(message)) if !matches!(message, Message::Close(_)) => continue,
                _ => return,
            },
        };
        let Some(heard) = heard else {
            // It may have gone already.
            let _ = socket.send(Message::Close(None)).await;
            return;
        };
        seat.missed(heard.missed);
        let gap = (heard.missed > 0).then(|| missed(&heard));
        let wanted = heard.results.iter().filter(|result| query.wants(result));
        for message in gap.into_iter().chain(wanted.map(|result| text(result).into_owned())) {
            let done = tokio::time::timeout(MAX_STUCK, socket.send(Message::text(message))).await;
            if done.is_err() {
                seat.cut_off();
            }
            if !matches!(done, Ok(Ok(()))) {
                return;
            }
        }
    }
}

fn missed(heard: &Heard) -> String {
    format!("{{\"missed\":{}}}", heard.missed)
}

fn text(result: &LiveResult) -> Cow<'_, str> {
    result.result().map(|result| String::from_utf8_lossy(&result.json)).unwrap_or_default()
}

fn full() -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, "nobody else can listen now; try again later")
}

/// A place to listen from, if there is one left.
fn listen(api: &Api) -> Option<(Listener, Seat)> {
    let live = api.telemetry().live.as_ref()?;
    let seat = Seat::take(api)?;
    Some((live.listen(), seat))
}

/// One of the places to listen from, until it is dropped.
struct Seat {
    api: Api,
    taken: Arc<AtomicUsize>,
}

impl Seat {
    fn take(api: &Api) -> Option<Self> {
        let taken = Arc::clone(&api.listeners);
        let more = |taken| (taken < MAX_LISTENERS).then_some(taken + 1);
        taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        let seat = Self { api: api.clone(), taken };
        seat.show();
        Some(seat)
    }

    fn show(&self) {
        if let Some(metrics) = &self.api.telemetry().metrics {
            metrics.gauge(&LIVE_LISTENERS, &[]).set(self.taken.load(Ordering::Acquire) as f64);
        }
    }

    fn missed(&self, results: u64) {
        if let Some(metrics) = self.api.telemetry().metrics.as_ref().filter(|_| results > 0) {
            metrics.counter(&LIVE_RESULTS_MISSED, &[]).inc_by(results);
        }
    }
}

impl Seat {
    /// Its listener took nothing for too long.
    fn cut_off(&self) {
        if let Some(metrics) = &self.api.telemetry().metrics {
            metrics.counter(&LIVE_LISTENERS_CUT_OFF, &[]).inc();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
        self.show();
    }
}
