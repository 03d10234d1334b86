//! The group that a checkpoint is restored into, and its input: what the brokers say about them.

use std::{
    collections::BTreeMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::consumer::{BaseConsumer, Consumer};
use tracing::info;

use super::{GroupRestoreError, GroupRestoreSettings, plan::RestorePlan};
use crate::{
    error::{ProcessorError, ProcessorResult},
    kafka::{
        Committed, CommittedOffsets, GroupMetadata,
        cluster::{self, LogRange, NotYet, OtherMember, TopicPartition},
        config,
        notices::{Notices, Trouble},
        probe::ProbeContext,
    },
    source::StopToken,
};

/// How long brokers that do not answer are asked again.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// A client that asks, and what it has learned.
pub(super) struct Target<'a> {
    settings: &'a GroupRestoreSettings,
    probe: BaseConsumer<ProbeContext>,
    /// Number of partitions of each topic.
    counts: BTreeMap<String, i32>,
}

impl<'a> Target<'a> {
    /// Asks which partitions there are.
    ///
    /// # Errors
    /// [`ProcessorError::Unavailable`] if nobody answers or a topic is missing, [`ProcessorError::Denied`].
    pub(super) fn find(settings: &'a GroupRestoreSettings) -> ProcessorResult<Self> {
        let transaction = &settings.requirements.transaction;
        let (brokers, id) = (&transaction.bootstrap_servers, &transaction.transactional_id);
        let context = ProbeContext::new(Arc::new(Notices::new(brokers)));
        let probe: BaseConsumer<ProbeContext> =
            config::without_group(brokers, id).create_with_context(context)?;
        let mut target = Self { settings, probe, counts: BTreeMap::new() };
        let counts =
            target.answered(|| cluster::partition_counts(&target.probe, &settings.topics))?;
        target.counts = counts;
        Ok(target)
    }

    /// Every partition of the input.
    pub(super) fn partitions(&self) -> Vec<TopicPartition> {
        cluster::all_partitions(&self.counts)
    }

    /// Everything that comes after the checkpoint must be there.
    ///
    /// # Errors
    /// [`GroupRestoreError::Input`].
    pub(super) fn check_input(&self, plan: &RestorePlan) -> Result<(), GroupRestoreError> {
        for (partition, (position, _)) in &plan.positions {
            let (topic, number) = partition;
            let count = self.counts.get(topic).copied().unwrap_or(0);
            let why = if *number >= count {
                format!(
                    "the topic has {count} partitions: it was made anew; a checkpoint cannot go on with another log"
                )
            } else {
                let LogRange { first, end } =
                    self.answered(|| cluster::log_range(&self.probe, partition))?;
                if *position < first {
                    format!(
                        "the log begins at {first}: what came in between is deleted; take a newer checkpoint, or begin anew \
                         without a restore, and raise the topic's retention"
                    )
                } else if *position > end {
                    format!(
                        "the log ends at {end}: it was made anew; a checkpoint cannot go on with another log"
                    )
                } else {
                    continue;
                }
            };
            let (topic, partition, position) = (topic.clone(), *number, *position);
            return Err(GroupRestoreError::Input { topic, partition, position, why });
        }
        Ok(())
    }

    /// Gives members of the group one session timeout to go: of a process that was killed, or has just ended.
    ///
    /// # Errors
    /// [`GroupRestoreError::HasMembers`].
    pub(super) fn wait_for_the_group(&self) -> Result<(), GroupRestoreError> {
        let session = self.settings.requirements.session_timeout;
        let mut deadline = None;
        loop {
            let Some(member) = self.member()? else { return Ok(()) };
            let deadline = *deadline.get_or_insert_with(|| {
                info!(
                    group = %self.settings.requirements.group, member = %member.name, host = %member.host,
                    "the group has a member; waiting one session timeout for it to go"
                );
                // The broker removes a member up to a heartbeat after its timeout.
                Instant::now() + session + session / 3
            });
            if Instant::now() >= deadline {
                return Err(self.taken(member));
            }
            thread::sleep(AGAIN_AFTER);
        }
    }

    /// Nobody may have joined by now.
    ///
    /// # Errors
    /// [`GroupRestoreError::HasMembers`].
    pub(super) fn must_be_unused(&self) -> Result<(), GroupRestoreError> {
        self.member()?.map_or(Ok(()), |member| Err(self.taken(member)))
    }

