//! What a group has committed, with what was committed beside it.
//!
//! The fetch is stable: while a transaction that changes an offset is undecided, the broker answers "unstable" instead of the offset
//! before it. librdkafka asks so only under `read_committed`.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
};

use super::{
    cluster::TopicPartition,
    config,
    notices::{Notices, explain, is_unreachable},
    offset_metadata::{OffsetMetadata, OffsetMetadataError},
    probe::ProbeContext,
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    source::StopToken,
};

/// How long one question may take. The client itself asks again while an offset is undecided, and then says that time is over.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// How soon the group is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What is committed for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// Nothing.
    Absent,
    /// A transaction that changes it is not decided yet, or the group's coordinator is not there yet.
    Unstable,
    /// A position without metadata of this program.
    Foreign {
        /// The next offset to read.
        position: i64,
        /// What is wrong about the metadata.
        reason: OffsetMetadataError,
    },
    /// A position and what was committed with it.
    Known {
        /// The next offset to read.
        position: i64,
        /// What was committed with it.
        metadata: OffsetMetadata,
    },
}

/// Asks for a group's offsets, without being a member.
pub struct CommittedOffsets {
    client: BaseConsumer<ProbeContext>,
    group: String,
}

impl std::fmt::Debug for CommittedOffsets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommittedOffsets").field("group", &self.group).finish_non_exhaustive()
    }
}

impl CommittedOffsets {
    /// A client that asks for the offsets of `group`.
    ///
    /// # Errors
    /// If no client can have these settings.
    pub fn new(bootstrap_servers: &str, client_id: &str, group: &str) -> ProcessorResult<Self> {
        let context = ProbeContext::new(Arc::new(Notices::new(bootstrap_servers)));
        let client = config::group_probe(bootstrap_servers, client_id, group)
            .create_with_context(context)?;
        Ok(Self { client, group: group.to_owned() })
    }

    /// As [`new`](Self::new), but an offset that is undecided is the one before it: never to begin from.
    ///
    /// # Errors
    /// If no client can have these settings.
    pub(super) fn decided_before(
        bootstrap_servers: &str,
        client_id: &str,
        group: &str,
    ) -> ProcessorResult<Self> {
        let context = ProbeContext::new(Arc::new(Notices::new(bootstrap_servers)));
        let mut settings = config::group_probe(bootstrap_servers, client_id, group);
        settings.set("isolation.level", "read_uncommitted");
        Ok(Self { client: settings.create_with_context(context)?, group: group.to_owned() })
    }

    /// Asks until every offset is decided and the coordinator answers, at most as long as `patience`; what is undecided then is
    /// [`Committed::Unstable`]. The answers are in the order of `partitions`.
    ///
    /// # Errors
    /// [`ProcessorError::Unavailable`]: access is denied, or nobody answers.
    pub fn fetch(
        &self,
        partitions: &[TopicPartition],
        patience: Duration,
        stop: &StopToken,
    ) -> ProcessorResult<Vec<Committed>> {
        self.fetch_coded(partitions, patience, stop).map_err(|code| self.unavailable(code))
    }

    /// As [`fetch`](Self::fetch), with Kafka's code as the error.
    pub(super) fn fetch_coded(
        &self,
        partitions: &[TopicPartition],
        patience: Duration,
        stop: &StopToken,
    ) -> Result<Vec<Committed>, RDKafkaErrorCode> {
        let deadline = Instant::now() + patience;
        loop {
            let answer = self.ask(partitions);
            if let Some(code) = self.denied() {
                return Err(code);
            }
            let is_over = stop.is_stopped() || Instant::now() >= deadline;
            match answer {
                Ok(committed) if is_over || !committed.contains(&Committed::Unstable) => {
                    return Ok(committed);
                }
                Err(code) if is_over || !may_heal(code) => return Err(code),
                Ok(_) | Err(_) => thread::sleep(AGAIN_AFTER),
            }
        }
    }

    /// Serves what the client has to say: that access to the coordinator is denied it says only here.
    fn denied(&self) -> Option<RDKafkaErrorCode> {
        while let Some(said) = self.client.poll(Duration::ZERO) {
            let code = said.err().and_then(|error| error.rdkafka_error_code());
            if let Some(code) = code.filter(|code| is_denied(*code)) {
                return Some(code);
            }
        }
        None
    }

    /// What a code means and what to do about it.
    pub(super) fn explain(&self, code: RDKafkaErrorCode) -> String {
        explain(code, &format!("offsets of group `{}`: {code}", self.group)).1
    }

    fn ask(&self, partitions: &[TopicPartition]) -> Result<Vec<Committed>, RDKafkaErrorCode> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            list.add_partition(topic, *partition);
        }
        let code = |error: rdkafka::error::KafkaError| {
            error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)
        };
        let answer = match self.client.committed_offsets(list, ANSWER_TIMEOUT).map_err(code) {
            // The client says so for the whole answer.
            Err(RDKafkaErrorCode::UnstableOffsetCommit) => {
                return Ok(vec![Committed::Unstable; partitions.len()]);
            }
            // While an offset is undecided the client asks again and again, then it says that time is over.
            Err(RDKafkaErrorCode::OperationTimedOut) if self.is_answered() => {
                return Ok(vec![Committed::Unstable; partitions.len()]);
            }
            answer => answer?,
        };
        partitions
            .iter()
            .map(|(topic, partition)| {
                let Some(element) = answer.find_partition(topic, *partition) else {
                    return Ok(Committed::Absent);
                };
                match element.error().map_err(code) {
                    Ok(()) => Ok(read(element.offset(), element.metadata())),
                    Err(RDKafkaErrorCode::UnstableOffsetCommit) => Ok(Committed::Unstable),
                    Err(code) => Err(code),
                }
            })
            .collect()
    }

    /// Whether brokers answer at all.
    fn is_answered(&self) -> bool {
        self.client.fetch_group_list(Some(&self.group), ANSWER_TIMEOUT).is_ok()
    }

    fn unavailable(&self, code: RDKafkaErrorCode) -> ProcessorError {
        ProcessorError::Unavailable { name: self.group.clone(), reason: self.explain(code) }
    }
}

/// Whether somebody must grant access first.
pub(super) fn is_denied(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::GroupAuthorizationFailed
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::SSL
    )
}

fn read(offset: Offset, metadata: &str) -> Committed {
    let Offset::Offset(position) = offset else { return Committed::Absent };
    match OffsetMetadata::decode(metadata) {
        Ok(metadata) => Committed::Known { position, metadata },
        Err(reason) => Committed::Foreign { position, reason },
    }
}

fn may_heal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    is_unreachable(code)
        || matches!(
            code,
            Code::WaitingForCoordinator
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::NotCoordinator
                | Code::RebalanceInProgress
        )
}
