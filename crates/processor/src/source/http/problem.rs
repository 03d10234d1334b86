//! Why a request is refused, as its sender is told.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::source::intake::{Ending, Refusal};

/// Seconds after which a sender may try again.
const RETRY_AFTER_SECS: HeaderValue = HeaderValue::from_static("1");

/// A refusal: status and sentence, and where in the body it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// Line or element, from 1.
    pub(crate) place: Option<(&'static str, usize)>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), place: None }
    }

    /// The same, with the line or element it is about.
    pub(crate) fn at(self, what: &'static str, number: usize) -> Self {
        Self { place: Some((what, number)), ..self }
    }

    /// Whether the same request may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
            || self.status == StatusCode::CONFLICT
    }

    /// What is counted for it.
    pub(crate) fn ending(&self) -> Ending {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => Ending::Full,
            StatusCode::SERVICE_UNAVAILABLE => Ending::Unavailable,
            _ => Ending::Refused,
        }
    }

    /// Puts on `response` what goes with the status.
    pub(crate) fn dress(&self, response: &mut Response) {
        *response.status_mut() = self.status;
        if self.is_passing() {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECS);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::Full { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Starting | Refusal::Stopping | Refusal::Failed(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Refusal::InFlight => StatusCode::CONFLICT,
            Refusal::OtherContent => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, refusal.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({ "status": self.status.as_u16(), "error": self.message });
        if let (Some((what, number)), Some(fields)) = (self.place, body.as_object_mut()) {
            fields.insert(what.to_owned(), number.into());
        }
        let mut response = Json(body).into_response();
        self.dress(&mut response);
        response
    }
}
