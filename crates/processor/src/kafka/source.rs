//! Topics as a source.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use llm_optimizer_config::settings::{KafkaConsumerConfig, OffsetReset};
use rdkafka::consumer::{BaseConsumer, Consumer};
use tracing::info;

use super::{
    assignment::{Change, GroupConsumer, GroupContext},
    batch::BatchLimits,
    cluster, config,
    desk::{GroupDesk, GroupNews, GroupOrder},
    kept_positions::KeptPositions,
    notices::Notices,
    partitions::Partitions,
    preflight::{self, Start},
    reader::{Ended, Reader, ReaderParts},
    requirements::Requirements,
    starts::Starts,
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    record::{PartitionKey, Position},
    runtime::Telemetry,
    source::{PartitionPauses, Source, SourceEvent, StopToken},
    state::Store,
};

/// How often topics are asked for new partitions.
const METADATA_INTERVAL: Duration = Duration::from_secs(10);

/// How long a stop waits for the client to close.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// How long a consumer may take to close before the next one joins under its name.
const REJOIN_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a source without a consumer looks at the stop.
const ORDER_CHECK: Duration = Duration::from_millis(50);

/// Bytes at which a batch is handed on, whatever its number of records.
const MAX_BATCH_BYTES: usize = 4 << 20;

/// What a source needs besides `kafka.consumer`.
#[derive(Debug, Clone)]
pub struct KafkaSourceOptions {
    /// Stable name of this instance; with the group it is the static member name.
    pub instance_id: String,
    /// Reads the offsets below the ends seen at the start, then ends.
    pub until_end: bool,
    /// `limits.max_record_bytes`: a longer record is cut to one byte more.
    pub max_record_bytes: usize,
}

/// Reads topics as the only instance of a consumer group.
///
/// Without [`with_commits`](Self::with_commits) no offset is committed on Kafka: every run begins where `auto_offset_reset` says, or, with
/// [`keeping_positions`](Self::keeping_positions), goes on where the commits in a local store say. The instance counts
/// only while it holds all partitions of its topics, because a sum over some of them is wrong. It
/// waits for brokers and topics that are not there, and reads on where it was after an outage.
#[derive(Debug)]
pub struct KafkaSource {
    settings: KafkaConsumerConfig,
    options: KafkaSourceOptions,
    pauses: PartitionPauses,
    commits: Option<Commits>,
    kept: Option<KeptPositions>,
    telemetry: Option<Arc<Telemetry>>,
}

/// Where positions come from, if they are committed.
#[derive(Debug)]
struct Commits {
    desk: Arc<GroupDesk>,
    requirements: Requirements,
}

impl KafkaSource {
    /// A source of the topics in `settings`; connects when it runs.
    #[must_use]
    pub fn new(settings: &KafkaConsumerConfig, options: KafkaSourceOptions) -> Self {
        Self {
            settings: settings.clone(),
            options,
            pauses: PartitionPauses::default(),
            commits: None,
            kept: None,
            telemetry: None,
        }
    }

    /// Reads from the positions that commits in `store` have, if there is one; where each partition began is kept there
    /// too.
    #[must_use]
    pub fn keeping_positions(mut self, store: Option<Arc<dyn Store>>) -> Self {
        self.kept = store.map(KeptPositions::new);
        self
    }

    /// Reads from committed positions: `desk` is told what the group gives and takes, and says from where to read. The group
    /// is joined when `requirements` are met.
    #[must_use]
    pub fn with_commits(mut self, desk: Arc<GroupDesk>, requirements: Requirements) -> Self {
        self.commits = Some(Commits { desk, requirements });
        self
    }

    /// Tells `telemetry` where partitions end and whether a broker is connected, once a second, if anybody looks.
    #[must_use]
    pub fn with_telemetry(mut self, telemetry: &Arc<Telemetry>) -> Self {
        self.telemetry = telemetry.is_on().then(|| Arc::clone(telemetry));
        self
    }

    /// Lets somebody else say which partitions are paused.
    #[must_use]
    pub fn with_pauses(mut self, pauses: PartitionPauses) -> Self {
        self.pauses = pauses;
        self
    }

