//! Reads outbox topics for one sink, as the only member of a group of its own, and keeps its cursor there.
//!
//! Being a member is what keeps a process that stood still from moving the cursor: once another one has taken the place, the
//! broker refuses its commits. Where to begin is never left to the client.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use super::{
    codec::{OutboxDamage, RowHead, RowParts},
    cursor::SinkCursor,
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    kafka::{
        cluster::{self, LogRange},
        config,
        notices::Notices,
    },
};

/// How long one question may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Outbox topics have one partition: rows of a pipeline are in order.
pub(super) const PARTITION: i32 = 0;

/// What is read by whom.
#[derive(Debug, Clone)]
pub(super) struct ReaderSettings {
    pub(super) bootstrap_servers: String,
    /// The sink's group.
    pub(super) group: String,
    /// Static name of the member, and client id.
    pub(super) member: String,
    pub(super) session_timeout: Duration,
    /// The sink, for errors.
    pub(super) sink: String,
    pub(super) topics: Vec<String>,
}

impl ReaderSettings {
    /// Where the sink is in a topic with this log, by what its group has stored.
    ///
    /// # Errors
    /// [`ProcessorError::State`] if what it has not got is not in the log, or what is stored cannot be read.
    pub(super) fn place(
        &self,
        topic: &str,
        LogRange { first, end }: LogRange,
        stored: Option<(i64, String)>,
    ) -> ProcessorResult<Place> {
        let Some((next, metadata)) = stored else {
            return Ok(Place { next: first, cursor: None, is_behind: end > first });
        };
        let Some(cursor) = SinkCursor::decode(&metadata) else {
            return Err(self.refused(
                topic,
                &format!(
                    "what is committed beside offset {next} is not of this release: `{metadata}`"
                ),
            ));
        };
        if next < first {
            return Err(self.refused(
                topic,
                &format!("the sink has everything before offset {next}, and the log begins at {first}: results in between are gone"),
            ));
        }
        if next > end {
            return Err(self.refused(
                topic,
                &format!("the sink has everything before offset {next}, and the log ends at {end}: somebody made the topic anew"),
            ));
        }
        Ok(Place { next, cursor: Some(cursor), is_behind: end > next })
    }

    /// What to do about an outbox that has not all the sink needs.
    pub(super) fn refused(&self, topic: &str, what: &str) -> ProcessorError {
        let Self { sink, group, .. } = self;
        ProcessorError::State(format!(
            "outbox `{topic}` of sink `{sink}`: {what}; if the sink shall go on without them, delete its group (kafka-consumer-groups.sh \
             --delete --group {group}): it then begins with the oldest that is there"
        ))
    }
}

/// What reading brought.
#[derive(Debug)]
pub(super) enum Read {
    /// Nothing for now.
    Nothing,
    /// The group gave all topics to this process.
    Granted,
    /// The group has taken them back, or given some of them to another one.
    Revoked,
    /// A row of the topic with this number; `next` is the offset behind it.
    Row { topic: usize, head: RowHead, row: Vec<u8>, next: i64 },
}

/// Where a sink is in one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The next offset to read.
    pub(super) next: i64,
    /// What was stored there; `None`: the sink is new to the topic.
    pub(super) cursor: Option<SinkCursor>,
    /// Whether there is something behind it.
    pub(super) is_behind: bool,
}

/// What a sink needs of its topics and of its group.
///
/// | call | afterwards |
/// | --- | --- |
/// | `poll` said `Granted` | nothing is read before `read_from`; the broker takes `store` from this process alone |
/// | `places` returned `Ok` | every place is within the log, and is what the newest `store` said |
/// | `poll` said `Row` | rows of a topic come in order, from its place on, each whole |
/// | `store` returned `Ok` | the next `places`, of whatever process, says exactly that |
pub(super) trait RowSource {
    /// Joins the group.
    fn join(&mut self) -> ProcessorResult<()>;

    /// Leaves the group; another process may take the place.
    fn leave(&mut self);

    /// Serves the client after [`leave`](Self::leave): it leaves when it has called back that nothing is assigned.
    fn idle(&self, patience: Duration);

    /// Takes what came, at most one row.
    ///
    /// # Errors
    /// What does not heal: damaged, missing or deleted records, a process of the same name, denied access.
    fn poll(&mut self, patience: Duration) -> ProcessorResult<Read>;

