//! The loop that reads: serves the group, takes what was fetched, hands it on.
//!
//! While the pipeline is full, or while this process does not hold all partitions, nothing is
//! taken out of the partition queues; the group is served all the same, so membership stays. Nor is
//! anything taken out of the queue of a partition that is paused: the client fetches into it up to
//! its limit and then waits.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, SendTimeoutError, Sender};
use rdkafka::{
    Offset,
    consumer::Consumer,
    error::{KafkaError, RDKafkaErrorCode},
    message::Message,
};
use tracing::{info, warn};

use super::{
    assignment::{Change, GroupConsumer, stop_reading},
    batch::BatchLimits,
    cluster,
    desk::{GroupDesk, GroupNews, GroupOrder, OrderNumber},
    notices::Trouble,
    partitions::{Collected, Partitions},
    source::source_error,
    starts::{Position, Starts},
};
use crate::{
    commit::kafka::TaskStart,
    error::{ProcessorError, ProcessorResult},
    source::{PartitionPauses, SourceEvent, StopToken},
};

/// Longest wait before the stop token and the group are looked at again.
const TICK: Duration = Duration::from_millis(50);

/// How long new partitions may belong to nobody before counting pauses: the group learns of them
/// with the metadata, every 10 s.
const GROWTH_GRACE: Duration = Duration::from_secs(30);

/// How long this process waits for the rest of the partitions before it asks the group again; then
/// twice as long each time, because every asking is a rebalance for the others.
const FIRST_REJOIN: Duration = Duration::from_secs(1);
const LONGEST_REJOIN: Duration = Duration::from_mins(5);

/// Whether records may be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not all partitions have been held yet.
    Joining,
    /// All partitions are held.
    Counting,
    /// All were held and some were lost.
    Paused,
}

/// What follows when reading ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nothing.
    ForGood,
    /// The commit side closed the consumer, and will say when to join again.
    UntilToldToJoin,
}

/// Whether this process is a member still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Served,
    /// Another member has its name.
    Fenced,
}

/// What became of the waiting events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flushed {
    All,
    Full,
    /// The runtime does not listen any more.
    Gone,
}

/// Reads the partitions of one run.
pub(super) struct Reader<'a> {
    consumer: Arc<GroupConsumer>,
    group: String,
    topics: Vec<String>,
    partitions: Partitions,
    phase: Phase,
    incomplete_since: Option<Instant>,
    rejoin_after: Duration,
    counts: Receiver<BTreeMap<String, i32>>,
    known_counts: BTreeMap<String, i32>,
    starts: Starts,
    limits: BatchLimits,
    pauses: PartitionPauses,
    wake: Receiver<()>,
    waiting: VecDeque<SourceEvent>,
    next: usize,
    queue: &'a Sender<SourceEvent>,
    stop: &'a StopToken,
}

/// What a reader needs besides its consumer.
pub(super) struct ReaderParts<'a> {
    pub(super) group: String,
    pub(super) topics: Vec<String>,
    pub(super) partitions: Partitions,
    pub(super) known_counts: BTreeMap<String, i32>,
    pub(super) counts: Receiver<BTreeMap<String, i32>>,
    pub(super) starts: Starts,
    pub(super) limits: BatchLimits,
    pub(super) pauses: PartitionPauses,
    pub(super) wake: Receiver<()>,
    pub(super) queue: &'a Sender<SourceEvent>,
    pub(super) stop: &'a StopToken,
}

impl<'a> Reader<'a> {
    /// A reader that has not joined the group yet.
    pub(super) fn new(consumer: Arc<GroupConsumer>, parts: ReaderParts<'a>) -> Self {
        Self {
            consumer,
            group: parts.group,
            topics: parts.topics,
            partitions: parts.partitions,
            phase: Phase::Joining,
            incomplete_since: Some(Instant::now()),
            rejoin_after: FIRST_REJOIN,
            counts: parts.counts,
            known_counts: parts.known_counts,
            starts: parts.starts,
            limits: parts.limits,
            pauses: parts.pauses,
            wake: parts.wake,
            waiting: VecDeque::new(),
            next: 0,
            queue: parts.queue,
            stop: parts.stop,
        }
    }

