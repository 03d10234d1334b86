//! Reading state back: the changelogs, and what the local copy saves of that.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use llm_optimizer_engine::core::PartitionId;
use tracing::info;

use super::{ChangelogRows, CommitIo, IoAnswer, failed};
use crate::{
    commit::kafka::{
        ChangelogMark, ChangelogPartition, CopyFault, Failure, KafkaEvent, LocalCopy, ReadFrom,
        ReadGroup, Ticket, copy_fault,
    },
    error::ProcessorResult,
    kafka::{
        changelog::{Changelog, ChangelogPart, ChangelogRead, RestoredGroup},
        changelog_codec::GroupMeta,
        cluster::TopicPartition,
        local_copy::{CopiedGroup, RestoredPart, RestoredState},
        transaction::TransactionSettings,
    },
};

/// How long records at given places are waited for.
const GLANCE_PATIENCE: Duration = Duration::from_secs(10);

/// `delete.retention.ms` where the broker does not say it: Kafka's default, which is less than ours.
const DEFAULT_TOMBSTONE_RETENTION_MS: i64 = 24 * 3_600_000;

/// What the copy has of one key group, and where its log begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copied {
    group: CopiedGroup,
    log_start: i64,
}

impl CommitIo {
    pub(super) fn changelog(&self, topic: &str) -> Changelog {
        let TransactionSettings { bootstrap_servers, transactional_id, .. } =
            &self.settings.transaction;
        Changelog {
            bootstrap_servers: bootstrap_servers.clone(),
            group: self.settings.group.clone(),
            topic: topic.to_owned(),
            client_id: transactional_id.clone(),
        }
    }

    pub(super) fn measure(&mut self, ticket: Ticket) -> IoAnswer {
        match self.measured() {
            Ok(groups) => KafkaEvent::ChangelogEnd { ticket, groups }.into(),
            Err(error) => failed(ticket, &error),
        }
    }

    fn measured(&mut self) -> ProcessorResult<Vec<ChangelogPartition>> {
        let (topics, key_groups) = (self.settings.topics(), self.settings.key_groups);
        let copied = self.copy.as_ref().map(|copy| copy.groups(&topics, key_groups));
        let copied = copied.unwrap_or_default();
        self.copied.clear();
        let mut groups = Vec::new();
        for (pipeline, (topic, first)) in topics.iter().zip(first_groups(key_groups)).enumerate() {
            let changelog = self.changelog(topic);
            let ranges = changelog.measure(key_groups)?;
            let own = copied.iter().filter(|group| group.pipeline == pipeline);
            let own: BTreeMap<u16, CopiedGroup> =
                own.map(|group| (group.key_group, *group)).collect();
            let places: Vec<(u16, i64)> = ranges
                .iter()
                .filter_map(|range| {
                    let at = own.get(&range.key_group)?.offset - 1;
                    (range.first..range.end).contains(&at).then_some((range.key_group, at))
                })
                .collect();
            let found = changelog.metas_at(&places, GLANCE_PATIENCE)?;
            for range in ranges {
                let group = first + range.key_group;
                let copy = own.get(&range.key_group);
                if let Some(copy) = copy {
                    self.copied.insert(group, Copied { group: *copy, log_start: range.first });
                }
                groups.push(ChangelogPartition {
                    group,
                    identity: found.get(&range.key_group).copied().unwrap_or(0),
                    log_start: range.first,
                    end: range.end,
                    local: copy.map(|copy| LocalCopy {
                        identity: copy.identity,
                        offset: copy.offset,
                        written_ms: copy.written_ms,
                    }),
                });
            }
        }
        self.refuse_old_copies(&mut groups);
        Ok(groups)
    }

