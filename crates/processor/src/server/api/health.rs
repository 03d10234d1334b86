//! Whether the process lives, has started, and is ready.

use std::fmt::Write;

use axum::{Json, extract::State, http::StatusCode};

use super::Api;
use crate::runtime::HealthReport;

/// Whether the process lives; always, while it answers.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, description = "it lives", body = String)))]
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether results come as they should.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "ready", body = String),
    (status = 503, description = "not ready, and why", body = String),
))]
pub(super) async fn readyz(State(api): State<Api>) -> (StatusCode, String) {
    let report = api.telemetry().health.report();
    probe(report.ready, &report)
}

/// Whether state was read back once.
#[utoipa::path(get, path = "/startupz", tag = "health", responses(
    (status = 200, description = "started", body = String),
    (status = 503, description = "it starts still, and why", body = String),
))]
pub(super) async fn startupz(State(api): State<Api>) -> (StatusCode, String) {
    let report = api.telemetry().health.report();
    probe(report.started, &report)
}

/// Everything about health, with reasons.
#[utoipa::path(get, path = "/health", tag = "health", responses(
    (status = 200, description = "ready", body = HealthReport),
    (status = 503, description = "not ready", body = HealthReport),
))]
pub(super) async fn health(State(api): State<Api>) -> (StatusCode, Json<HealthReport>) {
    let report = api.telemetry().health.report();
    (status(report.ready), Json(report))
}

fn probe(is_well: bool, report: &HealthReport) -> (StatusCode, String) {
    if is_well {
        return (StatusCode::OK, "ok\n".into());
    }
    let mut text = String::new();
    for reason in report.reasons.iter().filter(|reason| reason.blocks) {
        let _ = writeln!(text, "{} for {:.0} s", reason.reason, reason.since_secs);
    }
    (StatusCode::SERVICE_UNAVAILABLE, text)
}

fn status(is_well: bool) -> StatusCode {
    if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
