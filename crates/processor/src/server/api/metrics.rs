//! `/metrics`, for Prometheus.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{Api, problem};
use crate::metrics::{
    Exposition,
    catalogue::{READY, SOURCE_UP},
};
use crate::runtime::Part;

/// All metrics: `OpenMetrics` 1.0 if it is accepted, else the text format 0.0.4.
#[utoipa::path(get, path = "/metrics", tag = "metrics", responses(
    (status = 200, description = "the metrics", body = String),
    (status = 404, description = "`metrics.enabled` is false"),
))]
pub(super) async fn metrics(State(api): State<Api>, headers: HeaderMap) -> Response {
    let Some(metrics) = &api.telemetry().metrics else {
        return problem(StatusCode::NOT_FOUND, "metrics are off (`metrics.enabled: false`)");
    };
    // The worker may not have looked since: while state is read back it does not.
    let health = &api.telemetry().health;
    metrics.gauge(&READY, &[]).set(f64::from(u8::from(health.is_ready())));
    metrics.gauge(&SOURCE_UP, &[]).set(f64::from(u8::from(!health.is_in_trouble(Part::Source))));
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let exposition = Exposition::accepted_by(accept);
    ([(header::CONTENT_TYPE, exposition.content_type())], metrics.export(exposition))
        .into_response()
}
