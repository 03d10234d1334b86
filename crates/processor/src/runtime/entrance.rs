//! Sources that records are sent to: an inbox in the store, and the door to it.

use std::{sync::Arc, time::Duration};

use axum::Router;
use llm_optimizer_config::{Intake, ProcessorConfig, Source as SourceSpec};
use tracing::info;

use super::{keeping, observe::Telemetry};
use crate::{
    error::{ProcessorError, ProcessorResult},
    record::SourceKind,
    server::{Bound, RouteLimits, ServerSettings, limited},
    source::{
        Source,
        clock::Clock,
        http::{self, Door},
        intake::{Ending, IntakeMetrics, IntakeSource},
        otlp,
        text::BatchLimits,
    },
};

/// Requests that are taken at once; further ones are asked to come again.
const MAX_REQUESTS: usize = 1_024;
/// Time for one request, the sync included.
const REQUEST_PATIENCE: Duration = Duration::from_mins(1);

/// The way in of `config`, if records are sent to its source, and the routes that lead there. They can be served
/// before there is an inbox.
pub(crate) fn door(config: &ProcessorConfig) -> Option<(Arc<Door>, Router)> {
    let (kind, intake) = intake_of(config)?;
    Some(door_of(config, kind, &intake))
}

fn door_of(config: &ProcessorConfig, kind: SourceKind, intake: &Intake) -> (Arc<Door>, Router) {
    let max_record_bytes = usize::try_from(config.limits.max_record_bytes).unwrap_or(usize::MAX);
    let door = Arc::new(Door::new(intake, max_record_bytes));
    let shared = Arc::clone(&door);
    let router = if kind == SourceKind::Otlp { otlp::routes(shared) } else { http::routes(shared) };
    // The door itself says how long a body may be, after it is unpacked.
    let limits = RouteLimits {
        max_body_bytes: usize::MAX,
        max_concurrent: MAX_REQUESTS,
        timeout: REQUEST_PATIENCE,
    };
    (door, limited(router, limits))
}

fn intake_of(config: &ProcessorConfig) -> Option<(SourceKind, Intake)> {
    match config.source() {
        Ok(SourceSpec::Http(intake)) => Some((SourceKind::Http, intake)),
        Ok(SourceSpec::Otlp(intake)) => Some((SourceKind::Otlp, intake)),
        _ => None,
    }
}

/// The source of `config`, if records are sent to it, behind the door of the process; if there is none, behind one
/// at a server of its own, which is held by `opened` until the run is over.
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
    let Some((kind, intake)) = intake_of(config) else { return Ok(None) };
    let Some((opened, (store, inbox))) = opened.and_then(|opened| {
        let inbox = opened.inbox()?;
        Some((opened, inbox))
    }) else {
        return Err(without_state());
    };
    if let Some(door) = telemetry.door.get() {
        door.lead_to(Arc::clone(&inbox));
    } else {
        let (door, router) = door_of(config, kind, &intake);
        let bind = config.http.clone().unwrap_or_default().bind;
        let server = Bound::at(&ServerSettings::at(bind))?.serve(router)?;
        door.lead_to(Arc::clone(&inbox));
        opened.hold(Box::new(server));
    }
    opened.hold(Box::new(Farewell(inbox.metrics().clone())));
    let source = IntakeSource::new((store, inbox), kind, limits, Arc::clone(clock));
    Ok(Some(Box::new(source.with_health(Arc::clone(&telemetry.health)))))
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