    /// The static member name: `<group>-<instance id>`.
    fn member(&self) -> String {
        format!("{}-{}", self.settings.group_id, self.options.instance_id)
    }

    fn say_where_it_begins(&self) {
        let begin = match self.settings.auto_offset_reset {
            OffsetReset::Earliest => "earliest",
            OffsetReset::Latest => "latest",
        };
        info!(
            topics = ?self.settings.topics, group = %self.settings.group_id, begin,
            "no position is kept across runs yet: this run and every restart begin at `{begin}`"
        );
    }

    /// Reads as long as the commit side wants, with a new consumer each time it says so.
    fn read_with_commits(
        &self,
        desk: &Arc<GroupDesk>,
        start: &Start,
        notices: &Arc<Notices>,
        queue: &Sender<SourceEvent>,
        stop: &StopToken,
    ) -> ProcessorResult<()> {
        let mut partitions = Partitions::new(start, self.options.until_end);
        desk.tell(GroupNews::Ready(partitions.origins()));
        while !stop.is_stopped() && !desk.is_left() {
            if desk.next_order(ORDER_CHECK) == Some(GroupOrder::Join) {
                let (ended, left) =
                    self.read(partitions, start, Arc::clone(notices), queue, stop)?;
                if ended == Ended::ForGood {
                    break;
                }
                // Their numbers stay.
                partitions = left;
            }
        }
        Ok(())
    }

    fn read(
        &self,
        partitions: Partitions,
        start: &Start,
        notices: Arc<Notices>,
        queue: &Sender<SourceEvent>,
        stop: &StopToken,
    ) -> ProcessorResult<(Ended, Partitions)> {
        let (waker, wake) = bounded(1);
        let desk = self.commits.as_ref().map(|commits| Arc::clone(&commits.desk));
        let starts =
            Starts { desk: desk.clone(), configured: start.positions.clone(), stop: stop.clone() };
        let context = GroupContext::new(notices, start.positions.clone(), waker, desk.clone())
            .telling(self.telemetry.clone());
        let mut settings = config::consumer(&self.settings, &self.member(), partitions.len());
        if self.telemetry.is_some() {
            settings.set("statistics.interval.ms", "1000");
        }
        let mut consumer: GroupConsumer = settings.create_with_context(context)?;
        let waker = Arc::clone(Consumer::context(&consumer));
        consumer.set_nonempty_callback(move || waker.wake());
        let consumer = Arc::new(consumer);
        Consumer::context(&*consumer).attach(&consumer);
        let (_watching, counts) = watch_topics(&consumer, &self.settings.topics)?;
        let mut reader = Reader::new(
            Arc::clone(&consumer),
            ReaderParts {
                group: self.settings.group_id.clone(),
                topics: self.settings.topics.clone(),
                partitions,
                known_counts: start.counts.clone(),
                counts,
                starts,
                limits: BatchLimits {
                    records: self.settings.max_poll_records.max(1),
                    bytes: MAX_BATCH_BYTES,
                    record_bytes: self.options.max_record_bytes,
                },
                pauses: self.pauses.clone(),
                wake,
                queue,
                stop,
            },
        );
        let done = reader.run();
        let partitions = reader.into_partitions();
        match (&done, desk) {
            (Ok(Ended::ForGood), Some(desk)) => stay_until_committed(consumer, desk),
            (Ok(Ended::UntilToldToJoin), _) => close(consumer, REJOIN_CLOSE_TIMEOUT),
            _ => close(consumer, CLOSE_TIMEOUT),
        }
        Ok((done?, partitions))
    }
}

