//! The API: what a run holds and does, as JSON, with its description at `/api/v1/openapi.json`.
//!
//! | file | subject |
//! | --- | --- |
//! | `health` | `/livez`, `/readyz`, `/startupz`, `/health` |
//! | `metrics` | `/metrics` |
//! | `run` | pipelines, partitions, watermarks, configuration |
//! | `topology` | what the run consists of |
//! | `history` | the last quarter of an hour |
//! | `windows` | open windows and recent results |
//! | `keys` | keys with their newest results, a page at a time |
//! | `remembered`, `order` | what is left of a key's results; the order of keys |
//! | `sides` | late events and dead letters |
//! | `checkpoints` | those that are kept, and keeping one |
//! | `live` | results as they are committed: server-sent events and WebSocket |
//! | `why` | why a window has not fired |
//! | `tap` | samples of any stage: server-sent events |
//! | `results` | recent results in order, for those who poll |
//! | `overview` | what changes from moment to moment, in one answer |
//! | `guard` | who may change something |

mod checkpoints;
mod guard;
mod health;
mod history;
mod keys;
mod live;
mod metrics;
mod order;
pub(crate) mod overview;
mod remembered;
mod results;
mod run;
mod sides;
mod tap;
mod topology;
mod why;
mod windows;

pub use topology::{PipelineParts, Place, Topology, WindowParts};

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::Value;
use tower_http::compression::CompressionLayer;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::limits::{RouteLimits, limited};
use crate::{metrics::catalogue::HTTP_REQUESTS, runtime::Telemetry, why::PipelineRules};

/// What the routes know.
#[derive(Debug)]
pub struct ApiParts {
    /// The run.
    pub telemetry: Arc<Telemetry>,
    /// Its configuration, without secrets.
    pub configuration: Value,
    /// The parts it names.
    pub topology: Topology,
    /// What decides when windows fire.
    pub rules: Vec<PipelineRules>,
    /// What requests that change something must bring.
    pub token: Option<String>,
    /// Whether the server can be reached from this machine alone.
    pub is_loopback: bool,
}

/// State of the handlers.
#[derive(Debug, Clone)]
struct Api {
    parts: Arc<ApiParts>,
    listeners: Arc<AtomicUsize>,
}

impl Api {
    fn telemetry(&self) -> &Telemetry {
        &self.parts.telemetry
    }
}

#[derive(OpenApi)]
#[openapi(info(
    title = "LLM stream processor",
    description = "What a running processor holds and does. Times are RFC 3339 or epoch milliseconds. Requests that change \
                   something carry `Authorization: Bearer <http.token>`."
))]
struct Description;

/// Why a request was not answered as asked.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// What happened and what to do.
    error: String,
}

/// A problem with its status.
fn problem(status: StatusCode, error: impl Into<String>) -> Response {
    (status, Json(Problem { error: error.into() })).into_response()
}

/// The routes of a run, within limits: 64 KiB, 10 seconds, 64 requests at once. Answers are packed with gzip for those who
/// take it, but for streams.
pub fn api_routes(parts: ApiParts) -> Router {
    let api = Api { parts: Arc::new(parts), listeners: Arc::default() };
    if let Some(metrics) = &api.telemetry().metrics {
        // A series that begins with its first answer would hide that one from rates.
        for class in STATUS_CLASSES {
            drop(metrics.counter(&HTTP_REQUESTS, &[class]));
        }
    }
    let (described, description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(health::startupz))
        .routes(routes!(health::health))
        .routes(routes!(metrics::metrics))
        .routes(routes!(run::pipelines))
        .routes(routes!(run::pipeline))
        .routes(routes!(run::partitions))
        .routes(routes!(run::watermarks))
        .routes(routes!(run::configuration))
        .routes(routes!(topology::topology))
        .routes(routes!(history::history))
        .routes(routes!(overview::overview))
        .routes(routes!(why::why))
        .routes(routes!(windows::windows))
        .routes(routes!(keys::keys))
        .routes(routes!(sides::late))
        .routes(routes!(sides::dead_letters))
        .routes(routes!(checkpoints::list, checkpoints::create))
        .routes(routes!(live::events))
        .routes(routes!(live::socket))
        .routes(routes!(results::results))
        .routes(routes!(tap::tap))
        .split_for_parts();
    let description = Arc::new(description);
    let describe = move || std::future::ready(Json(Arc::clone(&description)));
    let routes = described
        .route("/api/v1/openapi.json", get(describe))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(api.clone(), counted))
        .with_state(api);
    // Keeping a checkpoint of a large state takes longer than an answer may; see there.
    limited(routes, RouteLimits { timeout: Duration::from_secs(10), ..RouteLimits::default() })
}

const STATUS_CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Counts the answer by its class of status.
async fn counted(State(api): State<Api>, request: Request, next: Next) -> Response {
    let answer = next.run(request).await;
    if let Some(metrics) = &api.telemetry().metrics {
        let class = match answer.status().as_u16() {
            ..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        metrics.counter(&HTTP_REQUESTS, &[class]).inc();
    }
    answer
}