    /// Where the sink is in every topic, as its group has it, checked against the log.
    ///
    /// # Errors
    /// [`ProcessorError::State`] for a cursor below the start of the log, behind its end, or of another program;
    /// [`ProcessorError::Unavailable`] if brokers do not answer.
    fn places(&self) -> ProcessorResult<Vec<Place>>;

    /// Reads from these places on.
    fn read_from(&mut self, places: &[Place]) -> ProcessorResult<()>;

    /// Stores how far the sink is in every topic, in one request.
    ///
    /// # Errors
    /// [`ProcessorError::Unavailable`] while the group or its coordinator does not take it; another process of the same name.
    fn store(&self, cursors: &[(i64, SinkCursor)]) -> ProcessorResult<()>;
}

/// The consumer of one sink.
pub(super) struct OutboxReader {
    consumer: BaseConsumer<ReaderContext>,
    settings: ReaderSettings,
    parts: Vec<RowParts>,
    /// The assignment that was told, by its number.
    granted: Option<u64>,
}

impl OutboxReader {
    /// A consumer that is in no group yet.
    pub(super) fn new(settings: ReaderSettings) -> ProcessorResult<Self> {
        let notices = Notices::new(&settings.bootstrap_servers);
        let context = ReaderContext { notices, given: Mutex::default() };
        let consumer = config::outbox_reader(
            &settings.bootstrap_servers,
            &settings.member,
            &settings.group,
            settings.session_timeout,
        )
        .create_with_context(context)?;
        let mut reader = Self { consumer, settings, parts: Vec::new(), granted: None };
        reader.forget();
        Ok(reader)
    }

    fn forget(&mut self) {
        self.parts = self.settings.topics.iter().map(|_| RowParts::default()).collect();
    }

    /// Number of the assignment, if it is of all topics.
    fn assignment(&self) -> Option<u64> {
        let given = self.consumer.context().lock();
        let has_all = self.settings.topics.iter().all(|topic| given.topics.contains(topic));
        has_all.then_some(given.number)
    }

    fn take(&mut self, topic: &str, offset: i64, value: &[u8]) -> ProcessorResult<Read> {
        let Some(number) = self.settings.topics.iter().position(|own| own == topic) else {
            return Ok(Read::Nothing);
        };
        let Some(parts) = self.parts.get_mut(number) else { return Ok(Read::Nothing) };
        let taken = parts.take(value);
        let Some((head, row)) = taken.map_err(|damage| damaged(topic, offset, &damage))? else {
            return Ok(Read::Nothing);
        };
        Ok(Read::Row { topic: number, head, row, next: offset + 1 })
    }

