//! What a failed step of a transaction means, by error code.
//!
//! | kind | codes | why |
//! | --- | --- | --- |
//! | fenced | `PRODUCER_FENCED`, `INVALID_PRODUCER_EPOCH`, librdkafka's `_FENCED`, `FENCED_INSTANCE_ID`, at every step | another process has this id, or the coordinator gave the transaction up: whatever this process holds may be old |
//! | refused | denied access; a record, topic or setting the broker refuses; a client that is set up wrongly | the same again fails the same way; somebody must do something first |
//! | ambiguous | everything else at `commit` and `abort`, but `_INCONSISTENT` at `commit` | the request may have arrived. Only the committed offsets know |
//! | fatal | what else ends the client | the producer must be replaced; before `commit` nothing of it can become visible |
//! | abortable | `_INCONSISTENT` at `commit` (a record failed, nothing was asked for yet); what librdkafka wants aborted; every failed record; `ILLEGAL_GENERATION`, `UNKNOWN_MEMBER_ID` | nothing of the transaction becomes visible; the group may have changed meanwhile |
//! | retriable | what librdkafka calls retriable, and brokers that are away, at `init`, `begin` and `offsets` | the call changed nothing |
//!
//! Codes are looked at before librdkafka's own marks, because it marks `FENCED_INSTANCE_ID` and refused records as
//! abortable, and a commit that timed out as retriable.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{committed::is_denied, notices::is_unreachable};
use crate::error::ProcessorError;

/// A step of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionStep {
    /// Taking the transactional id; aborts what its last owner left open.
    Init,
    /// Beginning.
    Begin,
    /// A record.
    Produce,
    /// Sending the offsets.
    Offsets,
    /// Committing.
    Commit,
    /// Aborting.
    Abort,
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The call changed nothing and may be made again.
    Retriable,
    /// Nothing of the transaction will be visible; abort it, then the same content may be sent again.
    Abortable,
    /// Another process owns this id, or a newer epoch of it: drop everything, close, join again later.
    Fenced,
    /// Nobody knows whether the transaction was committed: replace the producer, `init`, look at the committed
    /// offsets.
    Ambiguous,
    /// The producer is of no more use: replace it and `init`, which aborts what it left open.
    Fatal,
    /// The same again fails the same way; the text says what to do.
    Refused,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionFailure {
    /// What was done.
    pub step: TransactionStep,
    /// What it means.
    pub kind: FailureKind,
    /// Kafka's code.
    pub code: RDKafkaErrorCode,
    /// What happened, and what to do if somebody must.
    pub text: String,
}

impl TransactionFailure {
    /// Classifies an error of a call.
    pub(super) fn of(step: TransactionStep, error: &KafkaError) -> Self {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let marks = match error {
            KafkaError::Transaction(error) => Marks {
                ends_client: error.is_fatal(),
                wants_abort: error.txn_requires_abort(),
                may_repeat: error.is_retriable(),
            },
            _ => Marks::default(),
        };
        let said = match error {
            KafkaError::Transaction(error) => error.string(),
            other => other.to_string(),
        };
        Self::new(step, classify(step, code, marks), code, &said)
    }

    /// Classifies the report on a record that was not written.
    pub(super) fn of_record(code: RDKafkaErrorCode, said: &str) -> Self {
        let step = TransactionStep::Produce;
        Self::new(step, classify(step, code, Marks::default()), code, said)
    }

    /// A failure that this process found itself.
    pub(super) fn found(step: TransactionStep, kind: FailureKind, said: &str) -> Self {
        Self::new(step, kind, RDKafkaErrorCode::InvalidArgument, said)
    }

    /// There is no producer: it was thrown away, or never made.
    pub(super) fn no_producer() -> Self {
        Self::new(
            TransactionStep::Begin,
            FailureKind::Fatal,
            RDKafkaErrorCode::State,
            "there is no producer",
        )
    }

