//! What commits on Kafka need of the cluster, checked before the group is joined, all faults at once.
//!
//! | need | looked up in |
//! | --- | --- |
//! | Kafka 3.6.1 or later, with verified transactions (KIP-890) | `transaction.partition.verification.enable`, which older brokers do not have |
//! | transactions as long as ours | `transaction.max.timeout.ms` |
//! | sessions as long as ours | `group.min.session.timeout.ms`, `group.max.session.timeout.ms` |
//! | topics of our own with the right policy | `internal_topics`; of which state, say the group's committed offsets |
//! | topics of others that are written | their metadata |
//! | access to the group | its committed offsets |
//! | access to the transactional id | `init_transactions`, last and only if all else is right, because it fences who holds the id |
//!
//! The client has no call that tells a broker's version, and 3.6.0 cannot be told from 3.6.1: it is warned about.

use std::{sync::Arc, time::Duration};

use llm_optimizer_config::settings::KafkaProducerConfig;
use rdkafka::error::RDKafkaErrorCode;
use tracing::warn;

use super::{
    admin::{Admin, Settings},
    cluster::{NotYet, TopicPartition},
    committed::{CommittedOffsets, is_denied},
    failure::FailureKind,
    generation::Generation,
    internal_topics::InternalTopic,
    notices::{Notices, explain},
    own_topics::OwnTopics,
    transaction::{TransactionSettings, TransactionalProducer},
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    source::StopToken,
};

/// How long one answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What this process will ask of the cluster.
#[derive(Debug, Clone)]
pub struct Requirements {
    /// Who writes transactions; its brokers are those that are checked.
    pub transaction: TransactionSettings,
    /// How it writes.
    pub producer: KafkaProducerConfig,
    /// The group.
    pub group: String,
    /// Session timeout of its members.
    pub session_timeout: Duration,
    /// Topics of our own.
    pub topics: Vec<InternalTopic>,
    /// Some partition that is read, to ask the group about.
    pub read: Option<TopicPartition>,
    /// Topics that are written and not our own; they must exist.
    pub written: Vec<String>,
    /// Which state is used; found here.
    pub generation: Arc<Generation>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// What must be changed first, each with how.
    pub faults: Vec<String>,
    /// What may go on as it is.
    pub warnings: Vec<String>,
    /// How many of the faults are missing access.
    pub denied: usize,
}

impl Findings {
    pub(super) fn fault(&mut self, text: impl Into<String>) {
        self.faults.push(text.into());
    }

    pub(super) fn denial(&mut self, text: impl Into<String>) {
        self.denied += 1;
        self.fault(text);
    }

    fn warning(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// Logs the warnings; all faults together are one error.
    ///
    /// # Errors
    /// [`ProcessorError::Denied`] if access is missing and nothing else, [`ProcessorError::Unavailable`] for other faults.
    pub fn into_result(self, cluster: &str) -> ProcessorResult<()> {
        for warning in &self.warnings {
            warn!(brokers = cluster, "{warning}");
        }
        if self.faults.is_empty() {
            return Ok(());
        }
        let count = self.faults.len();
        let what = if count == 1 { "thing" } else { "things" };
        let list = self.faults.join("\n  - ");
        let reason =
            format!("{count} {what} must be changed before commits can be kept here:\n  - {list}");
        let name = format!("kafka at {cluster}");
        Err(if self.denied == count {
            ProcessorError::Denied { name, reason }
        } else {
            ProcessorError::Unavailable { name, reason }
        })
    }
}

impl Requirements {
    /// Checks all, and makes the topics that are missing.
    ///
    /// # Errors
    /// [`ProcessorError::Unavailable`] if brokers do not answer: ask again.
    pub fn check(&self, stop: &StopToken) -> ProcessorResult<Findings> {
        self.check_for(self.read.as_slice(), stop)
    }

    /// As [`check`](Self::check), for a source of these partitions.
    pub(super) fn check_for(
        &self,
        inputs: &[TopicPartition],
        stop: &StopToken,
    ) -> ProcessorResult<Findings> {
        let brokers = &self.transaction.bootstrap_servers;
        let notices = Arc::new(Notices::new(brokers));
        let admin = Admin::new(brokers, &self.transaction.transactional_id, notices)?;
        let mut findings = Findings::default();
        self.check_brokers(&admin, &mut findings)?;
        self.check_group(inputs, stop, &mut findings)?;
        self.own_topics().check(&admin, &mut findings)?;
        self.check_written(&admin, &mut findings)?;
        if findings.faults.is_empty() && !stop.is_stopped() {
            self.check_transactional_id(&mut findings)?;
        }
        Ok(findings)
    }

