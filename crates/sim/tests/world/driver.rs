//! How commands are carried out.

use std::collections::BTreeMap;

use llm_optimizer_processor::{
    commit::{
        CommitNumber,
        kafka::{
            KafkaCommand, KafkaEvent, Membership, OffsetCommit, ReadFrom, StartAt, TaskCut,
            TaskStart,
        },
    },
    engine::core::PartitionId,
};

use super::{
    broker::{GroupMetadata, Request, Topic},
    bug::Bug,
    counting::{Counting, GROUPS, Row, Sum},
    disk::Meta,
    encode::META_KEY,
    process::{Consumer, Ended, Outside, Process, Reading},
};

impl Process {
    pub fn carry_out(&mut self, command: KafkaCommand, out: &mut Outside<'_>) {
        match command.clone() {
            KafkaCommand::InitTransactions { .. } => {
                let request = Request::Init { name: self.instance.clone() };
                self.call(command, request, out);
            }
            KafkaCommand::JoinGroup => self.join(out),
            KafkaCommand::FetchOffsets { ticket, .. }
                if out.bug == Some(Bug::CachedOffsets) && self.cached.is_some() =>
            {
                let offsets = self.cached.clone().unwrap_or_default();
                self.tell(KafkaEvent::OffsetsFetched { ticket, offsets }, out);
            }
            KafkaCommand::FetchOffsets { .. } => {
                let stable = out.bug != Some(Bug::UnstableFetch);
                self.call(command, Request::FetchOffsets { stable }, out);
            }
            KafkaCommand::MeasureChangelog { .. } => {
                let committed = out.bug == Some(Bug::RestoreToLastStable);
                self.call(command, Request::Ends { committed }, out);
            }
            KafkaCommand::ReadChangelog { ticket, groups, stable_by_ms } => {
                self.reading = Some(Reading { ticket, groups, stable_by_ms });
            }
            KafkaCommand::Assign { starts } => self.assign(starts, out),
            KafkaCommand::GoOn { starts } => self.go_on(starts, out),
            KafkaCommand::Cut { number } => self.cut(number, out),
            KafkaCommand::Begin => {
                if let Some(producer) = &mut self.producer {
                    producer.transaction += 1;
                }
                self.sequence += 1;
            }
            KafkaCommand::Produce { .. } => self.produce(command, out),
            KafkaCommand::SendOffsets { offsets, membership, .. } => {
                self.send_offsets(command, offsets, membership, out);
            }
            KafkaCommand::CommitTransaction { .. } => self.end(command, true, out),
            KafkaCommand::AbortTransaction { .. } => self.end(command, false, out),
            KafkaCommand::DestroyProducer => {
                self.producer = None;
                self.calls.clear();
            }
            KafkaCommand::Acknowledge { number } => self.acknowledge(number, out),
            KafkaCommand::DropTasks => self.drop_tasks(),
            KafkaCommand::PauseInput => self.input_open = false,
            KafkaCommand::ResumeInput => self.input_open = true,
            KafkaCommand::Release { partitions } => {
                let released = partitions.iter().map(|partition| partition.0).collect();
                if self.consumer.as_ref().is_some_and(|consumer| consumer.is_blocked) {
                    self.to_release = released;
                }
                self.positions.retain(|p, _| !partitions.iter().any(|gone| gone.0 == *p));
            }
            // A static member does not say that it leaves.
            KafkaCommand::CloseConsumer => {
                self.consumer = None;
                self.inbox.clear();
                self.to_release.clear();
            }
            KafkaCommand::CommitsShrunk { .. } => {}
            KafkaCommand::Finished => self.ended = Some(Ended::Finished),
            KafkaCommand::Exit { reason } => self.ended = Some(Ended::Exit(reason)),
        }
    }

    fn join(&mut self, out: &mut Outside<'_>) {
        self.consumer = Some(Consumer {
            member: 0,
            generation: -1,
            held: [].into(),
            is_blocked: false,
            next_poll_ms: out.now_ms + out.chance.range(0, 1_500),
            client_positions: BTreeMap::new(),
        });
    }

    fn assign(&mut self, starts: Vec<TaskStart>, out: &mut Outside<'_>) {
        let (rows, watermark) = std::mem::take(&mut self.restored);
        self.counting = Counting::restore(rows, watermark, out.now_ms);
        for start in starts {
            self.begin(&start, out);
        }
    }

    fn go_on(&mut self, starts: Vec<TaskStart>, out: &mut Outside<'_>) {
        for start in starts {
            self.begin(&start, out);
        }
    }

