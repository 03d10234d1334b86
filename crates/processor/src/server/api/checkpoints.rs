//! Checkpoints that are kept, and keeping one while the run goes on.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Api, Problem, guard::check_change, problem};
use crate::{
    checkpoint::{CheckpointError, Manifest},
    source::clock::{Clock, SystemClock},
};

/// Why there are none.
const NOTHING_KEPT: &str = "this run keeps no local store, so there is nothing to keep a checkpoint of; on Kafka state lies \
                            in the changelog topics";

/// Checkpoints and savepoints, the newest last.
#[utoipa::path(get, path = "/api/v1/checkpoints", tag = "checkpoints", responses(
    (status = 200, body = Vec<Object>), (status = 404, body = Problem)))]
pub(super) async fn list(State(api): State<Api>) -> Response {
    let read = tokio::task::spawn_blocking(move || {
        let kept = api.telemetry().checkpoints.get()?;
        Some(kept.folder().list().map(|all| {
            let shown = |listed: &crate::checkpoint::Listed| match &listed.manifest {
                Ok(manifest) => shown(manifest),
                Err(error) => json!({ "id": listed.id, "problem": error.to_string() }),
            };
            all.iter().map(shown).collect::<Vec<_>>()
        }))
    });
    match read.await {
        Ok(Some(Ok(list))) => Json(list).into_response(),
        Ok(None) => problem(StatusCode::NOT_FOUND, NOTHING_KEPT),
        Ok(Some(Err(error))) => problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Keeps a savepoint of what is committed now; the run goes on. One that takes longer than ten seconds is kept all the same:
/// it is in the list when it is whole.
#[utoipa::path(post, path = "/api/v1/checkpoints", tag = "checkpoints", responses(
    (status = 201, description = "kept", body = Object),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn create(State(api): State<Api>, headers: HeaderMap) -> Response {
    if let Err(refused) = check_change(&api, &headers) {
        return *refused;
    }
    let made = tokio::task::spawn_blocking(move || {
        let kept = api.telemetry().checkpoints.get()?;
        let made: Result<Manifest, CheckpointError> = kept.create(SystemClock::new().now_ms());
        if let Ok(manifest) = &made {
            tracing::info!(
                checkpoint = manifest.id,
                rows = manifest.rows(),
                "savepoint kept, as was asked for over http"
            );
        }
        Some(made)
    });
    match made.await {
        Ok(Some(Ok(manifest))) => (StatusCode::CREATED, Json(shown(&manifest))).into_response(),
        Ok(None) => problem(StatusCode::NOT_FOUND, NOTHING_KEPT),
        Ok(Some(Err(error))) => problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn shown(manifest: &Manifest) -> Value {
    serde_json::to_value(manifest).unwrap_or_default()
}