    /// Takes away copies that cannot be used, and says why.
    fn refuse_old_copies(&self, groups: &mut [ChangelogPartition]) {
        let Some(settings) = &self.settings.copy else { return };
        let now_ms = settings.clock.now_ms();
        let retention_ms = self.settings.generation.tombstone_retention_ms();
        let retention_ms = retention_ms.unwrap_or(DEFAULT_TOMBSTONE_RETENTION_MS);
        let mut faults: BTreeMap<CopyFault, usize> = BTreeMap::new();
        for group in groups {
            if let Some(fault) = copy_fault(group, now_ms, retention_ms) {
                *faults.entry(fault).or_default() += 1;
                group.local = None;
            }
        }
        for (fault, key_groups) in faults {
            info!(
                key_groups,
                "the local copy of the state is not used: {fault}; it is made anew from the changelog"
            );
        }
    }

    pub(super) fn read(
        &mut self,
        ticket: Ticket,
        groups: &[ReadGroup],
        patience: Duration,
        partitions: &HashMap<TopicPartition, PartitionId>,
    ) -> IoAnswer {
        match self.read_all(groups, patience) {
            Ok(Ok(rows)) => {
                let newest = rows.newest_of_all().map(|meta| mark(meta, partitions));
                let event = KafkaEvent::ChangelogRead { ticket, newest };
                IoAnswer { event, rows: Some(rows), explanation: None }
            }
            Ok(Err(Unread::Blocked)) => KafkaEvent::ChangelogBlocked { ticket }.into(),
            Ok(Err(Unread::Stopped)) => {
                KafkaEvent::Failed { ticket, failure: Failure::Retriable }.into()
            }
            Err(error) => failed(ticket, &error),
        }
    }

    fn read_all(
        &mut self,
        groups: &[ReadGroup],
        patience: Duration,
    ) -> ProcessorResult<Result<ChangelogRows, Unread>> {
        let mut bases = self.bases(groups);
        let topics = self.settings.topics();
        let key_groups = self.settings.key_groups;
        let (mut rows, mut parts) = (ChangelogRows::default(), Vec::new());
        let (mut copied_rows, mut records) = (0, 0);
        for (pipeline, (topic, first)) in topics.iter().zip(first_groups(key_groups)).enumerate() {
            let usable = |group: u16| bases.contains_key(&group);
            let own = groups
                .iter()
                .filter_map(|group| part_of(group, first, key_groups, usable, &self.copied));
            let own: Vec<ChangelogPart> = own.collect();
            let read = match self.changelog(topic).read(&own, patience, &self.stop)? {
                ChangelogRead::Done(read) => read,
                ChangelogRead::Blocked => return Ok(Err(Unread::Blocked)),
                ChangelogRead::Stopped => return Ok(Err(Unread::Stopped)),
            };
            let mut whole = Vec::with_capacity(read.len());
            for group in read {
                let base = bases.remove(&(first + group.key_group));
                let (is_rest, group) = (base.is_some(), Arc::new(group));
                records += group.records;
                whole.push(base.map_or_else(
                    || Arc::clone(&group),
                    |base| {
                        copied_rows += base.rows().count();
                        Arc::new(base.overlaid(&group))
                    },
                ));
                parts.push(RestoredPart { pipeline, group, is_rest });
            }
            rows.pipelines.push(whole);
        }
        rows.topics = topics;
        rows.says_what_it_is_of = self.says_what_it_is_of(&rows);
        info!(
            copied_rows,
            records, "the state is back: rows of the local copy, records of the changelog"
        );
        if let Some(copy) = &self.copy {
            let newest = (0..rows.pipelines.len()).map(|index| rows.newest(index).cloned());
            copy.restore(RestoredState { parts, newest: newest.collect() });
        }
        Ok(Ok(rows))
    }

    /// The copies that are to be used; none if one of them cannot be read.
    fn bases(&self, groups: &[ReadGroup]) -> BTreeMap<u16, RestoredGroup> {
        let mut bases = BTreeMap::new();
        let Some(copy) = &self.copy else { return bases };
        for group in groups.iter().filter(|group| matches!(group.from, ReadFrom::LocalCopy(_))) {
            let Some(copied) = self.copied.get(&group.group) else { continue };
            match copy.rows(&copied.group) {
                Ok(base) => {
                    bases.insert(group.group, base);
                }
                Err(error) => {
                    copy.wipe(&error.to_string());
                    return BTreeMap::new();
                }
            }
        }
        bases
    }

