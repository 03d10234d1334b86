//! A run whose commits are Kafka transactions: results, state and positions become visible together.
//!
//! | file | subject |
//! | --- | --- |
//! | `routes` | what goes into the transaction, and what leaves outside it |
//! | `outside`, `live` | sinks that are fed after the commit: from the outbox, from memory |
//! | `encode` | a commit as records, and state read back as what a pipeline goes on from |
//! | `partitions` | which partitions the group gave, and which are counted |
//! | `worker` | the worker's loop; `start`, `orders` of the commit driver, `closing` |

mod encode;
mod live;
mod outside;
mod partitions;
mod routes;
mod worker;

use std::{sync::Arc, time::Duration};

use crossbeam_channel::Receiver;
use llm_optimizer_config::{ProcessorConfig, settings::Delivery};
use tracing::info;

use outside::OutsideSettings;
use routes::Promise;
pub(super) use routes::{Inside, Routes};
pub(super) use worker::run;

use super::{job::JobSettings, keeping::planted_fault, worker::Pipeline};
use crate::{
    commit::{Fingerprint, embedded::Patience, kafka::KafkaCommitSettings},
    error::{ProcessorError, ProcessorResult},
    kafka::{
        CommitIoSettings, Generation, GroupDesk, GroupNews, GroupRestoreSettings, InternalTopic,
        LocalCopySettings, MAX_PIPELINES, OutboxSettings, Requirements, TransactionSettings,
    },
};

/// A transaction may take as long as a session, and at least this long.
const LEAST_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(6);

/// A transaction of a restore holds about so much: of a slow network well within its timeout.
const MAX_RESTORE_BYTES: usize = 4 << 20;

/// Makes the pipelines anew, without outputs, when their state was lost.
pub(super) type Rebuild = Box<dyn Fn() -> ProcessorResult<Vec<Pipeline>> + Send>;

/// What a run with transactions has besides a source and pipelines.
pub struct KafkaCommits {
    machine: KafkaCommitSettings,
    io: CommitIoSettings,
    desk: Arc<GroupDesk>,
    news: Receiver<GroupNews>,
    routes: Vec<Routes>,
    outside: OutsideSettings,
    rebuild: Rebuild,
}

/// Which state of the group is used, and where a copy of it is kept.
pub(super) struct KafkaState {
    pub(super) generation: Arc<Generation>,
    pub(super) copy: Option<LocalCopySettings>,
}

/// Who commits, and what of the cluster that needs.
pub(super) struct Committer {
    pub(super) desk: Arc<GroupDesk>,
    pub(super) requirements: Requirements,
    news: Receiver<GroupNews>,
    machine: KafkaCommitSettings,
    io: CommitIoSettings,
    outside: OutsideSettings,
}

impl Committer {
    /// For the pipelines of `config`, with `routes` in their order.
    ///
    /// # Errors
    /// [`ProcessorError::Config`] if a name of a topic of our own cannot be.
    pub(super) fn new(
        config: &ProcessorConfig,
        settings: &JobSettings,
        instance_id: &str,
        routes: &[Routes],
        state: KafkaState,
    ) -> ProcessorResult<Self> {
        let consumer = &config.kafka.consumer;
        let count = config.pipelines().len();
        if count > MAX_PIPELINES || count * usize::from(config.key_groups) > usize::from(u16::MAX) {
            return Err(ProcessorError::Config(format!(
                "pipelines: {count} with key_groups {} are more than commits on Kafka hold: at most {MAX_PIPELINES} pipelines, \
                 and {} key groups in all; run the others as another process with another group_id",
                config.key_groups,
                u16::MAX
            )));
        }
        let session_timeout = session_timeout(config);
        let transaction = transaction_settings(config, instance_id);
        let fingerprint = Fingerprint::of(config);
        let named = config.pipelines();
        let outboxes = named.iter().zip(routes).map(|(pipeline, routes)| {
            let topic = routes
                .kept
                .any()
                .then(|| InternalTopic::outbox(&consumer.group_id, &pipeline.name, 1));
            topic.transpose()
        });
        let outboxes = outboxes.collect::<Result<Vec<_>, _>>().map_err(ProcessorError::Config)?;
        let changelogs = changelogs(config)?;
        let io = CommitIoSettings {
            producer: config.kafka.producer.clone(),
            transaction: transaction.clone(),
            group: consumer.group_id.clone(),
            instance_id: instance_id.to_owned(),
            changelogs: changelogs.iter().map(|topic| topic.name.clone()).collect(),
            key_groups: config.key_groups,
            generation: Arc::clone(&state.generation),
            copy: state.copy,
            fingerprint: Some(fingerprint.clone()),
        };
        let incarnation = uuid::Uuid::new_v4().as_u64_pair().0;
        let mut machine = KafkaCommitSettings::new(
            settings.commit,
            instance_id.to_owned(),
            incarnation,
            fingerprint.hash(),
        );
        machine.transaction_timeout_ms =
            i64::try_from(transaction.transaction_timeout.as_millis()).unwrap_or(i64::MAX);
        let patience = Patience {
            max_retries: settings.max_retries,
            initial: settings.initial_retry_delay,
            longest: settings.max_retry_delay,
        };
        let topic = |topic: &Option<InternalTopic>| topic.as_ref().map(|topic| topic.name.clone());
        let outbox = OutboxSettings {
            bootstrap_servers: consumer.bootstrap_servers.clone(),
            group: consumer.group_id.clone(),
            member: transaction.transactional_id.clone(),
            session_timeout,
            pipelines: named
                .iter()
                .map(|one| one.name.clone())
                .zip(outboxes.iter().map(topic))
                .collect(),
            patience,
            max_bytes: config.max_outbox_bytes,
            planted: planted_fault()?,
        };
        let outside = OutsideSettings { outbox, patience };
        let requirements = Requirements {
            transaction,
            producer: config.kafka.producer.clone(),
            group: consumer.group_id.clone(),
            session_timeout,
            topics: changelogs.into_iter().chain(outboxes.into_iter().flatten()).collect(),
            read: consumer.topics.first().map(|topic| (topic.clone(), 0)),
            written: routes.iter().flat_map(Routes::topics).collect(),
            generation: state.generation,
        };
        let (desk, news) = GroupDesk::new();
        Ok(Self { desk, requirements, news, machine, io, outside })
    }

