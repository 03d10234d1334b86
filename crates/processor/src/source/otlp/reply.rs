//! Answers as the protocol has them: Protobuf or JSON, as the request was.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use serde_json::json;

use crate::source::http::Problem;

/// How a request is written, and so its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    /// The encoding that the headers say.
    ///
    /// # Errors
    /// 415.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = text.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        match kind.to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            other => {
                let message = format!(
                    "content type `{other}` is not read; send application/x-protobuf or application/json"
                );
                Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
            }
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        })
    }

    fn response(self, body: Vec<u8>) -> Response {
        let mut response = Response::new(Body::from(body));
        response.headers_mut().insert(header::CONTENT_TYPE, self.content_type());
        response
    }

    /// The spans were taken, but `rejected` of them.
    pub(super) fn success(self, rejected: i64, message: String) -> Response {
        let is_partial = rejected > 0 || !message.is_empty();
        let partial =
            ExportTracePartialSuccess { rejected_spans: rejected, error_message: message };
        match self {
            Self::Protobuf => {
                let partial_success = is_partial.then_some(partial);
                self.response(ExportTraceServiceResponse { partial_success }.encode_to_vec())
            }
            Self::Json if is_partial => {
                let ExportTracePartialSuccess { rejected_spans, error_message } = partial;
                let partial = json!({
                    "rejectedSpans": rejected_spans.to_string(), "errorMessage": error_message
                });
                self.response(json!({ "partialSuccess": partial }).to_string().into_bytes())
            }
            Self::Json => self.response(b"{}".to_vec()),
        }
    }

    /// None was taken.
    pub(super) fn failure(self, problem: &Problem) -> Response {
        let status = Status { code: code_of(problem.status), message: problem.message.clone() };
        let body = match self {
            Self::Protobuf => status.encode_to_vec(),
            Self::Json => {
                let status = json!({ "code": status.code, "message": status.message });
                status.to_string().into_bytes()
            }
        };
        let mut response = self.response(body);
        problem.dress(&mut response);
        response
    }
}

/// `google.rpc.Status`, as far as the protocol uses it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

/// The code of `gRPC` that stands for a status of HTTP.
fn code_of(status: StatusCode) -> i32 {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE => 8,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::NOT_IMPLEMENTED => 12,
        StatusCode::REQUEST_TIMEOUT => 4,
        _ => 3,
    }
}