    fn says_what_it_is_of(&self, rows: &ChangelogRows) -> bool {
        let in_log = rows.pipelines.iter().flatten().any(|group| group.about.is_some());
        in_log || self.copied_says_it(rows)
    }

    /// Whoever reads only the rest of the log relies on the copy, which is of this very configuration.
    fn copied_says_it(&self, rows: &ChangelogRows) -> bool {
        let is_begun = rows.newest_of_all().is_some();
        is_begun
            && self.copied.contains_key(&0)
            && self.copy.as_ref().is_some_and(|copy| copy.about().is_some())
    }
}

/// Why there are no rows yet.
enum Unread {
    Blocked,
    Stopped,
}

fn mark(meta: &GroupMeta, partitions: &HashMap<TopicPartition, PartitionId>) -> ChangelogMark {
    let sources: BTreeSet<_> = meta
        .sources
        .iter()
        .filter_map(|source| {
            let id = partitions.get(&(source.topic.clone(), source.partition))?;
            Some((*id, source.to))
        })
        .collect();
    ChangelogMark { positions: sources.into_iter().collect() }
}

/// What to read of the pipeline whose key groups begin at `first`.
fn part_of(
    group: &ReadGroup,
    first: u16,
    key_groups: u16,
    is_usable: impl Fn(u16) -> bool,
    copied: &BTreeMap<u16, Copied>,
) -> Option<ChangelogPart> {
    let key_group = group.group.checked_sub(first).filter(|own| *own < key_groups)?;
    let from = match group.from {
        ReadFrom::LogStart(from) => from,
        ReadFrom::LocalCopy(from) if is_usable(group.group) => from,
        // It was to be used and could not be read.
        ReadFrom::LocalCopy(_) => copied.get(&group.group)?.log_start,
    };
    Some(ChangelogPart { key_group, from, until: group.until })
}

/// Number of the first key group of each pipeline.
fn first_groups(key_groups: u16) -> impl Iterator<Item = u16> {
    (0..=u16::MAX).step_by(usize::from(key_groups).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_groups_of_pipelines_follow_each_other() {
        assert_eq!(first_groups(32).take(3).collect::<Vec<_>>(), [0, 32, 64]);
        let group = ReadGroup { group: 33, from: ReadFrom::LogStart(4), until: 9 };
        let part = |first| part_of(&group, first, 32, |_| true, &BTreeMap::new());
        assert_eq!(part(0), None);
        assert_eq!(part(32), Some(ChangelogPart { key_group: 1, from: 4, until: 9 }));
        assert_eq!(part(64), None);
    }

    #[test]
    fn a_copy_that_cannot_be_read_gives_way_to_the_log_from_its_start() {
        let group = ReadGroup { group: 3, from: ReadFrom::LocalCopy(50), until: 90 };
        let copy =
            CopiedGroup { pipeline: 0, key_group: 3, offset: 50, identity: 1, written_ms: 0 };
        let copied = BTreeMap::from([(3, Copied { group: copy, log_start: 7 })]);
        let from = |is_usable| part_of(&group, 0, 32, |_| is_usable, &copied).unwrap().from;
        assert_eq!((from(true), from(false)), (50, 7));
    }

    #[test]
    fn the_newest_commit_is_the_one_with_the_greatest_number() {
        let group = |sequence| {
            let meta = GroupMeta { sequence, ..GroupMeta::default() };
            Arc::new(RestoredGroup::of_copy(0, meta, 0))
        };
        let rows = ChangelogRows {
            pipelines: vec![vec![group(4), group(9), Arc::default()], vec![group(8)]],
            ..ChangelogRows::default()
        };
        assert_eq!(rows.newest(0).map(|meta| meta.sequence), Some(9));
        assert_eq!(rows.newest(1).map(|meta| meta.sequence), Some(8));
        assert_eq!(rows.newest(2), None);
    }
}
