//! What comes back from the broker, and what the group wants.

use llm_optimizer_processor::{
    commit::kafka::{
        ChangelogPartition, Failure, KafkaCommand, KafkaEvent, LocalCopy, Membership, StoredOffset,
    },
    engine::core::PartitionId,
};

use super::{
    broker::{Fetched, GroupError, Reply, Topic, TransactionError},
    bug::Bug,
    counting::GROUPS,
    disk::Meta,
    driver::write_local,
    encode::META_KEY,
    process::{Call, Outside, Process},
};

impl Process {
    /// An answer, or `None` if none came in time.
    pub fn answered(&mut self, number: u64, reply: Option<Reply>, out: &mut Outside<'_>) {
        let Some(call) = self.calls.remove(&number) else { return };
        match reply {
            None => self.timed_out(call, out),
            Some(Reply::Transaction(TransactionError::Concurrent)) if call.tries < 300 => {
                self.try_again(call, 30, out);
            }
            Some(reply) => {
                let event = self.event(&call, reply, out);
                self.tell(event, out);
            }
        }
    }

    fn try_again(&mut self, call: Call, pause_ms: i64, out: &mut Outside<'_>) {
        self.next_call += 1;
        out.sends.push((pause_ms, self.next_call, call.request.clone()));
        self.calls.insert(self.next_call, Call { tries: call.tries + 1, ..call });
    }

    /// The client tries again by itself, or gives up.
    fn timed_out(&mut self, call: Call, out: &mut Outside<'_>) {
        if call.tries < 3 && out.chance.percent(50) {
            return self.try_again(call, 0, out);
        }
        let is_commit = matches!(call.command, KafkaCommand::CommitTransaction { .. });
        let may_abort =
            matches!(call.command, KafkaCommand::Produce { .. } | KafkaCommand::SendOffsets { .. });
        let failure = if may_abort && out.chance.percent(50) {
            Failure::Abortable
        } else {
            Failure::Ambiguous
        };
        if is_commit && out.bug == Some(Bug::ResendBlindly) {
            self.fail_as_if_aborted(&call, out);
        } else {
            self.fail(&call, failure, out);
        }
    }

    fn fail(&mut self, call: &Call, failure: Failure, out: &mut Outside<'_>) {
        if let Some(ticket) = call.command.ticket() {
            self.tell(KafkaEvent::Failed { ticket, failure }, out);
        }
    }

    /// What a driver does that takes an unknown outcome for an abort.
    fn fail_as_if_aborted(&mut self, call: &Call, out: &mut Outside<'_>) {
        self.producer = None;
        self.fail(call, Failure::Abortable, out);
    }

    fn event(&mut self, call: &Call, reply: Reply, out: &mut Outside<'_>) -> KafkaEvent {
        let Some(ticket) = call.command.ticket() else { unreachable!() };
        let failed = |failure| KafkaEvent::Failed { ticket, failure };
        match (&call.command, reply) {
            (KafkaCommand::InitTransactions { .. }, Reply::Initialized(producer)) => {
                self.producer = Some(producer);
                KafkaEvent::InitDone { ticket }
            }
            (_, Reply::Initialized(producer)) => {
                self.producer = Some(producer);
                KafkaEvent::Aborted { ticket }
            }
            (_, Reply::Offsets(offsets)) => {
                let stored = |(p, fetched)| (PartitionId(p), stored(fetched));
                let offsets: Vec<_> = offsets.into_iter().map(stored).collect();
                if !offsets.iter().any(|(_, offset)| *offset == StoredOffset::Unstable) {
                    self.cached = Some(offsets.clone());
                }
                KafkaEvent::OffsetsFetched { ticket, offsets }
            }
            (_, Reply::Ends(ends)) => {
                let mut groups = Vec::new();
                for group in 0..GROUPS {
                    groups.push(measured(group, ends.get(&group).copied().unwrap_or(0), out));
                }
                KafkaEvent::ChangelogEnd { ticket, groups }
            }
            (_, Reply::Produced(next)) => {
                if let Some(frozen) = &mut self.frozen {
                    frozen.next = next;
                    if out.bug == Some(Bug::LocalCopyEarly) {
                        write_local(&frozen.rows, &frozen.meta, &frozen.next, out);
                    }
                }
                KafkaEvent::Produced { ticket }
            }
            (KafkaCommand::SendOffsets { .. }, Reply::Done) => KafkaEvent::OffsetsSent { ticket },
            (KafkaCommand::CommitTransaction { .. }, Reply::Done) => {
                KafkaEvent::Committed { ticket }
            }
            (_, Reply::Done) => KafkaEvent::Aborted { ticket },
            (_, Reply::Group(GroupError::FencedInstance)) => failed(Failure::Fenced),
            (_, Reply::Group(_)) => failed(Failure::Abortable),
            (_, Reply::Transaction(TransactionError::Fenced)) => {
                if out.bug == Some(Bug::ReinitAfterFenced) {
                    self.producer = None;
                    failed(Failure::Abortable)
                } else {
                    failed(Failure::Fenced)
                }
            }
            (_, Reply::Transaction(_)) => failed(Failure::Fatal),
        }
    }