impl Source for KafkaSource {
    fn run(self: Box<Self>, queue: &Sender<SourceEvent>, stop: &StopToken) -> ProcessorResult<()> {
        let notices = Arc::new(Notices::new(&self.settings.bootstrap_servers));
        let requirements = self.commits.as_ref().map(|commits| &commits.requirements);
        if requirements.is_none() && self.kept.is_none() {
            self.say_where_it_begins();
        }
        let start = preflight::wait(&self.settings, &self.member(), requirements, &notices, stop)?;
        let Some(mut start) = start else { return Ok(()) };
        if let Some(kept) = &self.kept {
            kept.settle(&mut start)?;
        }
        if let Some(Commits { desk, .. }) = &self.commits {
            return self.read_with_commits(desk, &start, &notices, queue, stop);
        }
        let partitions = Partitions::new(&start, self.options.until_end);
        self.read(partitions, &start, notices, queue, stop).map(|_| ())
    }

    /// # Errors
    /// [`ProcessorError::Source`] if there are positions and the source keeps none.
    fn resume(&mut self, stored: &[(PartitionKey, Position)]) -> ProcessorResult<()> {
        match &mut self.kept {
            Some(kept) => kept.resume(stored),
            None if stored.is_empty() => {}
            None => {
                return Err(source_error(
                    &self.settings.topics,
                    "there is state, and this source begins anew: give it as a `KafkaConfig`, or \
                     begin with an empty state"
                        .into(),
                ));
            }
        }
        Ok(())
    }

    fn pauses(&self) -> Option<PartitionPauses> {
        Some(self.pauses.clone())
    }

    fn is_bounded(&self) -> bool {
        self.options.until_end
    }
}

/// An error of the source of `topics`.
pub(super) fn source_error(topics: &[String], reason: String) -> ProcessorError {
    ProcessorError::Source { name: topics.join(","), reason }
}

/// Ends when it is dropped.
type Watching = Sender<()>;

/// Asks for the number of partitions every 10 seconds, on a thread of its own because the answer
/// may take seconds.
fn watch_topics(
    consumer: &Arc<GroupConsumer>,
    topics: &[String],
) -> ProcessorResult<(Watching, Receiver<BTreeMap<String, i32>>)> {
    let (watching, end) = bounded::<()>(0);
    let (found, counts) = bounded(1);
    let consumer: Weak<BaseConsumer<GroupContext>> = Arc::downgrade(consumer);
    let topics = topics.to_vec();
    let watch = move || {
        while end.recv_timeout(METADATA_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            let Some(consumer) = consumer.upgrade() else { return };
            if let Ok(counts) = cluster::partition_counts(&consumer, &topics) {
                // A full channel: the reader has not looked at the last answer yet.
                let _ = found.try_send(counts);
            }
        }
    };
    thread::Builder::new()
        .name("kafka-topics".into())
        .spawn(watch)
        .map_err(|cause| ProcessorError::Internal(format!("cannot start a thread: {cause}")))?;
    Ok((watching, counts))
}

/// Stays a member without reading, until the last commit is done: a commit is refused to one who has left. On a thread of
/// its own, because the source has ended.
fn stay_until_committed(consumer: Arc<GroupConsumer>, desk: Arc<GroupDesk>) {
    let staying = thread::Builder::new().name("kafka-stay".into()).spawn(move || {
        if let Ok(assigned) = consumer.assignment() {
            // What is fetched meanwhile is thrown away.
            let _ = consumer.pause(&assigned);
        }
        while !desk.is_left() && desk.next_order(Duration::ZERO) != Some(GroupOrder::Close) {
            let _ = consumer.poll(ORDER_CHECK);
            for change in Consumer::context(&*consumer).take_changes() {
                // The last commit must name the newest membership.
                if let Change::Granted(keys, membership) = change {
                    let partitions = desk.numbers(keys.iter());
                    desk.tell(GroupNews::Granted { partitions, membership });
                }
            }
        }
        drop(consumer);
    });
    drop(staying);
}

/// Closes the consumer. Brokers that are away may hold that up, so it has a thread of its own and
/// is waited for only a moment.
fn close(consumer: Arc<GroupConsumer>, patience: Duration) {
    let (closed, wait) = bounded::<()>(1);
    let closing = thread::Builder::new().name("kafka-close".into()).spawn(move || {
        drop(consumer);
        // Nobody may be waiting any more.
        let _ = closed.send(());
    });
    if closing.is_ok() {
        let _ = wait.recv_timeout(patience);
    }
}