    fn own_topics(&self) -> OwnTopics<'_> {
        OwnTopics {
            brokers: &self.transaction.bootstrap_servers,
            topics: &self.topics,
            generation: &self.generation,
        }
    }

    fn check_brokers(&self, admin: &Admin, findings: &mut Findings) -> ProcessorResult<()> {
        let any_topic = self.topics.first().map_or("", |topic| &topic.name);
        let metadata = admin.metadata(any_topic).map_err(|error| self.unanswered(error))?;
        for broker in metadata.brokers() {
            let settings =
                admin.broker_settings(broker.id()).map_err(|error| self.unanswered(error))?;
            self.judge_broker(broker.id(), &settings, findings);
        }
        Ok(())
    }

    fn judge_broker(&self, broker: i32, settings: &Settings, findings: &mut Findings) {
        if settings.is_empty() {
            findings.warning(format!(
                "broker {broker} does not show its settings, so its version and limits are not checked; grant \
                 DESCRIBE_CONFIGS on the cluster (Kafka 3.6.1 or later is needed)"
            ));
            return;
        }
        judge_version(broker, settings, findings);
        let number = |name: &str| settings.get(name).and_then(|value| value.parse::<u128>().ok());
        let transaction_ms = self.transaction.transaction_timeout.as_millis();
        if let Some(most) =
            number("transaction.max.timeout.ms").filter(|most| transaction_ms > *most)
        {
            findings.fault(format!(
                "broker {broker} allows transactions of {most} ms, and they may take {transaction_ms} ms here; raise \
                 transaction.max.timeout.ms, or lower session_timeout_ms"
            ));
        }
        let session_ms = self.session_timeout.as_millis();
        let least = number("group.min.session.timeout.ms").unwrap_or(0);
        let most = number("group.max.session.timeout.ms").unwrap_or(u128::MAX);
        if session_ms < least || session_ms > most {
            findings.fault(format!(
                "broker {broker} allows sessions of {least} to {most} ms and kafka.consumer.session_timeout_ms is \
                 {session_ms}; choose a value between them"
            ));
        }
    }

    /// A topic that is missing may be made any moment; one that is denied is a fault.
    fn check_written(&self, admin: &Admin, findings: &mut Findings) -> ProcessorResult<()> {
        for topic in &self.written {
            let metadata = admin.metadata(topic).map_err(|error| self.unanswered(error))?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            let missing = RDKafkaErrorCode::UnknownTopicOrPartition;
            let code =
                found.map_or(Some(missing), |found| found.error().map(RDKafkaErrorCode::from));
            let Some(code) = code else { continue };
            let (trouble, text) = explain(code, &format!("`{topic}`"));
            if is_denied(code) {
                findings.denial(settled(&text));
            } else {
                return Err(self.unanswered(NotYet { trouble, text }));
            }
        }
        Ok(())
    }

    fn check_group(
        &self,
        inputs: &[TopicPartition],
        stop: &StopToken,
        findings: &mut Findings,
    ) -> ProcessorResult<()> {
        if inputs.is_empty() {
            return Ok(());
        }
        let TransactionSettings { bootstrap_servers, transactional_id, .. } = &self.transaction;
        // What this instance left open is decided only when it takes its id again, so it is not waited for. Were that the first
        // commit of a newer state, the offsets that the start is made from say so (`CommitIo`).
        let client =
            CommittedOffsets::decided_before(bootstrap_servers, transactional_id, &self.group)?;
        match client.fetch_coded(inputs, PATIENCE, stop) {
            Ok(committed) => {
                self.generation.settle(&committed);
            }
            Err(code) if is_denied(code) => findings.denial(settled(&client.explain(code))),
            Err(code) => {
                let (trouble, text) = explain(code, &client.explain(code));
                return Err(self.unanswered(NotYet { trouble, text }));
            }
        }
        Ok(())
    }

    fn check_transactional_id(&self, findings: &mut Findings) -> ProcessorResult<()> {
        let mut producer = TransactionalProducer::open(&self.producer, &self.transaction)?;
        match producer.init(PATIENCE) {
            Ok(()) => {}
            Err(failure) if failure.kind == FailureKind::Refused => {
                let id = &self.transaction.transactional_id;
                let text = format!("transactional id `{id}`: {}", failure.text);
                if failure.is_denied() { findings.denial(text) } else { findings.fault(text) }
            }
            Err(failure) => return Err(failure.into()),
        }
        Ok(())
    }