    /// An error if trying again makes no sense.
    fn judge(&self, error: &KafkaError) -> ProcessorResult<()> {
        use RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code();
        let topics = self.settings.topics.join(", ");
        match code {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => Err(self.settings.refused(
                &topics,
                &format!("records that the sink has not got are gone ({error})"),
            )),
            Some(Code::BadMessage) => Err(self
                .settings
                .refused(&topics, &format!("a batch of records is damaged ({error})"))),
            Some(Code::FencedInstanceId | Code::Fatal) => Err(ProcessorError::Unavailable {
                name: self.settings.group.clone(),
                reason: format!(
                    "another process has the name `{}` in this group; give each its own instance_id ({error})",
                    self.settings.member
                ),
            }),
            Some(code) => {
                self.consumer.context().notices.error(code, &error.to_string());
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn unanswered(&self, reason: &str) -> ProcessorError {
        ProcessorError::Unavailable { name: self.settings.group.clone(), reason: reason.to_owned() }
    }
}

impl RowSource for OutboxReader {
    fn join(&mut self) -> ProcessorResult<()> {
        let topics: Vec<&str> = self.settings.topics.iter().map(String::as_str).collect();
        Ok(self.consumer.subscribe(&topics)?)
    }

    fn leave(&mut self) {
        self.consumer.unsubscribe();
        self.consumer.context().lock().topics.clear();
        self.granted = None;
        self.forget();
    }

    fn idle(&self, patience: Duration) {
        drop(self.consumer.poll(patience));
    }

    fn poll(&mut self, patience: Duration) -> ProcessorResult<Read> {
        let polled = self.consumer.poll(patience);
        let read = match polled {
            Some(Ok(message)) => {
                let place = (message.topic().to_owned(), message.offset());
                Some((place, message.payload().unwrap_or_default().to_vec()))
            }
            Some(Err(error)) => return self.judge(&error).map(|()| Read::Nothing),
            None => None,
        };
        // Calls back happen while it is polled.
        let granted = self.assignment();
        if granted != self.granted {
            self.forget();
            self.granted = granted;
            return Ok(if granted.is_some() { Read::Granted } else { Read::Revoked });
        }
        match read.filter(|_| granted.is_some()) {
            Some(((topic, offset), value)) => self.take(&topic, offset, &value),
            None => Ok(Read::Nothing),
        }
    }

    fn places(&self) -> ProcessorResult<Vec<Place>> {
        let mut asked = TopicPartitionList::new();
        for topic in &self.settings.topics {
            asked.add_partition(topic, PARTITION);
        }
        let committed = self.consumer.committed_offsets(asked, ANSWER_TIMEOUT);
        let committed = committed.map_err(|error| self.unanswered(&error.to_string()))?;
        let place = |topic: &String| {
            let key = (topic.clone(), PARTITION);
            let range = cluster::log_range(&self.consumer, &key)
                .map_err(|not_yet| self.unanswered(&not_yet.text))?;
            let found = committed.find_partition(topic, PARTITION);
            if let Some(Err(error)) =
                found.as_ref().map(rdkafka::topic_partition_list::TopicPartitionListElem::error)
            {
                return Err(self.unanswered(&error.to_string()));
            }
            let stored = found.and_then(|found| match found.offset() {
                Offset::Offset(next) => Some((next, found.metadata().to_owned())),
                _ => None,
            });
            self.settings.place(topic, range, stored)
        };
        self.settings.topics.iter().map(place).collect()
    }

    fn read_from(&mut self, places: &[Place]) -> ProcessorResult<()> {
        let mut list = TopicPartitionList::new();
        for (topic, place) in self.settings.topics.iter().zip(places) {
            list.add_partition_offset(topic, PARTITION, Offset::Offset(place.next))?;
        }
        Ok(self.consumer.incremental_assign(&list)?)
    }

    fn store(&self, cursors: &[(i64, SinkCursor)]) -> ProcessorResult<()> {
        let mut list = TopicPartitionList::new();
        for (topic, (next, cursor)) in self.settings.topics.iter().zip(cursors) {
            let mut element = list.add_partition(topic, PARTITION);
            element.set_offset(Offset::Offset(*next))?;
            element.set_metadata(cursor.encode());
        }
        let Err(error) = self.consumer.commit(&list, CommitMode::Sync) else { return Ok(()) };
        self.judge(&error)?;
        Err(self.unanswered(&error.to_string()))
    }
}

fn damaged(topic: &str, offset: i64, damage: &OutboxDamage) -> ProcessorError {
    ProcessorError::State(format!(
        "outbox `{topic}`, offset {offset}: {damage}; it is not read past that: find out who writes to this topic"
    ))
}

/// What the consumer calls back.
struct ReaderContext {
    notices: Notices,
    given: Mutex<Given>,
}

/// What the group gave; all topics have one partition.
#[derive(Default)]
struct Given {
    topics: Vec<String>,
    /// How often that changed.
    number: u64,
}

impl ReaderContext {
    fn lock(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, list: &TopicPartitionList, is_taken: bool) {
        if list.count() == 0 {
            return;
        }
        let mut given = self.lock();
        given.number += 1;
        for element in list.elements() {
            given.topics.retain(|topic| topic != element.topic());
            if !is_taken {
                given.topics.push(element.topic().to_owned());
            }
        }
    }
}

impl ClientContext for ReaderContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.notices.client_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.notices.client_error(&error, reason);
    }
}

impl ConsumerContext for ReaderContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let done = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.change(partitions, false);
            // Ends the call back for the group; reading follows when it is known from where.
            consumer.incremental_assign(&TopicPartitionList::new())
        } else {
            self.change(partitions, true);
            given_back(consumer, partitions).and_then(|list| consumer.incremental_unassign(&list))
        };
        if let Err(error) = done {
            self.notices.client_error(&error, "rebalance");
        }
    }
}

/// Those of `taken` that are read.
fn given_back(
    consumer: &BaseConsumer<ReaderContext>,
    taken: &TopicPartitionList,
) -> Result<TopicPartitionList, KafkaError> {
    let assigned = consumer.assignment()?;
    let mut list = TopicPartitionList::new();
    for element in taken.elements() {
        if assigned.find_partition(element.topic(), element.partition()).is_some() {
            list.add_partition(element.topic(), element.partition());
        }
    }
    Ok(list)
}
