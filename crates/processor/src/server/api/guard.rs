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

fn check_token(api: &Api, headers: &HeaderMap, what: &str) -> Result<(), Box<Response>> {
    check_origin(headers)?;
    let refuse = |status, why: &str| Err(Box::new(problem(status, format!("{what}{why}"))));
    match &api.parts.token {
        Some(token) => {
            let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
            let given = given.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
            if bool::from(given.ct_eq(token.as_bytes())) {
                return Ok(());
            }
            refuse(StatusCode::UNAUTHORIZED, ": send `Authorization: Bearer <http.token>`")
        }
        None if api.parts.is_loopback => Ok(()),
        None => refuse(
            StatusCode::FORBIDDEN,
            ", and other machines can reach it: set `http.token` first",
        ),
    }
}

/// Refuses a request that a page of another site makes in somebody's browser.
pub(super) fn check_origin(headers: &HeaderMap) -> Result<(), Box<Response>> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
    if text(header::HOST) == Some(authority) {
        return Ok(());
    }
    Err(Box::new(problem(StatusCode::FORBIDDEN, format!("a page of {origin} may not ask this"))))
}
