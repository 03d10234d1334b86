//! What a route takes at most: bytes, time, requests at once.

use std::time::Duration;

use axum::{
    Router,
    error_handling::HandleErrorLayer,
    extract::DefaultBodyLimit,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tower::{
    BoxError, ServiceBuilder, limit::GlobalConcurrencyLimitLayer, load_shed::error::Overloaded,
};
use tower_http::{
    catch_panic::CatchPanicLayer, limit::RequestBodyLimitLayer, timeout::TimeoutLayer,
};

/// Limits of a group of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteLimits {
    /// Bytes of a request's body; more is answered 413.
    pub max_body_bytes: usize,
    /// Requests of the group at once; more are answered 503 with `Retry-After`.
    pub max_concurrent: usize,
    /// Time until the answer begins; after it the request is given up and answered 503.
    pub timeout: Duration,
}

impl Default for RouteLimits {
    /// 64 KiB, 64 requests, 10 seconds.
    fn default() -> Self {
        Self { max_body_bytes: 64 << 10, max_concurrent: 64, timeout: Duration::from_secs(10) }
    }
}

/// The routes within their limits; a handler that panics answers 500.
///
/// An answer that streams is not cut off by the time limit: that ends with its head.
pub fn limited(routes: Router, limits: RouteLimits) -> Router {
    let layers = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(overloaded))
        .load_shed()
        .layer(GlobalConcurrencyLimitLayer::new(limits.max_concurrent.max(1)))
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, limits.timeout))
        .layer(RequestBodyLimitLayer::new(limits.max_body_bytes));
    routes.layer(DefaultBodyLimit::max(limits.max_body_bytes)).layer(layers)
}

async fn overloaded(error: BoxError) -> Response {
    if error.is::<Overloaded>() {
        let why = "too many requests at once; try again";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], why)
            .into_response();
    }
    (StatusCode::INTERNAL_SERVER_ERROR, "the request failed").into_response()
}