    /// What leaves outside the transaction did not.
    pub(super) fn undelivered(error: &ProcessorError) -> Self {
        let kind = if error.is_final() { FailureKind::Refused } else { FailureKind::Abortable };
        Self::new(TransactionStep::Produce, kind, RDKafkaErrorCode::Fail, &error.to_string())
    }

    /// No producer can have these settings.
    pub(super) fn unusable(error: &ProcessorError) -> Self {
        Self::found(TransactionStep::Init, FailureKind::Refused, &error.to_string())
    }

    fn new(step: TransactionStep, kind: FailureKind, code: RDKafkaErrorCode, said: &str) -> Self {
        let text =
            advice(code).map_or_else(|| said.to_owned(), |advice| format!("{said}: {advice}"));
        Self { step, kind, code, text }
    }

    /// Whether somebody must grant access first.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.code == RDKafkaErrorCode::TransactionalIdAuthorizationFailed || is_denied(self.code)
    }

    /// Whether the group has moved on: the same content needs the group metadata of the next rebalance.
    #[must_use]
    pub fn is_stale_membership(&self) -> bool {
        use RDKafkaErrorCode as Code;
        matches!(
            self.code,
            Code::IllegalGeneration | Code::UnknownMemberId | Code::RebalanceInProgress
        )
    }
}

impl fmt::Display for TransactionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "transaction failed at {:?} ({:?}, {:?}): {}",
            self.step, self.kind, self.code, self.text
        )
    }
}

impl std::error::Error for TransactionFailure {}

impl From<TransactionFailure> for ProcessorError {
    fn from(failure: TransactionFailure) -> Self {
        Self::Unavailable { name: "kafka".into(), reason: failure.to_string() }
    }
}

/// What librdkafka says about an error besides its code.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    ends_client: bool,
    wants_abort: bool,
    may_repeat: bool,
}

/// The table at the top of this file.
fn classify(step: TransactionStep, code: RDKafkaErrorCode, marks: Marks) -> FailureKind {
    use FailureKind::{Abortable, Ambiguous, Fatal, Fenced, Refused, Retriable};
    use TransactionStep as Step;
    if is_fenced(code) {
        return Fenced;
    }
    if is_refused(code) || is_misuse(code) {
        return Refused;
    }
    match step {
        Step::Commit if code == RDKafkaErrorCode::Inconsistent => Abortable,
        Step::Commit | Step::Abort => Ambiguous,
        Step::Init | Step::Begin | Step::Produce | Step::Offsets if marks.ends_client => Fatal,
        Step::Offsets if marks.may_repeat && !marks.wants_abort => Retriable,
        Step::Produce | Step::Offsets => Abortable,
        Step::Init | Step::Begin if marks.may_repeat || is_unreachable(code) => Retriable,
        Step::Init | Step::Begin => Fatal,
    }
}

fn is_fenced(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch | Code::FencedInstanceId
    )
}

/// What the broker refuses however often it is asked.
fn is_refused(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::TransactionalIdAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::SSL
            | Code::InvalidTransactionTimeout
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
            | Code::UnsupportedForMessageFormat
            | Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::InvalidTopic
            | Code::OffsetMetadataTooLarge
            | Code::InvalidGroupId
            | Code::PolicyViolation
    )
}

/// What only this program can have done wrong.
fn is_misuse(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::InvalidArgument | Code::NotConfigured | Code::NotImplemented)
}