    fn begin(&mut self, start: &TaskStart, out: &mut Outside<'_>) {
        let partition = start.partition.0;
        let mut position = match start.position {
            StartAt::Offset(offset) => offset,
            StartAt::Configured | StartAt::Beginning => 0,
        };
        if out.bug == Some(Bug::ClientPositions)
            && let Some(consumer) = &self.consumer
        {
            position = consumer.client_positions.get(&partition).copied().unwrap_or(0);
        }
        self.positions.insert(partition, position);
        self.counting.assign(partition, start.progress.as_ref(), out.now_ms);
    }

    fn cut(&mut self, number: CommitNumber, out: &mut Outside<'_>) {
        let changes = self.counting.cut();
        let mut frozen = self.freeze(number, changes);
        let mut tasks: Vec<TaskCut> =
            self.positions.iter().map(|(p, at)| self.task(*p, *at)).collect();
        if out.bug == Some(Bug::WatermarkForgotten) {
            for task in &mut tasks {
                task.progress.watermarks = vec![None];
            }
        }
        let has_ended =
            self.bounds.as_ref().is_some_and(|b| self.positions.iter().all(|(p, at)| *at >= b[p]));
        if out.bug == Some(Bug::InfinityStored) && has_ended {
            for task in &mut tasks {
                task.progress.watermarks = vec![Some(i64::MAX)];
            }
            frozen.meta.watermark = Some(i64::MAX);
        }
        self.frozen = Some(frozen);
        self.tell(KafkaEvent::Frozen { number, tasks }, out);
    }

    fn task(&self, partition: u32, position: i64) -> TaskCut {
        TaskCut {
            partition: PartitionId(partition),
            position,
            progress: self.counting.progress(partition),
        }
    }

    fn produce(&mut self, command: KafkaCommand, out: &mut Outside<'_>) {
        let (Some(by), Some(frozen)) = (self.producer.clone(), &self.frozen) else { return };
        let records = frozen.records.clone();
        let request = Request::Produce { by, sequence: self.sequence, records };
        if out.bug == Some(Bug::CommitInFlight)
            && let KafkaCommand::Produce { ticket, .. } = command
        {
            self.call(command, request, out);
            self.tell(KafkaEvent::Produced { ticket }, out);
        } else {
            self.call(command, request, out);
        }
    }

    fn send_offsets(
        &mut self,
        command: KafkaCommand,
        offsets: Vec<OffsetCommit>,
        membership: Membership,
        out: &mut Outside<'_>,
    ) {
        let Some(by) = self.producer.clone() else { return };
        let positions: Vec<_> = offsets.iter().map(|o| (o.partition, o.position)).collect();
        if out.bug == Some(Bug::TickWithoutOffsets)
            && positions == self.last_offsets
            && let KafkaCommand::SendOffsets { ticket, .. } = command
        {
            return self.tell(KafkaEvent::OffsetsSent { ticket }, out);
        }
        let offsets: Vec<_> =
            offsets.into_iter().map(|o| (o.partition.0, (o.position, o.metadata))).collect();
        let mut metadata = self.memberships[usize::try_from(membership.0).unwrap()].clone();
        match out.bug {
            Some(Bug::FreshMembership) => metadata = self.current_metadata(),
            Some(Bug::NoMembership) => {
                metadata = GroupMetadata { generation: -1, member: 0, instance: String::new() };
            }
            Some(Bug::OffsetsEarly) => out.broker.group.committed.extend(offsets.clone()),
            _ => {}
        }
        self.call(command, Request::SendOffsets { by, offsets, membership: metadata }, out);
    }

    pub fn current_metadata(&self) -> GroupMetadata {
        let consumer = self.consumer.as_ref();
        GroupMetadata {
            generation: consumer.map_or(-1, |consumer| consumer.generation),
            member: consumer.map_or(0, |consumer| consumer.member),
            instance: self.instance.clone(),
        }
    }

    fn end(&mut self, command: KafkaCommand, commit: bool, out: &mut Outside<'_>) {
        // What is in flight is purged by an abort.
        self.calls.clear();
        let request = match self.producer.clone() {
            Some(by) => Request::End { by, commit },
            // Only a driver that breaks the rules has none: it initializes again.
            None => Request::Init { name: self.instance.clone() },
        };
        self.call(command, request, out);
    }

