//! A Kafka of one process: topics, transactions, one consumer group.

mod group;
mod log;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};

pub use group::{Group, GroupError, GroupMetadata, Offset};
pub use log::{Log, Record};
pub use transactions::{Marker, Place, Producer, TransactionError, Transactions};

use super::chance::Chance;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Input,
    Changelog,
    Results,
    Late,
}

/// What a client asks over the network.
#[derive(Debug, Clone)]
pub enum Request {
    Init {
        name: String,
    },
    Produce {
        by: Producer,
        sequence: u64,
        records: Vec<(Topic, u32, Record)>,
    },
    SendOffsets {
        by: Producer,
        offsets: Vec<(u32, Offset)>,
        membership: GroupMetadata,
    },
    End {
        by: Producer,
        commit: bool,
    },
    /// Offsets; a stable fetch says what is not decided.
    FetchOffsets {
        stable: bool,
    },
    /// Ends of the changelog's partitions.
    Ends {
        committed: bool,
    },
}

#[derive(Debug, Clone)]
pub enum Reply {
    Done,
    Initialized(Producer),
    /// Next offset of each changelog partition written.
    Produced(BTreeMap<u32, i64>),
    Offsets(BTreeMap<u32, Fetched>),
    Ends(BTreeMap<u32, i64>),
    Transaction(TransactionError),
    Group(GroupError),
}

#[derive(Debug, Clone)]
pub enum Fetched {
    Absent,
    Unstable,
    Known(Offset),
}

#[derive(Debug)]
pub struct Broker {
    logs: BTreeMap<(Topic, u32), Log>,
    pub group: Group,
    transactions: Transactions,
    markers: Vec<(i64, Marker)>,
    /// Produce requests that were carried out, with what was answered.
    seen: BTreeMap<(u64, u64, u64), BTreeMap<u32, i64>>,
    down_until_ms: i64,
    input_partitions: u32,
}

impl Broker {
    pub fn new(
        input_partitions: u32,
        session_timeout_ms: i64,
        transaction_timeout_ms: i64,
    ) -> Self {
        Self {
            logs: BTreeMap::new(),
            group: Group::new(input_partitions, session_timeout_ms),
            transactions: Transactions::new(transaction_timeout_ms),
            markers: Vec::new(),
            seen: BTreeMap::new(),
            down_until_ms: i64::MIN,
            input_partitions,
        }
    }

    pub fn log(&mut self, topic: Topic, partition: u32) -> &mut Log {
        self.logs.entry((topic, partition)).or_default()
    }

    pub fn is_down(&self, now_ms: i64) -> bool {
        now_ms < self.down_until_ms
    }

    /// Answers nothing for a while; what was acknowledged stays.
    pub fn restart(&mut self, now_ms: i64, for_ms: i64) {
        self.down_until_ms = now_ms + for_ms;
        self.group.restarted(self.down_until_ms);
    }

    /// Time passes: markers arrive, transactions and sessions time out.
    pub fn tick(&mut self, now_ms: i64, chance: &mut Chance) {
        if self.is_down(now_ms) {
            return;
        }
        self.group.tick(now_ms);
        let timed_out = self.transactions.tick(now_ms);
        self.send_markers(timed_out, now_ms, chance);
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.markers).into_iter().partition(|(at_ms, _)| *at_ms <= now_ms);
        self.markers = later;
        for (_, marker) in due {
            match marker.place {
                Place::Log(topic, partition) => {
                    self.log(topic, partition).decide(marker.producer, marker.commit, now_ms);
                }
                Place::Offsets => self.group.decide(marker.producer, marker.commit),
            }
            self.transactions.written(marker);
        }
    }

    pub fn compact(&mut self, now_ms: i64, tombstone_retention_ms: i64) {
        for ((topic, _), log) in &mut self.logs {
            if *topic == Topic::Changelog {
                log.compact(now_ms, tombstone_retention_ms);
            }
        }
    }

    fn send_markers(&mut self, markers: Vec<Marker>, now_ms: i64, chance: &mut Chance) {
        // Each place is told for itself; some hear it much later.
        for marker in markers {
            let delay_ms = match chance.below(100) {
                0..=3 => chance.range(500, 4_000),
                4..=7 => chance.range(4_000, 12_000),
                _ => chance.range(0, 30),
            };
            self.markers.push((now_ms + delay_ms, marker));
        }
    }

    pub fn handle(&mut self, request: &Request, now_ms: i64, chance: &mut Chance) -> Reply {
        match request {
            Request::Init { name } => {
                let (outcome, markers) = self.transactions.init(name);
                self.send_markers(markers, now_ms, chance);
                outcome.map_or_else(Reply::Transaction, Reply::Initialized)
            }
            Request::Produce { by, sequence, records } => {
                self.produce(by, *sequence, records, now_ms)
            }
            Request::SendOffsets { by, offsets, membership } => {
                if let Err(error) = self.transactions.touch(by, Place::Offsets, now_ms) {
                    return Reply::Transaction(error);
                }
                if let Err(error) = self.group.check(membership) {
                    return Reply::Group(error);
                }
                self.group.add_pending(by.id, offsets.clone());
                Reply::Done
            }
            Request::End { by, commit } => match self.transactions.end(by, *commit) {
                Ok(markers) => {
                    self.send_markers(markers, now_ms, chance);
                    Reply::Done
                }
                Err(error) => Reply::Transaction(error),
            },
            Request::FetchOffsets { stable } => Reply::Offsets(self.offsets(*stable)),
            Request::Ends { committed } => {
                let ends = self.logs.iter().filter(|((topic, _), _)| *topic == Topic::Changelog);
                let end = |log: &Log| if *committed { log.last_stable() } else { log.end() };
                Reply::Ends(ends.map(|((_, partition), log)| (*partition, end(log))).collect())
            }
        }
    }

    fn produce(
        &mut self,
        by: &Producer,
        sequence: u64,
        records: &[(Topic, u32, Record)],
        now_ms: i64,
    ) -> Reply {
        let seen = (by.id, by.epoch, sequence);
        if let Some(answered) = self.seen.get(&seen) {
            return Reply::Produced(answered.clone());
        }
        let places: BTreeSet<_> =
            records.iter().map(|(topic, p, _)| Place::Log(*topic, *p)).collect();
        for place in places {
            if let Err(error) = self.transactions.touch(by, place, now_ms) {
                return Reply::Transaction(error);
            }
        }
        let mut next = BTreeMap::new();
        for (topic, partition, record) in records {
            let offset = self.log(*topic, *partition).append_open(by.id, record.clone(), now_ms);
            if *topic == Topic::Changelog {
                next.insert(*partition, offset);
            }
        }
        self.seen.insert(seen, next.clone());
        Reply::Produced(next)
    }

    pub fn offsets(&self, stable: bool) -> BTreeMap<u32, Fetched> {
        let fetched = |partition: u32| {
            if stable && self.group.is_unstable(partition) {
                return Fetched::Unstable;
            }
            self.group.committed.get(&partition).cloned().map_or(Fetched::Absent, Fetched::Known)
        };
        (0..self.input_partitions).map(|partition| (partition, fetched(partition))).collect()
    }
}
