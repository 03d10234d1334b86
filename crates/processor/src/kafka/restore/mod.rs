//! A checkpoint of the local copy becomes the state of a new group.
//!
//! | step | if the process dies after it |
//! | --- | --- |
//! | look: configuration, topics, input and group fit | nothing happened |
//! | changelogs are made, the transactional id of the run is taken | nothing happened |
//! | claim: one transaction, the first of the changelog, says what the state is of and which commit it will reflect | a run in the group refuses: state without committed offsets |
//! | rows, in transactions of bounded size | the same |
//! | closing: the last rows, the commit they reflect in every key group, and the positions, in one transaction | the restore is done |
//!
//! What an interrupted restore left stays in its changelog; the next one begins in another, as `--new-state` does, and takes a
//! restore that was done for what it is. ([decision 0020](../../../../../docs/decisions/0020-restore-into-a-new-group.md))

mod error;
mod plan;
mod target;
mod writer;

use std::{
    collections::BTreeSet,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tracing::info;
use xxhash_rust::xxh3::xxh3_64;

pub use self::error::GroupRestoreError;
use self::{
    plan::{RestorePlan, pipeline_number},
    target::Target,
    writer::{Closing, RestoreWriter, named},
};
use super::{
    Changelog, CommitRecords, Requirements,
    cluster::TopicPartition,
    local_copy::{KeptRow, KeptState},
};
use crate::{
    checkpoint::{CheckpointStore, Manifest},
    commit::Fingerprint,
    error::{ProcessorError, ProcessorResult},
    source::StopToken,
};

/// How long requirements are asked for again while brokers do not answer, and undecided offsets are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Others that begin a state at the same moment are given way to so often.
const MAX_CLAIMS: u32 = 5;
/// How often it is said how far it is.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Into which group, and for which configuration.
#[derive(Debug)]
pub struct GroupRestoreSettings {
    /// What commits need of the cluster: group, transactional id, changelogs of the first state, and a generation that
    /// begins anew.
    pub requirements: Requirements,
    /// Who will run it.
    pub instance_id: String,
    /// Topics that are read.
    pub topics: Vec<String>,
    /// Names of the pipelines, in the order of their changelogs.
    pub pipelines: Vec<String>,
    /// Partitions of each changelog.
    pub key_groups: u16,
    /// What the state is to be of.
    pub fingerprint: Fingerprint,
    /// Bytes of state at which a transaction is committed.
    pub max_transaction_bytes: usize,
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRestored {
    /// The group that the checkpoint is of.
    pub from_group: String,
    /// The group that has it now.
    pub group: String,
    /// Number of the state in that group.
    pub state: u32,
    /// Changelog of each pipeline.
    pub changelogs: Vec<String>,
    /// Rows that were written; 0 if they were there already.
    pub rows: u64,
    /// Transactions that were made.
    pub transactions: u32,
    /// Whether an earlier restore of this checkpoint was complete: nothing was done.
    pub was_done: bool,
    /// Where each partition goes on.
    pub positions: Vec<(TopicPartition, i64)>,
}

impl GroupRestoreSettings {
    /// Restores the checkpoint of `manifest`, every byte of which was verified.
    ///
    /// # Errors
    /// [`GroupRestoreError`]: the group goes on from nothing of the checkpoint.
    pub fn restore(
        &self,
        checkpoints: &CheckpointStore,
        manifest: &Manifest,
    ) -> Result<GroupRestored, GroupRestoreError> {
        let kept = KeptState::read(checkpoints.rows(manifest))?;
        let group = &self.requirements.group;
        let identity = xxh3_64(format!("{} {group}", manifest.checksum).as_bytes());
        let plan = RestorePlan::new(&kept, self, identity)?;
        let target = Target::find(self)?;
        target.check_input(&plan)?;
        if target.is_restored(&plan, None)? {
            return Ok(self.done(&kept, &plan, None));
        }
        target.wait_for_the_group()?;
        self.meet_requirements(&target)?;
        let mut writer = RestoreWriter::open(&self.requirements, self.max_transaction_bytes)?;
        // What an earlier restore by this instance left open is decided now.
        if target.is_restored(&plan, Some(PATIENCE))? {
            return Ok(self.done(&kept, &plan, None));
        }
        self.claim(&target, &mut writer, &plan)?;
        let rows = self.write(&target, &mut writer, &plan, (checkpoints, manifest))?;
        Ok(self.done(&kept, &plan, Some((rows, writer.transactions))))
    }

    /// Changelogs of the state that is begun.
    fn changelogs(&self) -> Vec<String> {
        let generation = self.requirements.generation.number();
        self.requirements.topics.iter().map(|topic| topic.of_generation(generation).name).collect()
    }

    /// Checks the cluster, and makes changelogs that were never written to.
    fn meet_requirements(&self, target: &Target<'_>) -> Result<(), GroupRestoreError> {
        let brokers = &self.requirements.transaction.bootstrap_servers;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.requirements.check_for(&target.partitions(), &StopToken::default()) {
                Err(ProcessorError::Unavailable { .. }) if Instant::now() < deadline => {
                    thread::sleep(AGAIN_AFTER);
                }
                checked => {
                    checked?.into_result(brokers)?;
                    // Also transactions that are open or aborted are somebody's.
                    if !self.is_written_to()? {
                        return Ok(());
                    }
                    self.requirements.generation.pass_over();
                }
            }
        }
    }

    fn is_written_to(&self) -> ProcessorResult<bool> {
        for topic in self.changelogs() {
            let changelog = Changelog {
                bootstrap_servers: self.requirements.transaction.bootstrap_servers.clone(),
                group: self.requirements.group.clone(),
                topic,
                client_id: self.requirements.transaction.transactional_id.clone(),
            };
            if changelog.measure(self.key_groups)?.iter().any(|range| range.end > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes into empty changelogs that a restore is under way.
    fn claim(
        &self,
        target: &Target<'_>,
        writer: &mut RestoreWriter<'_>,
        plan: &RestorePlan,
    ) -> Result<(), GroupRestoreError> {
        let about = self.fingerprint.to_json()?;
        for _ in 0..MAX_CLAIMS {
            let topics = named(&self.changelogs());
            let mut records = CommitRecords::default();
            if let (Some(topic), Some(meta)) = (topics.first(), plan.metas.first()) {
                // First: its place says whether the changelog was empty.
                records.push_meta(topic, 0, meta);
                records.push_about(topic, &about);
            }
            if writer.claim(&records)? {
                return Ok(());
            }
            self.requirements.generation.pass_over();
            // The check takes the transactional id as well.
            self.meet_requirements(target)?;
            writer.renew()?;
        }
        Err(ProcessorError::Unavailable {
            name: self.requirements.group.clone(),
            reason: "another process begins states in this group at the same time; stop it and run the restore again".into(),
        }
        .into())
    }

    /// Writes the rows, and with the last of them what makes them valid; gives their number.
    fn write(
        &self,
        target: &Target<'_>,
        writer: &mut RestoreWriter<'_>,
        plan: &RestorePlan,
        (checkpoints, manifest): (&CheckpointStore, &Manifest),
    ) -> Result<u64, GroupRestoreError> {
        let topics = named(&self.changelogs());
        let all = manifest.tables.get("state").map_or(0, |table| table.rows);
        let (mut rows, mut said) = (0, Instant::now());
        let mut records = CommitRecords::default();
        // Every pipeline has a meta record, whether it has rows or not.
        let mut touched: BTreeSet<(usize, u16)> = (0..topics.len()).map(|one| (one, 0)).collect();
        for row in checkpoints.rows(manifest) {
            let (key, value) = row?;
            let Some(row) = KeptRow::of(&key)? else { continue };
            let (pipeline, topic) = self.topic_of(&topics, &row)?;
            if records.size_bytes() >= writer.max_bytes {
                writer.write(&std::mem::take(&mut records), None)?;
            }
            records.push_row(topic, row.key_group, row.key, Some(&value));
            touched.insert((pipeline, row.key_group));
            rows += 1;
            if said.elapsed() >= SAY_EVERY {
                info!(rows, of = all, "restoring");
                said = Instant::now();
            }
        }
        for (pipeline, key_group) in touched {
            if let (Some(topic), Some(meta)) = (topics.get(pipeline), plan.metas.get(pipeline)) {
                records.push_meta(topic, key_group, meta);
            }
        }
        let offsets = plan.offsets(self.requirements.generation.number());
        let offsets = offsets.map_err(|error| ProcessorError::Config(error.to_string()))?;
        let membership = target.membership()?;
        writer.write(&records, Some(&Closing { target, plan, offsets, membership }))?;
        Ok(rows)
    }

    fn topic_of<'t>(
        &self,
        topics: &'t [Arc<str>],
        row: &KeptRow<'_>,
    ) -> ProcessorResult<(usize, &'t Arc<str>)> {
        let pipeline = pipeline_number(&self.pipelines, row.pipeline)?;
        let topic = topics.get(pipeline).filter(|_| row.key_group < self.key_groups);
        let topic = topic.ok_or_else(|| {
            let KeptRow { pipeline, key_group, .. } = row;
            ProcessorError::State(format!(
                "the checkpoint has a row of key group {key_group} of pipeline {pipeline}, and key_groups is {}",
                self.key_groups
            ))
        })?;
        Ok((pipeline, topic))
    }

    fn done(
        &self,
        kept: &KeptState,
        plan: &RestorePlan,
        written: Option<(u64, u32)>,
    ) -> GroupRestored {
        let (rows, transactions) = written.unwrap_or_default();
        let positions = plan.positions.iter().map(|(partition, (at, _))| (partition.clone(), *at));
        GroupRestored {
            from_group: kept.group.clone(),
            group: self.requirements.group.clone(),
            state: self.requirements.generation.number(),
            changelogs: self.changelogs(),
            rows,
            transactions,
            was_done: written.is_none(),
            positions: positions.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::ProcessorConfig,
        kafka::{Generation, TransactionSettings},
    };

    /// Settings of a group that no test talks to.
    pub(super) fn settings(pipelines: &[&str], topics: &[&str]) -> GroupRestoreSettings {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        GroupRestoreSettings {
            requirements: Requirements {
                transaction: TransactionSettings {
                    bootstrap_servers: "localhost:1".into(),
                    transactional_id: "g-i".into(),
                    transaction_timeout: Duration::from_secs(6),
                },
                producer: llm_optimizer_config::settings::KafkaProducerConfig::default(),
                group: "g".into(),
                session_timeout: Duration::from_secs(6),
                topics: vec![],
                read: None,
                written: vec![],
                generation: Arc::new(Generation::new(true)),
            },
            instance_id: "i".into(),
            topics: owned(topics),
            pipelines: owned(pipelines),
            key_groups: 4,
            fingerprint: Fingerprint::of(&ProcessorConfig::default()),
            max_transaction_bytes: 1 << 20,
        }
    }

    #[test]
    fn rows_that_are_not_of_the_configured_pipelines_and_key_groups_are_refused() {
        let settings = settings(&["one"], &["in"]);
        let topics = [Arc::from("changelog")];
        let topic = |pipeline, key_group| {
            let row = KeptRow { pipeline, key_group, key: &[] };
            settings.topic_of(&topics, &row).map(|(number, _)| number)
        };
        assert_eq!(topic("one", 3).unwrap(), 0);
        assert!(topic("one", 4).unwrap_err().to_string().contains("key_groups is 4"));
        assert!(topic("two", 0).unwrap_err().to_string().contains("`two`"));
    }
}