    fn acknowledge(&mut self, number: CommitNumber, out: &mut Outside<'_>) {
        let Some(frozen) = self.frozen.take() else { return };
        assert_eq!(frozen.number, number);
        self.last_offsets =
            frozen.meta.positions.iter().map(|(p, at)| (PartitionId(*p), *at)).collect();
        if out.bug != Some(Bug::LocalCopyEarly) {
            write_local(&frozen.rows, &frozen.meta, &frozen.next, out);
        }
    }

    fn drop_tasks(&mut self) {
        self.counting = Counting::default();
        self.positions.clear();
        self.frozen = None;
        self.reading = None;
        self.calls.retain(|_, call| {
            !matches!(
                call.command,
                KafkaCommand::FetchOffsets { .. } | KafkaCommand::MeasureChangelog { .. }
            )
        });
    }

    /// Reads the changelog as soon as it is stable up to its measured end.
    pub fn read_changelog(&mut self, out: &mut Outside<'_>) {
        let Some(reading) = &self.reading else { return };
        if out.broker.is_down(out.now_ms) {
            return;
        }
        let stable = |group: u32, until: i64, out: &mut Outside<'_>| {
            out.broker.log(Topic::Changelog, group).last_stable() >= until
        };
        let ticket = reading.ticket;
        let is_fooled = out.bug == Some(Bug::LocalCopyAhead);
        if is_fooled || reading.groups.iter().all(|g| stable(u32::from(g.group), g.until, out)) {
            let groups = reading.groups.clone();
            self.reading = None;
            let mut newest: Option<Meta> = None;
            self.restored = (BTreeMap::new(), None);
            for group in groups {
                newest = newest.max(self.read_group(u32::from(group.group), group.from, out));
            }
            self.restored.1 = newest.as_ref().and_then(|meta| meta.watermark);
            let mark = |meta: Meta| {
                let positions = meta.positions.into_iter().map(|(p, at)| (PartitionId(p), at));
                llm_optimizer_processor::commit::kafka::ChangelogMark {
                    positions: positions.collect(),
                }
            };
            self.tell(KafkaEvent::ChangelogRead { ticket, newest: newest.map(mark) }, out);
        } else if out.now_ms > reading.stable_by_ms {
            self.reading = None;
            self.tell(KafkaEvent::ChangelogBlocked { ticket }, out);
        }
    }

    fn read_group(&mut self, group: u32, from: ReadFrom, out: &mut Outside<'_>) -> Option<Meta> {
        let mut local = match from {
            ReadFrom::LocalCopy(_) => out.disk.group(group).cloned().unwrap_or_default(),
            ReadFrom::LogStart(_) => super::disk::LocalGroup::default(),
        };
        let log = out.broker.log(Topic::Changelog, group);
        let is_unchecked = out.bug == Some(Bug::LocalCopyUnchecked);
        let from = if is_unchecked && local.meta.is_some() { log.end() } else { local.offset };
        for (offset, record) in log.committed(from.min(log.last_stable())) {
            if record.key == META_KEY {
                local.meta = record.value.as_deref().map(Meta::decode);
                local.offset = offset + 1;
            } else {
                apply(
                    &mut local.rows,
                    Row::decode(&record.key),
                    record.value.as_deref().map(Sum::decode),
                );
            }
        }
        local.written_ms = out.now_ms;
        self.restored.0.extend(local.rows.iter().map(|(row, sum)| (*row, *sum)));
        let meta = local.meta.clone();
        out.disk.write([(group, local)].into());
        meta
    }
}

/// Writes a commit to the local copies, with the offsets they then reflect.
pub fn write_local(
    rows: &[(Row, Option<Sum>)],
    meta: &Meta,
    next: &BTreeMap<u32, i64>,
    out: &mut Outside<'_>,
) {
    let mut batch = BTreeMap::new();
    for group in 0..GROUPS {
        let Some(offset) = next.get(&group) else { continue };
        let mut local = out.disk.group(group).cloned().unwrap_or_default();
        for (row, sum) in rows.iter().filter(|(row, _)| row.group() == group) {
            apply(&mut local.rows, *row, *sum);
        }
        (local.offset, local.written_ms, local.meta) = (*offset, out.now_ms, Some(meta.clone()));
        batch.insert(group, local);
    }
    out.disk.write(batch);
}

fn apply(rows: &mut BTreeMap<Row, Sum>, row: Row, sum: Option<Sum>) {
    match sum {
        Some(sum) => {
            rows.insert(row, sum);
        }
        None => {
            rows.remove(&row);
        }
    }
}
