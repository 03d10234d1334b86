//! The routes.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{any, post},
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tower_http::decompression::RequestDecompressionLayer;

use super::{
    record::{SpanRecord, is_ours},
    reply::Encoding,
};
use crate::source::{
    http::{Door, Problem, read_body},
    intake::{Ending, Records},
};

/// `POST /v1/traces`; metrics and logs are told that they are at the wrong place.
pub(crate) fn routes(door: Arc<Door>) -> Router {
    Router::new()
        .route("/v1/traces", post(traces))
        .route("/v1/metrics", any(async |headers: HeaderMap| elsewhere(&headers, "metrics")))
        .route("/v1/logs", any(async |headers: HeaderMap| elsewhere(&headers, "logs")))
        .layer(RequestDecompressionLayer::new().gzip(true))
        .with_state(door)
}

fn elsewhere(headers: &HeaderMap, what: &'static str) -> Response {
    let message = format!(
        "{what} are not taken here: the processor reads spans at /v1/traces; send {what} to a collector"
    );
    let problem = Problem::new(StatusCode::NOT_IMPLEMENTED, message);
    match Encoding::of(headers) {
        Ok(encoding) => encoding.failure(&problem),
        Err(_) => problem.into_response(),
    }
}

async fn traces(State(door): State<Arc<Door>>, headers: HeaderMap, body: Body) -> Response {
    let encoding = match Encoding::of(&headers) {
        Ok(encoding) => encoding,
        Err(problem) => return problem.into_response(),
    };
    match take(&door, &headers, encoding, body).await {
        Ok(taken) => {
            door.ended(Ending::Accepted);
            door.left_out(taken.skipped, taken.rejected);
            let rejected = i64::try_from(taken.rejected).unwrap_or(i64::MAX);
            encoding.success(rejected, taken.why_rejected(door.max_record_bytes))
        }
        Err(problem) => {
            door.ended(problem.ending());
            encoding.failure(&problem)
        }
    }
}

async fn take(
    door: &Door,
    headers: &HeaderMap,
    encoding: Encoding,
    body: Body,
) -> Result<Taken, Problem> {
    door.authorize(headers)?;
    let inbox = door.inbox()?;
    inbox.check_room()?;
    let body = read_body(body, &door.bodies).await?;
    let request = decode(encoding, &body.bytes)?;
    drop(body);
    let Spans { records, skipped, rejected } = Spans::of(&request, door.max_record_bytes);
    drop(request);
    inbox.accept(records, None).await?;
    Ok(Taken { skipped, rejected })
}

fn decode(encoding: Encoding, body: &[u8]) -> Result<ExportTraceServiceRequest, Problem> {
    let bad = |error: &dyn std::error::Error| {
        let message = format!("the body is no ExportTraceServiceRequest: {error}");
        Problem::new(StatusCode::BAD_REQUEST, message)
    };
    match encoding {
        Encoding::Protobuf => ExportTraceServiceRequest::decode(body).map_err(|error| bad(&error)),
        Encoding::Json => serde_json::from_slice(body).map_err(|error| bad(&error)),
    }
}

/// The spans of a request.
#[derive(Debug, Default)]
pub(super) struct Spans {
    pub(super) records: Records,
    pub(super) skipped: u64,
    pub(super) rejected: u64,
}

impl Spans {
    pub(super) fn of(request: &ExportTraceServiceRequest, max_record_bytes: usize) -> Self {
        let mut spans = Self::default();
        for of_resource in &request.resource_spans {
            let resource = of_resource.resource.as_ref();
            for span in of_resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                if !is_ours(span) {
                    spans.skipped += 1;
                    continue;
                }
                match serde_json::to_vec(&SpanRecord::of(span, resource)) {
                    Ok(record) if record.len() <= max_record_bytes => spans.records.push(&record),
                    _ => spans.rejected += 1,
                }
            }
        }
        spans
    }
}

/// What became of the spans of a request.
struct Taken {
    skipped: u64,
    rejected: u64,
}

impl Taken {
    fn why_rejected(&self, max_record_bytes: usize) -> String {
        if self.rejected == 0 {
            return String::new();
        }
        format!(
            "spans that are longer than {max_record_bytes} bytes as a record (`limits.max_record_bytes`)"
        )
    }
}
