//! Sources that records are sent to: an inbox in the store, a door to it, and the routes that lead there.

use std::{sync::Arc, time::Duration};

use llm_optimizer_config::{Intake, ProcessorConfig, Source as SourceSpec};
use tracing::info;

use super::{keeping, observe::Telemetry, outputs::unusable};
use crate::{
    error::{ProcessorError, ProcessorResult},
    record::SourceKind,
    server::{RouteLimits, Routes, Server, ServerSettings, limited},
    source::{
        Source,
        clock::Clock,
        http::{self, BodyLimits, Door},
        intake::{Ending, Inbox, IntakeMetrics, IntakeSource},
        otlp,
        text::BatchLimits,
    },
};

/// Requests that are taken at once; further ones are asked to come again.
const MAX_REQUESTS: usize = 1_024;
/// Time for one request, the sync included.
const REQUEST_PATIENCE: Duration = Duration::from_secs(60);

/// The source of `config`, if records are sent to it, with its routes mounted at the server of the process; if
/// there is none, at one of its own, which is held by `opened` until the run is over.
///
/// # Errors
/// [`ProcessorError::Config`] if nothing is kept, [`ProcessorError::Unavailable`] if `http.bind` cannot be
/// listened at.
pub(super) fn source(
    config: &ProcessorConfig,
    opened: Option<&mut keeping::Opened>,
    limits: BatchLimits,
    (clock, telemetry): (&Arc<dyn Clock>, &Telemetry),
) -> ProcessorResult<Option<Box<dyn Source>>> {
    let (kind, intake) = match config.source().map_err(unusable)? {
        SourceSpec::Http(intake) => (SourceKind::Http, intake),
        SourceSpec::Otlp(intake) => (SourceKind::Otlp, intake),
        _ => return Ok(None),
    };
    let Some((opened, (store, inbox))) = opened.and_then(|opened| {
        let inbox = opened.inbox()?;
        Some((opened, inbox))
    }) else {
        return Err(without_state());
    };
    let door = Arc::new(door(&intake, Arc::clone(&inbox), limits.max_record_bytes));
    match telemetry.routes.get() {
        Some(routes) => mount(routes, kind, door),
        None => {
            let bind = config.http.clone().unwrap_or_default().bind;
            let server = Server::start(&ServerSettings::at(bind))?;
            mount(&server.routes(), kind, door);
            opened.hold(Box::new(server));
        }
    }
    opened.hold(Box::new(Farewell(inbox.metrics().clone())));
    let source = IntakeSource::new((store, inbox), kind, limits, Arc::clone(clock));
    Ok(Some(Box::new(source.with_health(Arc::clone(&telemetry.health)))))
}

fn door(intake: &Intake, inbox: Arc<Inbox>, max_record_bytes: usize) -> Door {
    Door {
        inbox,
        token: intake.token.as_ref().map(|token| token.reveal().into()),
        bodies: BodyLimits::new(intake.max_body_bytes),
        max_record_bytes,
    }
}

fn mount(routes: &Routes, kind: SourceKind, door: Arc<Door>) {
    // The door itself says how long a body may be, after it is unpacked.
    let limits = RouteLimits {
        max_body_bytes: usize::MAX,
        max_concurrent: MAX_REQUESTS,
        timeout: REQUEST_PATIENCE,
    };
    let router = if kind == SourceKind::Otlp { otlp::routes(door) } else { http::routes(door) };
    routes.add(limited(router, limits));
    let path = if kind == SourceKind::Otlp { "/v1/traces" } else { "/v1/events" };
    info!(path, "records can be sent");
}

pub(super) fn without_state() -> ProcessorError {
    ProcessorError::Config(
        "a source that records are sent to needs a state that is kept: what was accepted would be lost \
         otherwise"
            .into(),
    )
}

/// Says at the end what became of requests.
struct Farewell(IntakeMetrics);

impl Drop for Farewell {
    fn drop(&mut self) {
        let metrics = &self.0;
        info!(
            accepted = metrics.count(Ending::Accepted),
            repeated = metrics.count(Ending::Repeated),
            full = metrics.count(Ending::Full),
            unavailable = metrics.count(Ending::Unavailable),
            refused = metrics.count(Ending::Refused),
            records = metrics.records.get(),
            spans_skipped = metrics.spans_skipped.get(),
            spans_rejected = metrics.spans_rejected.get(),
            "requests of senders are ended"
        );
    }
}