    fn member(&self) -> ProcessorResult<Option<OtherMember>> {
        let group = &self.settings.requirements.group;
        let members = self.answered(|| cluster::other_members(&self.probe, group, ""))?;
        Ok(members.into_iter().next())
    }

    fn taken(&self, member: OtherMember) -> GroupRestoreError {
        let (OtherMember { name, host }, group) =
            (member, self.settings.requirements.group.clone());
        GroupRestoreError::HasMembers { group, member: name, host }
    }

    /// Whether this checkpoint was restored into the group already; a group that has committed anything else is refused.
    /// Offsets that are undecided are waited for if there is `patience`, else they count as none.
    ///
    /// # Errors
    /// [`GroupRestoreError::HasOffsets`].
    pub(super) fn is_restored(
        &self,
        plan: &RestorePlan,
        patience: Option<Duration>,
    ) -> Result<bool, GroupRestoreError> {
        let committed = self.committed(patience)?;
        if plan.is_committed(&committed) {
            return Ok(true);
        }
        for ((topic, partition), found) in committed {
            let position = match found {
                Committed::Absent => continue,
                Committed::Known { position, .. } | Committed::Foreign { position, .. } => position,
                Committed::Unstable => {
                    let reason = format!(
                        "a transaction that changes the offset of `{topic}`, partition {partition}, stays undecided: another \
                         process commits for this group; stop it and run the restore again"
                    );
                    return Err(self.unavailable(reason).into());
                }
            };
            let group = self.settings.requirements.group.clone();
            return Err(GroupRestoreError::HasOffsets { group, topic, partition, position });
        }
        Ok(false)
    }

    fn committed(
        &self,
        patience: Option<Duration>,
    ) -> ProcessorResult<Vec<(TopicPartition, Committed)>> {
        let transaction = &self.settings.requirements.transaction;
        let (brokers, id) = (&transaction.bootstrap_servers, &transaction.transactional_id);
        let group = &self.settings.requirements.group;
        let (client, patience) = match patience {
            Some(patience) => (CommittedOffsets::new(brokers, id, group)?, patience),
            None => (CommittedOffsets::decided_before(brokers, id, group)?, PATIENCE),
        };
        let partitions = self.partitions();
        let found = client.fetch(&partitions, patience, &StopToken::default())?;
        Ok(partitions.into_iter().zip(found).collect())
    }

    /// Under what the positions are committed: as a process that is no member, with the name of the one that will be. The
    /// broker takes that while the group has no members, and refuses it as soon as it has.
    ///
    /// # Errors
    /// [`ProcessorError::Internal`] if the client has nothing to give.
    pub(super) fn membership(&self) -> ProcessorResult<GroupMetadata> {
        let transaction = &self.settings.requirements.transaction;
        let (brokers, id) = (&transaction.bootstrap_servers, &transaction.transactional_id);
        let context = ProbeContext::new(Arc::new(Notices::new(brokers)));
        let client: BaseConsumer<ProbeContext> =
            config::group_probe(brokers, id, &self.settings.requirements.group)
                .set("group.instance.id", id)
                .create_with_context(context)?;
        let metadata = client.group_metadata().map(GroupMetadata::new);
        metadata.ok_or_else(|| ProcessorError::Internal("a consumer knows no group".into()))
    }

    /// Asks until somebody answers.
    pub(super) fn answered<T>(
        &self,
        mut ask: impl FnMut() -> Result<T, NotYet>,
    ) -> ProcessorResult<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let NotYet { trouble, text } = match ask() {
                Ok(answer) => return Ok(answer),
                Err(not_yet) => not_yet,
            };
            let text = text.replace("; trying again", "");
            match trouble {
                Trouble::Denied => {
                    let brokers = &self.settings.requirements.transaction.bootstrap_servers;
                    let name = format!("kafka at {brokers}");
                    return Err(ProcessorError::Denied { name, reason: text });
                }
                Trouble::NoTopic => return Err(self.unavailable(text)),
                _ if Instant::now() >= deadline => return Err(self.unavailable(text)),
                _ => {}
            }
            // Serves what the client has to say.
            while self.probe.poll(Duration::ZERO).is_some() {}
            thread::sleep(AGAIN_AFTER);
        }
    }

    fn unavailable(&self, reason: String) -> ProcessorError {
        ProcessorError::Unavailable { name: self.settings.requirements.group.clone(), reason }
    }
}
