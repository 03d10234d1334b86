//! The route.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;
use tower_http::decompression::RequestDecompressionLayer;

use super::{
    Door, Problem, read_body,
    split::{self, Format},
};
use crate::{
    source::intake::{Ending, Receipt, RequestName},
    trace::{TRACEPARENT, TRACESTATE, TraceContext},
};

/// Longest `Idempotency-Key`.
const MAX_NAME_BYTES: usize = 256;

/// `POST /v1/events`.
pub(crate) fn routes(door: Arc<Door>) -> Router {
    Router::new()
        .route("/v1/events", post(events))
        .layer(RequestDecompressionLayer::new().gzip(true))
        .with_state(door)
}

async fn events(State(door): State<Arc<Door>>, headers: HeaderMap, body: Body) -> Response {
    match take(&door, &headers, body).await {
        Ok(receipt) => {
            door.ended(if receipt.is_repeated { Ending::Repeated } else { Ending::Accepted });
            answer(&receipt)
        }
        Err(problem) => {
            door.ended(problem.ending());
            problem.into_response()
        }
    }
}

async fn take(door: &Door, headers: &HeaderMap, body: Body) -> Result<Receipt, Problem> {
    door.authorize(headers)?;
    let inbox = door.inbox()?;
    let format = Format::of(headers)?;
    let name = request_name(headers)?;
    // A known request is answered although the inbox is full.
    if name.is_none() {
        inbox.check_room()?;
    }
    let body = read_body(body, &door.bodies).await?;
    let records = split::records(format, headers, &body.bytes, door.max_record_bytes)?;
    let records = records.traced_by(trace_context(headers));
    let name = name.map(|name| RequestName::new(name, &body.bytes));
    drop(body);
    Ok(inbox.accept(records, name).await?)
}

/// The span the request came from, if it says so in one voice.
fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let (parent, further) = (parents.next()?, parents.next());
    if further.is_some() {
        return None;
    }
    let states: Vec<&[u8]> =
        headers.get_all(TRACESTATE).iter().map(HeaderValue::as_bytes).collect();
    TraceContext::parse(parent.as_bytes(), Some(&states.join(&b',')))
}

fn request_name(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let Some(name) = headers.get("idempotency-key") else { return Ok(None) };
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        let message = format!("an Idempotency-Key has 1 to {MAX_NAME_BYTES} bytes");
        return Err(Problem::new(StatusCode::BAD_REQUEST, message));
    }
    Ok(Some(name.as_bytes()))
}

/// 202: the records are kept, and not processed yet. 200: they were kept before.
fn answer(receipt: &Receipt) -> Response {
    let status = if receipt.is_repeated { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut body = json!({ "accepted": receipt.accepted });
    if let Some(fields) = body.as_object_mut() {
        if receipt.accepted > 0 {
            fields.insert("first_offset".into(), receipt.first.into());
        }
        if receipt.is_repeated {
            fields.insert("repeated".into(), true.into());
        }
    }
    (status, Json(body)).into_response()
}