    fn unanswered(&self, not_yet: NotYet) -> ProcessorError {
        ProcessorError::Unavailable {
            name: format!("kafka at {}", self.transaction.bootstrap_servers),
            reason: not_yet.text,
        }
    }
}

/// A text of something that is tried again, for what is not.
fn settled(text: &str) -> String {
    text.replace("; trying again", "")
}

fn judge_version(broker: i32, settings: &Settings, findings: &mut Findings) {
    let verified = settings.get("transaction.partition.verification.enable").map(String::as_str);
    match verified {
        None => findings.fault(format!(
            "broker {broker} is older than Kafka 3.6.1: a transaction of a process that died could stay open for ever; \
             upgrade the brokers, or use delivery: at_least_once with another source"
        )),
        Some("false") => findings.fault(format!(
            "broker {broker} has transaction.partition.verification.enable=false: a late request could leave a \
             transaction open for ever; set it to true"
        )),
        Some(_) => {}
    }
    // Brokers from 4.0 on do not have this setting any more.
    let protocol = settings.get("inter.broker.protocol.version").map_or("", String::as_str);
    if protocol.starts_with("3.6") {
        findings.warning(format!(
            "broker {broker} is Kafka 3.6 or speaks as one; make sure that it is not 3.6.0, whose transactions can fail \
             without need"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirements(transaction_ms: u64, session_ms: u64) -> Requirements {
        Requirements {
            transaction: TransactionSettings {
                bootstrap_servers: "localhost:9092".into(),
                transactional_id: "g-i".into(),
                transaction_timeout: Duration::from_millis(transaction_ms),
            },
            producer: KafkaProducerConfig::default(),
            group: "g".into(),
            session_timeout: Duration::from_millis(session_ms),
            topics: vec![],
            read: None,
            written: vec![],
            generation: Arc::default(),
        }
    }

    fn judged(requirements: &Requirements, settings: &[(&str, &str)]) -> Findings {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut findings = Findings::default();
        requirements.judge_broker(1, &settings, &mut findings);
        findings
    }

    const VERIFIED: (&str, &str) = ("transaction.partition.verification.enable", "true");

    #[test]
    fn a_broker_with_room_passes() {
        let settings = [
            VERIFIED,
            ("transaction.max.timeout.ms", "900000"),
            ("group.min.session.timeout.ms", "6000"),
            ("group.max.session.timeout.ms", "1800000"),
        ];
        assert_eq!(judged(&requirements(6_000, 6_000), &settings), Findings::default());
    }

    #[test]
    fn brokers_before_verified_transactions_are_refused() {
        let old = judged(&requirements(6_000, 6_000), &[("transaction.max.timeout.ms", "900000")]);
        assert!(old.faults[0].contains("older than Kafka 3.6.1"), "{old:?}");
        let off = judged(&requirements(6_000, 6_000), &[(VERIFIED.0, "false")]);
        assert!(off.faults[0].contains("set it to true"), "{off:?}");
    }

    #[test]
    fn kafka_3_6_is_warned_about() {
        let found = judged(
            &requirements(6_000, 6_000),
            &[VERIFIED, ("inter.broker.protocol.version", "3.6-IV2")],
        );
        assert!(found.faults.is_empty() && found.warnings[0].contains("3.6.0"), "{found:?}");
    }

    #[test]
    fn all_limits_are_reported_at_once() {
        let settings = [
            VERIFIED,
            ("transaction.max.timeout.ms", "5000"),
            ("group.max.session.timeout.ms", "10000"),
        ];
        let found = judged(&requirements(6_000, 30_000), &settings);
        assert_eq!(found.faults.len(), 2, "{found:?}");
        let error = found.into_result("localhost:9092").unwrap_err().to_string();
        assert!(
            error.contains("2 things") && error.contains("transaction.max.timeout.ms"),
            "{error}"
        );
    }

    #[test]
    fn hidden_settings_are_warned_about() {
        let found = judged(&requirements(6_000, 6_000), &[]);
        assert!(
            found.faults.is_empty() && found.warnings[0].contains("DESCRIBE_CONFIGS"),
            "{found:?}"
        );
    }
}
