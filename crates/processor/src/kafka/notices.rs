//! What librdkafka reports, as log lines that say what happened and what to do.
//!
//! librdkafka repeats itself: one broker that is away gives several lines a second. Each kind of
//! trouble is logged when it begins and then at most every 30 seconds; everything else it says is
//! at level `debug`.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
};
use tracing::{debug, info, warn};

/// How long the same trouble stays unmentioned.
const REPEAT_AFTER: Duration = Duration::from_secs(30);

/// A kind of trouble; lines of one kind are limited together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Trouble {
    /// No broker answers.
    Unreachable,
    /// The broker refuses what this client asks for.
    Denied,
    /// A topic does not exist.
    NoTopic,
    /// The group cannot be joined, or gives too little.
    Group,
    /// Anything else, by its code.
    Code(i32),
}

/// Log lines about one cluster.
#[derive(Debug)]
pub(super) struct Notices {
    brokers: String,
    said: Mutex<HashMap<Trouble, Instant>>,
}

impl Notices {
    /// Lines about the cluster at `brokers`.
    pub(super) fn new(brokers: &str) -> Self {
        Self { brokers: brokers.to_owned(), said: Mutex::default() }
    }

    /// Logs `text` unless the same trouble was logged lately.
    pub(super) fn warn(&self, trouble: Trouble, text: &str) {
        if self.is_due(trouble, Instant::now()) {
            warn!(brokers = %self.brokers, "{text}");
        } else {
            debug!(brokers = %self.brokers, "{text}");
        }
    }

    /// Forgets the trouble and says that it is over, if it was mentioned.
    pub(super) fn over(&self, trouble: Trouble, text: &str) {
        let said = self.lock().remove(&trouble);
        if said.is_some() {
            info!(brokers = %self.brokers, "{text}");
        }
    }

    /// The brokers answer.
    pub(super) fn answered(&self) {
        self.over(Trouble::Unreachable, "kafka answers again");
    }

    /// Logs an error of a client with what to do about it.
    pub(super) fn error(&self, code: RDKafkaErrorCode, reason: &str) {
        if is_passing(code) {
            debug!(brokers = %self.brokers, ?code, "{reason}");
            return;
        }
        let (trouble, text) = explain(code, reason);
        self.warn(trouble, &text);
    }

    /// The [`rdkafka::ClientContext::error`] of every client.
    pub(super) fn client_error(&self, error: &KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            self.error(code, reason);
        } else {
            debug!(brokers = %self.brokers, %error, "{reason}");
        }
    }

    /// The [`rdkafka::ClientContext::log`] of every client.
    pub(super) fn client_log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(brokers = %self.brokers, ?level, facility, "librdkafka: {message}");
    }

    fn is_due(&self, trouble: Trouble, now: Instant) -> bool {
        let mut said = self.lock();
        let last = said.get(&trouble).copied();
        let due = last.is_none_or(|last| now.duration_since(last) >= REPEAT_AFTER);
        if due {
            said.insert(trouble, now);
        }
        due
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Trouble, Instant>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the client heals it by itself, or says it otherwise.
fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        // One of several brokers, or an idle connection that was closed. When all are away,
        // `AllBrokersDown` follows.
        Code::BrokerTransportFailure
            | Code::PartitionEOF
            | Code::WaitingForCoordinator
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::NotCoordinator
            | Code::NotLeaderForPartition
            | Code::LeaderNotAvailable
            | Code::RebalanceInProgress
    )
}

/// Whether the brokers did not answer at all.
pub(super) fn is_unreachable(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::NetworkException
            | Code::BrokerNotAvailable
    )
}

/// What an error means and what to do about it.
pub(super) fn explain(code: RDKafkaErrorCode, reason: &str) -> (Trouble, String) {
    use RDKafkaErrorCode as Code;
    let (trouble, text) = match code {
        code if is_unreachable(code) => (
            Trouble::Unreachable,
            "no kafka broker answers; trying again until one does (check bootstrap_servers, the \
             network and whether the broker runs)",
        ),
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => (
            Trouble::NoTopic,
            "a topic does not exist; trying again until it does (create it, or correct its name)",
        ),
        Code::TopicAuthorizationFailed => (
            Trouble::Denied,
            "kafka denies access to a topic; trying again (grant READ and DESCRIBE on topics that \
             are read, WRITE and DESCRIBE on topics that are written)",
        ),
        Code::GroupAuthorizationFailed => {
            (Trouble::Denied, "kafka denies access to the group; trying again (grant READ on it)")
        }
        Code::ClusterAuthorizationFailed => (
            Trouble::Denied,
            "kafka denies idempotent writing; trying again (grant IDEMPOTENT_WRITE on the cluster)",
        ),
        Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL => (
            Trouble::Denied,
            "kafka does not let this client in; trying again (check credentials and listener)",
        ),
        Code::InvalidSessionTimeout => (
            Trouble::Group,
            "kafka refuses session_timeout_ms; trying again (choose a value between the broker's \
             group.min.session.timeout.ms and group.max.session.timeout.ms)",
        ),
        Code::InconsistentGroupProtocol => (
            Trouble::Group,
            "the group has members with another assignment strategy; trying again (stop them, or \
             use another group_id)",
        ),
        other => (Trouble::Code(other as i32), "kafka reports an error; trying again"),
    };
    (trouble, if reason.is_empty() { text.to_owned() } else { format!("{text}: {reason}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_said_once_in_thirty_seconds() {
        let notices = Notices::new("localhost:9092");
        let now = Instant::now();
        assert!(notices.is_due(Trouble::Unreachable, now));
        assert!(!notices.is_due(Trouble::Unreachable, now + Duration::from_secs(29)));
        assert!(notices.is_due(Trouble::NoTopic, now));
        assert!(notices.is_due(Trouble::Unreachable, now + Duration::from_secs(31)));
    }

    #[test]
    fn trouble_that_is_over_is_said_at_once_when_it_returns() {
        let notices = Notices::new("localhost:9092");
        let now = Instant::now();
        assert!(notices.is_due(Trouble::Unreachable, now));
        notices.answered();
        assert!(notices.is_due(Trouble::Unreachable, now));
    }

    #[test]
    fn explanations_say_what_to_do() {
        let (trouble, text) = explain(RDKafkaErrorCode::TopicAuthorizationFailed, "orders");
        assert_eq!(trouble, Trouble::Denied);
        assert!(text.contains("grant READ") && text.ends_with(": orders"), "{text}");
        assert_eq!(explain(RDKafkaErrorCode::AllBrokersDown, "").0, Trouble::Unreachable);
    }
}