/// What somebody can do.
fn advice(code: RDKafkaErrorCode) -> Option<&'static str> {
    use RDKafkaErrorCode as Code;
    Some(match code {
        Code::TransactionalIdAuthorizationFailed => {
            "grant WRITE and DESCRIBE on the transactional id <group>-<instance id>"
        }
        Code::ClusterAuthorizationFailed => "grant IDEMPOTENT_WRITE on the cluster",
        Code::TopicAuthorizationFailed => "grant WRITE and DESCRIBE on the topic",
        Code::GroupAuthorizationFailed => "grant READ on the group",
        Code::InvalidTransactionTimeout => {
            "lower the transaction timeout or raise the broker's transaction.max.timeout.ms"
        }
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => {
            "raise max.message.bytes of the topic to 1 MB or more"
        }
        Code::UnsupportedVersion | Code::UnsupportedFeature | Code::UnsupportedForMessageFormat => {
            "the brokers are too old; exactly_once needs Kafka 3.6.1 or later"
        }
        Code::FencedInstanceId
        | Code::ProducerFenced
        | Code::Fenced
        | Code::InvalidProducerEpoch => {
            "another process uses the same group_id and instance_id, or this one was away longer than the transaction timeout"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use RDKafkaErrorCode as Code;

    use super::*;

    const STEPS: [TransactionStep; 6] = [
        TransactionStep::Init,
        TransactionStep::Begin,
        TransactionStep::Produce,
        TransactionStep::Offsets,
        TransactionStep::Commit,
        TransactionStep::Abort,
    ];
    const RETRIABLE: Marks = Marks { ends_client: false, wants_abort: false, may_repeat: true };
    const ABORT: Marks = Marks { ends_client: false, wants_abort: true, may_repeat: false };
    const ENDS: Marks = Marks { ends_client: true, wants_abort: false, may_repeat: false };

    #[test]
    fn fenced_is_fenced_whatever_librdkafka_calls_it() {
        for step in STEPS {
            for code in [
                Code::Fenced,
                Code::ProducerFenced,
                Code::InvalidProducerEpoch,
                Code::FencedInstanceId,
            ] {
                for marks in [RETRIABLE, ABORT, ENDS] {
                    assert_eq!(
                        classify(step, code, marks),
                        FailureKind::Fenced,
                        "{step:?} {code:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_commit_that_timed_out_may_have_happened() {
        for code in [Code::OperationTimedOut, Code::BrokerTransportFailure, Code::UnknownProducerId]
        {
            for marks in [RETRIABLE, ABORT, ENDS] {
                let kind = classify(TransactionStep::Commit, code, marks);
                assert_eq!(kind, FailureKind::Ambiguous, "{code:?}");
            }
        }
    }

    #[test]
    fn a_commit_with_failed_records_was_never_asked_for() {
        let kind = classify(TransactionStep::Commit, Code::Inconsistent, ABORT);
        assert_eq!(kind, FailureKind::Abortable);
    }

    #[test]
    fn refused_access_and_records_say_what_to_do() {
        for code in [
            Code::TransactionalIdAuthorizationFailed,
            Code::TopicAuthorizationFailed,
            Code::MessageSizeTooLarge,
        ] {
            let failure = TransactionFailure::of_record(code, "no");
            assert_eq!(failure.kind, FailureKind::Refused);
            assert!(failure.text.starts_with("no: ") && failure.text.len() > 10, "{failure}");
        }
    }

    #[test]
    fn an_old_generation_aborts_and_waits_for_the_next_rebalance() {
        let failure = TransactionFailure {
            step: TransactionStep::Offsets,
            kind: classify(TransactionStep::Offsets, Code::IllegalGeneration, ABORT),
            code: Code::IllegalGeneration,
            text: String::new(),
        };
        assert_eq!((failure.kind, failure.is_stale_membership()), (FailureKind::Abortable, true));
    }

    #[test]
    fn brokers_that_are_away_at_the_start_are_waited_for() {
        for step in [TransactionStep::Init, TransactionStep::Begin] {
            assert_eq!(classify(step, Code::OperationTimedOut, RETRIABLE), FailureKind::Retriable);
            assert_eq!(
                classify(step, Code::AllBrokersDown, Marks::default()),
                FailureKind::Retriable
            );
        }
    }

    #[test]
    fn a_client_that_ended_is_replaced() {
        for step in [TransactionStep::Begin, TransactionStep::Offsets, TransactionStep::Produce] {
            assert_eq!(classify(step, Code::InvalidTransactionalState, ENDS), FailureKind::Fatal);
        }
    }
}