    /// What the run needs, once the pipelines are there.
    pub(super) fn commits(self, routes: Vec<Routes>, rebuild: Rebuild) -> KafkaCommits {
        let Self { desk, news, machine, io, outside, .. } = self;
        KafkaCommits { machine, io, desk, news, routes, outside, rebuild }
    }
}

fn session_timeout(config: &ProcessorConfig) -> Duration {
    Duration::from_millis(config.kafka.consumer.session_timeout_ms)
}

/// Who writes transactions for `config`: its name is that of the instance in the group.
fn transaction_settings(config: &ProcessorConfig, instance_id: &str) -> TransactionSettings {
    let consumer = &config.kafka.consumer;
    TransactionSettings {
        bootstrap_servers: consumer.bootstrap_servers.clone(),
        transactional_id: format!("{}-{instance_id}", consumer.group_id),
        transaction_timeout: session_timeout(config).max(LEAST_TRANSACTION_TIMEOUT),
    }
}

/// The changelog of each pipeline in the group's first state.
fn changelogs(config: &ProcessorConfig) -> ProcessorResult<Vec<InternalTopic>> {
    let group = &config.kafka.consumer.group_id;
    let pipelines = config.pipelines();
    let topics = pipelines
        .iter()
        .map(|pipeline| InternalTopic::changelog(group, &pipeline.name, config.key_groups));
    topics.collect::<Result<_, _>>().map_err(ProcessorError::Config)
}

/// What a checkpoint is restored into: the group of `config`, by the instance that will run it.
///
/// # Errors
/// [`ProcessorError::Config`] if a name of a topic of our own cannot be.
pub(super) fn restore_settings(
    config: &ProcessorConfig,
    instance_id: &str,
) -> ProcessorResult<GroupRestoreSettings> {
    let consumer = &config.kafka.consumer;
    let requirements = Requirements {
        transaction: transaction_settings(config, instance_id),
        producer: config.kafka.producer.clone(),
        group: consumer.group_id.clone(),
        session_timeout: session_timeout(config),
        topics: changelogs(config)?,
        read: consumer.topics.first().map(|topic| (topic.clone(), 0)),
        // A restore writes none of them; the run looks.
        written: Vec::new(),
        generation: Arc::new(Generation::new(true)),
    };
    let max_bytes = usize::try_from(config.max_commit_bytes).unwrap_or(usize::MAX);
    Ok(GroupRestoreSettings {
        requirements,
        instance_id: instance_id.to_owned(),
        topics: consumer.topics.clone(),
        pipelines: config.pipelines().into_iter().map(|pipeline| pipeline.name).collect(),
        key_groups: config.key_groups,
        fingerprint: Fingerprint::of(config),
        max_transaction_bytes: max_bytes.min(MAX_RESTORE_BYTES),
    })
}

/// Says what a crash costs.
pub(super) fn announce(config: &ProcessorConfig, routes: &[Routes]) {
    let group = &config.kafka.consumer.group_id;
    let mut promises: Vec<_> = routes.iter().flat_map(|routes| &routes.promises).collect();
    promises.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    promises.dedup();
    let is_inside = promises.iter().all(|(_, promise)| *promise == Promise::Transaction);
    match (config.delivery, is_inside) {
        (Delivery::ExactlyOnce, true) => info!(
            %group,
            "delivery is exactly once: results, late events, dead letters, state and positions are committed in one \
             transaction; readers need isolation.level=read_committed"
        ),
        (Delivery::ExactlyOnce, false) => info!(
            %group,
            "state, positions and all output are committed in one transaction; sinks that are not topics of the \
             source's cluster get what is committed, each as said here"
        ),
        (Delivery::AtLeastOnce, _) => info!(
            %group,
            "delivery is at least once: results are written before the transaction with state and positions; after a \
             crash the last result of each window_id counts"
        ),
    }
    for (sink, promise) in promises.into_iter().filter(|_| !is_inside) {
        info!(sink, gets = promise.text(), "delivery");
    }
}
