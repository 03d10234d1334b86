//! The way into an inbox: who may come, how much they may bring.

use std::sync::{Arc, OnceLock};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use llm_optimizer_config::{Intake, settings::Secret};
use subtle::ConstantTimeEq;

use super::{Problem, body::BodyLimits};
use crate::source::intake::{Ending, Inbox, Refusal};

/// The way into an inbox, which is there before the inbox is: until then senders are told that the processor is
/// starting, not that there is no such place.
#[derive(Debug)]
pub(crate) struct Door {
    inbox: OnceLock<Arc<Inbox>>,
    /// What senders must know.
    token: Option<Secret>,
    pub(crate) bodies: BodyLimits,
    pub(crate) max_record_bytes: usize,
}

impl Door {
    pub(crate) fn new(intake: &Intake, max_record_bytes: usize) -> Self {
        Self {
            inbox: OnceLock::new(),
            token: intake.token.clone(),
            bodies: BodyLimits::new(intake.max_body_bytes),
            max_record_bytes,
        }
    }

    /// Leads to `inbox` from now on.
    pub(crate) fn lead_to(&self, inbox: Arc<Inbox>) {
        // There is one inbox per process.
        let _ = self.inbox.set(inbox);
    }

    /// The inbox, if it is there and open.
    ///
    /// # Errors
    /// 503.
    pub(crate) fn inbox(&self) -> Result<&Inbox, Problem> {
        let inbox = self.inbox.get().ok_or(Refusal::Starting)?;
        inbox.check()?;
        Ok(inbox)
    }

    /// A request has ended.
    pub(crate) fn ended(&self, ending: Ending) {
        if let Some(inbox) = self.inbox.get() {
            inbox.metrics().ended(ending);
        }
    }

    /// Spans were left out.
    pub(crate) fn left_out(&self, skipped: u64, rejected: u64) {
        if let Some(inbox) = self.inbox.get() {
            inbox.metrics().spans_skipped.inc_by(skipped);
            inbox.metrics().spans_rejected.inc_by(rejected);
        }
    }

    /// Checks the token of a request.
    ///
    /// # Errors
    /// 401.
    pub(crate) fn authorize(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(token) = &self.token else { return Ok(()) };
        let given = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let given = given.and_then(|given| {
            let (scheme, given) = given.split_at_checked("bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(given)
        });
        if given.is_some_and(|given| given.ct_eq(token.reveal().as_bytes()).into()) {
            return Ok(());
        }
        let message = "send the token of `source.token`, as `Authorization: Bearer <token>`";
        Err(Problem::new(StatusCode::UNAUTHORIZED, message))
    }
}