    /// Heartbeats, and what follows from them. The worker hears of it a little later.
    pub fn poll_group(&mut self, out: &mut Outside<'_>) {
        let now_ms = out.now_ms;
        let Some(consumer) = &mut self.consumer else { return };
        if consumer.next_poll_ms > now_ms || out.broker.is_down(now_ms) {
            return;
        }
        consumer.next_poll_ms = now_ms + out.chance.range(50, 400);
        if consumer.member == 0 {
            consumer.member = out.broker.group.join(&self.instance, now_ms);
            consumer.next_poll_ms = now_ms + 30;
            return;
        }
        if !self.to_release.is_empty() {
            let released = std::mem::take(&mut self.to_release);
            out.broker.group.release(&self.instance, consumer.member, &released);
            consumer.held.retain(|partition| !released.contains(partition));
            consumer.is_blocked = false;
        }
        let wish = out.broker.group.poll(&self.instance, consumer.member, now_ms);
        let event = match wish {
            Err(GroupError::FencedInstance) => {
                self.consumer = None;
                KafkaEvent::Fenced
            }
            Err(_) => {
                (consumer.member, consumer.generation, consumer.is_blocked) = (0, -1, false);
                consumer.held.clear();
                consumer.next_poll_ms = now_ms + 30;
                self.to_release.clear();
                KafkaEvent::Lost
            }
            Ok(_) if consumer.is_blocked => return,
            Ok(wish) if wish.generation == consumer.generation => return,
            Ok(wish) => {
                consumer.generation = wish.generation;
                let membership = Membership(self.memberships.len() as u64);
                let goes =
                    wish.gives_back.intersection(&consumer.held).copied().collect::<Vec<_>>();
                let event = if goes.is_empty() {
                    let new: Vec<u32> = wish.owns.difference(&consumer.held).copied().collect();
                    consumer.held.extend(&new);
                    for (partition, fetched) in out.broker.offsets(false) {
                        if let Fetched::Known((position, _)) = fetched {
                            consumer.client_positions.insert(partition, position);
                        }
                    }
                    KafkaEvent::Granted { partitions: ids(&new), membership }
                } else {
                    consumer.is_blocked = true;
                    KafkaEvent::Revoked { partitions: ids(&goes), membership }
                };
                let metadata = self.current_metadata();
                self.memberships.push(metadata);
                event
            }
        };
        let after_ms = self.inbox.back().map_or(now_ms, |(at_ms, _)| (*at_ms).max(now_ms));
        // The worker may be busy for a while; the consumer goes on.
        let busy_ms = if out.chance.percent(10) { 3_000 } else { 250 };
        self.inbox.push_back((after_ms + out.chance.range(0, busy_ms), event));
    }
}

fn ids(partitions: &[u32]) -> Vec<PartitionId> {
    partitions.iter().copied().map(PartitionId).collect()
}

fn stored(fetched: Fetched) -> StoredOffset {
    match fetched {
        Fetched::Absent => StoredOffset::Absent,
        Fetched::Unstable => StoredOffset::Unstable,
        Fetched::Known((position, metadata)) => StoredOffset::Known { position, metadata },
    }
}

fn measured(group: u32, mut end: i64, out: &mut Outside<'_>) -> ChangelogPartition {
    let local = out.disk.group(group).cloned();
    let of = |meta: &Meta| u128::from(meta.commit.cast_unsigned());
    let log = out.broker.log(Topic::Changelog, group);
    let found = local.as_ref().and_then(|local| log.record_at(local.offset - 1));
    let found = found.filter(|record| record.key == META_KEY).and_then(|r| r.value.as_deref());
    let mut identity = found.map_or(0, |value| of(&Meta::decode(value)));
    let copy = local.as_ref().map(|local| LocalCopy {
        identity: local.meta.as_ref().map_or(1, of),
        offset: local.offset,
        written_ms: local.written_ms,
    });
    if let Some(copy) = &copy {
        let is_ahead = copy.offset > end;
        match out.bug {
            Some(Bug::LocalCopyForeign | Bug::LocalCopyEarly | Bug::TombstonesEarly)
                if !is_ahead =>
            {
                identity = copy.identity;
            }
            Some(Bug::LocalCopyAhead) if is_ahead => (identity, end) = (copy.identity, copy.offset),
            _ => {}
        }
    }
    ChangelogPartition {
        group: u16::try_from(group).unwrap(),
        identity,
        log_start: 0,
        end,
        local: copy,
    }
}