    /// Reads until all is read, the stop, or an error that does not heal.
    pub(super) fn run(&mut self) -> ProcessorResult<Ended> {
        self.subscribe()?;
        let mut ended = Ended::ForGood;
        while !self.stop.is_stopped() {
            let group = self.serve_group()?;
            if group == Group::Fenced || self.carry_out_orders()? == Ended::UntilToldToJoin {
                ended = Ended::UntilToldToJoin;
                break;
            }
            self.update_phase()?;
            self.doubt_ends();
            match self.flush() {
                Flushed::Gone => break,
                Flushed::Full => continue,
                Flushed::All => {}
            }
            if self.phase != Phase::Joining && self.partitions.all_ended() {
                break;
            }
            if self.phase != Phase::Counting || !self.read()? {
                // Only says that something happened, or that the tick is over.
                let _ = self.wake.recv_timeout(TICK);
            }
        }
        self.partitions.take_all();
        Ok(ended)
    }

    /// The partitions, none of them held.
    pub(super) fn into_partitions(mut self) -> Partitions {
        self.partitions.take_all();
        self.partitions
    }

    fn subscribe(&self) -> ProcessorResult<()> {
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        Ok(self.consumer.subscribe(&topics)?)
    }

    /// Lets the client call back: assignments, errors, log lines.
    fn serve_group(&mut self) -> ProcessorResult<Group> {
        for _ in 0..8 {
            match self.consumer.poll(Duration::ZERO) {
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    if let Some(desk) = &self.starts.desk {
                        desk.tell(GroupNews::Fenced);
                        return Ok(Group::Fenced);
                    }
                    return Err(source_error(
                        &self.topics,
                        format!(
                            "kafka has put another member in this one's place ({code}): another \
                             process uses the same group_id and instance_id; give each its own"
                        ),
                    ));
                }
                Some(Err(error)) if is_group_denied(&error) => {
                    return Err(ProcessorError::Denied {
                        name: format!("group `{}`", self.group),
                        reason: format!(
                            "kafka denies joining it ({error}); grant READ and DESCRIBE on the group"
                        ),
                    });
                }
                Some(Ok(message)) => {
                    // Every partition has a queue; should one be bypassed, it is read again.
                    let key = (message.topic().to_owned(), message.partition());
                    let position = self.consumer.context().position(&key);
                    let offset = position.map_or(Offset::Beginning, Offset::Offset);
                    self.consumer.seek(&key.0, key.1, offset, Duration::ZERO)?;
                }
                Some(Err(_)) | None => {}
            }
            // The next callback may take back what this one gave.
            self.apply_changes();
        }
        Ok(Group::Served)
    }

    /// Does what the commit side says.
    fn carry_out_orders(&mut self) -> ProcessorResult<Ended> {
        let Some(desk) = self.starts.desk.clone() else { return Ok(Ended::ForGood) };
        while let Some(order) = desk.next_order(Duration::ZERO) {
            match order {
                GroupOrder::Assign(order, starts) => self.read_from(&desk, order, &starts)?,
                GroupOrder::Close => return Ok(Ended::UntilToldToJoin),
                GroupOrder::Join => {}
            }
        }
        Ok(Ended::ForGood)
    }

    /// Reads granted partitions from where their state ends.
    fn read_from(
        &mut self,
        desk: &GroupDesk,
        order: OrderNumber,
        starts: &[TaskStart],
    ) -> ProcessorResult<()> {
        let mut from = Vec::with_capacity(starts.len());
        for start in starts {
            let Some(partition) = self.partitions.get_mut(start.partition.0 as usize) else {
                continue;
            };
            // The group has taken it back meanwhile.
            if !partition.is_granted() {
                continue;
            }
            let position = self.starts.position(&self.consumer, &partition.key, start.position);
            if let Position::Gone { position, log_start } = position {
                desk.tell(GroupNews::PositionGone {
                    partition: start.partition,
                    position,
                    log_start,
                });
                return Ok(());
            }
            let Position::At(position) = position else { continue };
            desk.begun(order, partition.begin_at(position), position);
            self.consumer.context().moved(&partition.key, position);
            from.push((partition.key.clone(), Offset::Offset(position)));
        }
        let context = Arc::clone(self.consumer.context());
        stop_reading(&self.consumer, &from)?;
        context.read_from(&self.consumer, &from)?;
        self.apply_changes();
        Ok(())
    }

    fn apply_changes(&mut self) {
        for change in self.consumer.context().take_changes() {
            match change {
                Change::Assigned(key, queue) => {
                    let waker = Arc::clone(self.consumer.context());
                    let Some(given) = self.partitions.give(&key, queue) else { continue };
                    if let Some(queue) = given.queue.as_mut() {
                        queue.set_nonempty_callback(move || waker.wake());
                    }
                }
                Change::Granted(keys, membership) => {
                    let Some(desk) = self.starts.desk.clone() else { continue };
                    let mut partitions = Vec::with_capacity(keys.len());
                    for key in keys {
                        let Some(id) = self.partitions.grant(&key) else { continue };
                        desk.number(&key, id);
                        partitions.push(id);
                    }
                    desk.tell(GroupNews::Granted { partitions, membership });
                }
                Change::Revoked(key) => self.partitions.take(&key),
            }
        }
    }

    fn update_phase(&mut self) -> ProcessorResult<()> {
        while let Ok(counts) = self.counts.try_recv() {
            if self.known_counts != counts
                && let Some(desk) = self.starts.desk.clone()
            {
                for key in cluster::all_partitions(&counts) {
                    self.partitions.know(&key);
                }
                desk.tell(GroupNews::Topology(self.partitions.origins()));
            }
            self.known_counts = counts;
        }
        let complete = self.partitions.holds_all(&self.known_counts);
        if complete {
            self.incomplete_since = None;
        }
        let since = *self.incomplete_since.get_or_insert_with(Instant::now);
        let overdue = !complete && since.elapsed() >= GROWTH_GRACE;
        match self.phase {
            Phase::Joining | Phase::Paused if complete => self.begin_counting(),
            Phase::Joining | Phase::Paused => self.wait_for_the_rest(since)?,
            Phase::Counting if self.partitions.lost_any() || overdue => self.pause(),
            Phase::Counting => self.announce(),
        }
        if complete {
            self.incomplete_since = None;
        }
        Ok(())
    }

    fn begin_counting(&mut self) {
        let notices = self.consumer.context().notices();
        notices.over(Trouble::Group, "this instance has all partitions now");
        let partitions = self.partitions.held();
        if self.phase == Phase::Joining {
            info!(topics = ?self.topics, partitions, "reading from kafka");
        } else {
            info!(topics = ?self.topics, partitions, "has all partitions again and goes on");
        }
        self.phase = Phase::Counting;
        self.announce();
    }

    fn pause(&mut self) {
        self.phase = Phase::Paused;
        warn!(
            topics = ?self.topics,
            held = self.partitions.held(),
            all = cluster_size(&self.known_counts),
            "lost partitions to the group or the connection; counting pauses, state is kept, and \
             it goes on when all are back"
        );
    }

    /// Says what is missing, and asks the group again if it does not give more: a static member
    /// that returns gets its former share, which may lack topics it did not read then.
    fn wait_for_the_rest(&mut self, since: Instant) -> ProcessorResult<()> {
        let held = self.partitions.held();
        // Joining takes a moment, and while brokers are away nothing is held either.
        let patience = if held == 0 { GROWTH_GRACE } else { FIRST_REJOIN };
        if since.elapsed() < patience {
            return Ok(());
        }
        self.say_what_is_missing(held);
        if held > 0 && since.elapsed() >= self.rejoin_after {
            self.incomplete_since = Some(Instant::now());
            self.rejoin_after = (self.rejoin_after * 2).min(LONGEST_REJOIN);
            self.consumer.unsubscribe();
            self.subscribe()?;
        }
        Ok(())
    }

    fn say_what_is_missing(&self, held: usize) {
        let all = cluster_size(&self.known_counts);
        self.consumer.context().notices().warn(
            Trouble::Group,
            &format!(
                "the group gives this instance {held} of {all} partitions; it does not count until \
                 it has all (stop the other instances, or use another group_id)"
            ),
        );
    }

    /// After a failed connection, or without all partitions, nobody knows whether the ends are still
    /// the ends: the partitions are behind until fetching from where they are says so again.
    fn doubt_ends(&mut self) {
        let doubt = self.consumer.context().take_disturbed() || self.phase == Phase::Paused;
        for index in 0..self.partitions.len() {
            let Some(partition) = self.partitions.get_mut(index) else { continue };
            if doubt && partition.doubt() {
                self.waiting.push_back(SourceEvent::Behind(partition.id()));
            }
            if let Some(position) = partition.doubtful_position()
                && self.phase == Phase::Counting
            {
                let (topic, number) = &partition.key;
                let offset = Offset::Offset(position);
                // Not fetching yet: it is asked again at the next tick.
                if self.consumer.seek(topic, *number, offset, Duration::ZERO).is_ok() {
                    partition.asked_again();
                }
            }
        }
    }

    fn announce(&mut self) {
        let mut origins = Vec::new();
        let mut ended = Vec::new();
        for partition in self.partitions.announce() {
            origins.push(Arc::clone(&partition.origin));
            if partition.is_at_end() {
                partition.ended = true;
                ended.push(SourceEvent::Ended(partition.id()));
            }
        }
        if !origins.is_empty() {
            self.waiting.push_back(SourceEvent::Assigned(origins));
            self.waiting.extend(ended);
        }
    }

    /// Takes one batch of each partition at most; `false` if there was nothing.
    fn read(&mut self) -> ProcessorResult<bool> {
        let mut any = false;
        for _ in 0..self.partitions.len() {
            let index = self.next;
            self.next = (index + 1) % self.partitions.len();
            let Some(partition) = self.partitions.get_mut(index) else { continue };
            if partition.ended || self.pauses.is_paused(partition.id()) {
                continue;
            }
            if self.pauses.take_resumed(partition.id()) {
                partition.resume();
            }
            let Collected { batch, caught_up } = partition.collect(self.limits)?;
            let id = partition.id();
            let ended = partition.ended;
            if batch.is_some() {
                self.consumer.context().moved(&partition.key, partition.position());
            }
            any |= batch.is_some() || caught_up || ended;
            self.waiting.extend(batch.map(SourceEvent::Batch));
            if ended {
                self.waiting.push_back(SourceEvent::Ended(id));
            } else if caught_up {
                self.waiting.push_back(SourceEvent::CaughtUp(id));
            }
            if self.flush() != Flushed::All {
                break;
            }
        }
        if any {
            self.consumer.context().notices().answered();
        }
        Ok(any)
    }

    fn flush(&mut self) -> Flushed {
        while let Some(event) = self.waiting.pop_front() {
            match self.queue.send_timeout(event, TICK) {
                Ok(()) => {}
                Err(SendTimeoutError::Timeout(event)) => {
                    self.waiting.push_front(event);
                    return Flushed::Full;
                }
                Err(SendTimeoutError::Disconnected(_)) => return Flushed::Gone,
            }
        }
        Flushed::All
    }
}

fn is_group_denied(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed)
}

fn cluster_size(counts: &BTreeMap<String, i32>) -> i64 {
    counts.values().map(|count| i64::from(*count)).sum()
}
