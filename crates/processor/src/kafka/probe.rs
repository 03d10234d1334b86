//! The context of clients that only ask.

use std::sync::Arc;

use rdkafka::{
    ClientContext, config::RDKafkaLogLevel, consumer::ConsumerContext, error::KafkaError,
};

use super::notices::Notices;

/// Takes what the client says to the log.
pub(super) struct ProbeContext(Arc<Notices>);

impl ProbeContext {
    /// Lines go to `notices`.
    pub(super) fn new(notices: Arc<Notices>) -> Self {
        Self(notices)
    }
}

impl ClientContext for ProbeContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.client_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.client_error(&error, reason);
    }
}

impl ConsumerContext for ProbeContext {}
