//! Who may change something or see records as they were sent, and which pages may look.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use subtle::ConstantTimeEq;

use super::{Api, problem};

/// Refuses a request that changes something and may not.
///
/// With `http.token` it must carry it. Without one it must come from this machine, and not from a page of another site.
pub(super) fn check_change(api: &Api, headers: &HeaderMap) -> Result<(), Box<Response>> {
    check_token(api, headers, "this changes something")
}

/// Refuses a request for records as they were sent, unless it could change something, too.
pub(super) fn check_payload(api: &Api, headers: &HeaderMap) -> Result<(), Box<Response>> {
    check_token(api, headers, "this shows records as they were sent")
}

/// Why an answer goes without the records as they were sent; `None`: it has them. By the same rule as [`check_payload`].
pub(super) fn hides_payload(api: &Api, headers: &HeaderMap) -> Option<String> {
    const WHAT: &str = "records as they were sent are not shown";
    match foreign_page(headers) {
        Some(origin) => Some(format!("{WHAT} to a page of {origin}")),
        None => lacks_token(api, headers).map(|(_, why)| format!("{WHAT}{why}")),
    }
}

fn check_token(api: &Api, headers: &HeaderMap, what: &str) -> Result<(), Box<Response>> {
    check_origin(headers)?;
    match lacks_token(api, headers) {
        Some((status, why)) => Err(Box::new(problem(status, format!("{what}{why}")))),
        None => Ok(()),
    }
}

/// What a request without the right to change something is told; `None` if it has it.
fn lacks_token(api: &Api, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    match &api.parts.token {
        Some(token) => {
            let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
            let given = given.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
            let is_right = bool::from(given.ct_eq(token.as_bytes()));
            let why = ": send `Authorization: Bearer <http.token>`";
            (!is_right).then_some((StatusCode::UNAUTHORIZED, why))
        }
        None if api.parts.is_loopback => None,
        None => {
            let why = ", and other machines can reach it: set `http.token` first";
            Some((StatusCode::FORBIDDEN, why))
        }
    }
}

/// Refuses a request that a page of another site makes in somebody's browser.
pub(super) fn check_origin(headers: &HeaderMap) -> Result<(), Box<Response>> {
    let Some(origin) = foreign_page(headers) else { return Ok(()) };
    Err(Box::new(problem(StatusCode::FORBIDDEN, format!("a page of {origin} may not ask this"))))
}

/// The other site whose page asks, if one does.
fn foreign_page(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let origin: &str = text(header::ORIGIN)?;
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    (text(header::HOST) != Some(authority)).then_some(origin)
}
