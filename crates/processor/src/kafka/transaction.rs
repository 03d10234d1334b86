//! The transactional producer: everything of one commit, visible at once or never.
//!
//! `open → init → (begin → produce … → settle → offsets → commit | abort)…`. A call out of this order is refused by the
//! client and comes back as a failure. Nothing waits inside a transaction: it is begun when the commit is fully
//! encoded.
//!
//! rdkafka's `flush`, which `commit_transaction` calls too, polls in slices of 100 ms that never end early. So `settle`
//! brings the count of records in flight to 0 first, and the flush finds nothing to wait for.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use llm_optimizer_config::settings::KafkaProducerConfig;
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, OwnedHeaders},
    producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer},
};

use super::{
    changelog_codec::GroupMeta,
    config,
    failure::{FailureKind, TransactionFailure, TransactionStep},
    notices::Notices,
    producer::unusable,
};
use crate::error::ProcessorResult;

/// Longest record, with key and headers, in bytes; brokers take 1,048,588 by default.
///
/// Values are kept to 900 kB by those who make them: state in numbered parts, side records cut. What is left is for
/// keys and headers.
pub const MAX_RECORD_BYTES: usize = 1_000_000;

/// After a commit the coordinator still writes its markers, and a transaction begun meanwhile waits 20 ms.
const PAUSE_AFTER_COMMIT: Duration = Duration::from_millis(2);

/// How often the records in flight are counted.
const SETTLE_STEP: Duration = Duration::from_micros(200);

/// A result of a step of a transaction.
pub type TransactionResult<T> = Result<T, TransactionFailure>;

/// Who writes, and how long a transaction may take.
#[derive(Debug, Clone)]
pub struct TransactionSettings {
    /// Brokers of the source's cluster, `host:port` separated by commas.
    pub bootstrap_servers: String,
    /// `<group>-<instance id>`; equal to the group's static member name.
    pub transactional_id: String,
    /// After this the broker aborts an open transaction.
    pub transaction_timeout: Duration,
}

/// A record of a transaction.
#[derive(Debug)]
pub struct TransactionRecord<'a> {
    /// Where it goes.
    pub topic: &'a str,
    /// Which partition; `None`: by the key.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
    /// Headers.
    pub headers: Option<OwnedHeaders>,
}

/// The next position of one input partition, and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetToCommit {
    /// Input topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// The next offset to read.
    pub position: i64,
    /// Text of [`OffsetMetadata`](super::OffsetMetadata).
    pub metadata: String,
}

/// A copy of the group's metadata, bound to the moment it was taken; clones are the same copy.
///
/// A commit uses the copy of the rebalance that gave it its partitions, never a fresh one: that is what lets the broker refuse
/// a member whose partitions others have.
#[derive(Clone)]
pub struct GroupMetadata(Arc<ConsumerGroupMetadata>);

impl GroupMetadata {
    /// Keeps `metadata`.
    #[must_use]
    pub fn new(metadata: ConsumerGroupMetadata) -> Self {
        Self(Arc::new(metadata))
    }
}

impl std::fmt::Debug for GroupMetadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupMetadata").finish_non_exhaustive()
    }
}

/// Writes records and positions in transactions; one per process.
///
/// | call | afterwards |
/// | --- | --- |
/// | `init` returned `Ok` | nothing that an earlier owner of the id left open can become visible, and that owner is fenced |
/// | `settle` returned `Ok` | every record since `begin` is acknowledged, none is in flight |
/// | `commit` returned `Ok` | all records and offsets since `begin` are visible to `read_committed` readers |
/// | `abort` returned `Ok` | none of them ever will be |
/// | any failed | see [`FailureKind`] |
///
/// Every call is made from one thread and may wait as long as its `patience`.
pub struct TransactionalProducer {
    client: ThreadedProducer<ReportContext>,
    committed_at: Option<Instant>,
    sent: usize,
}

impl std::fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransactionalProducer").field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl TransactionalProducer {
    /// A client that has not taken its id yet; it connects on its own thread.
    ///
    /// # Errors
    /// `Config` if no producer can have these settings.
    pub fn open(
        producer: &KafkaProducerConfig,
        settings: &TransactionSettings,
    ) -> ProcessorResult<Self> {
        let reports = Reports::default();
        let notices = Notices::new(&settings.bootstrap_servers);
        let context = ReportContext { notices, reports };
        let config = config::transactional(producer, settings);
        let client = ThreadedProducer::from_config_and_context(&config, context)
            .map_err(|error| unusable(&error))?;
        Ok(Self { client, committed_at: None, sent: 0 })
    }

    /// Takes the transactional id: fences its last owner and aborts what that left open.
    ///
    /// # Errors
    /// [`FailureKind::Retriable`] while no coordinator answers within `patience`; otherwise as classified.
    pub fn init(&mut self, patience: Duration) -> TransactionResult<()> {
        let done = self.client.init_transactions(patience);
        done.map_err(|error| TransactionFailure::of(TransactionStep::Init, &error))
    }

    /// Begins a transaction; waits until 2 ms have passed since the last commit.
    ///
    /// # Errors
    /// As classified.
    pub fn begin(&mut self) -> TransactionResult<()> {
        if let Some(pause) =
            self.committed_at.and_then(|at| PAUSE_AFTER_COMMIT.checked_sub(at.elapsed()))
        {
            thread::sleep(pause);
        }
        let begun = self.client.begin_transaction();
        begun.map_err(|error| TransactionFailure::of(TransactionStep::Begin, &error))?;
        self.sent = 0;
        self.client.context().reports.begin();
        Ok(())
    }

    /// Hands a record to the client; waits while the client is full.
    ///
    /// # Errors
    /// A record that cannot be written, this or one before it.
    pub fn produce(
        &mut self,
        record: TransactionRecord<'_>,
        patience: Duration,
    ) -> TransactionResult<()> {
        check_size(&record)?;
        let deadline = Instant::now() + patience;
        let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(record.topic);
        message.partition = record.partition;
        message.key = record.key;
        message.payload = record.payload;
        message.headers = record.headers;
        loop {
            let Err((error, returned)) = self.client.send(message) else { break };
            message = returned;
            self.fail_with_a_record()?;
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull)
                || Instant::now() >= deadline
            {
                return Err(TransactionFailure::of(TransactionStep::Produce, &error));
            }
            thread::sleep(SETTLE_STEP);
        }
        self.sent += 1;
        Ok(())
    }

    /// Waits until every record is acknowledged.
    ///
    /// # Errors
    /// The first record that failed; [`FailureKind::Abortable`] when `patience` is over.
    pub fn settle(&self, patience: Duration) -> TransactionResult<()> {
        let deadline = Instant::now() + patience;
        while self.client.in_flight_count() > 0 {
            self.fail_with_a_record()?;
            if Instant::now() >= deadline {
                let said = format!(
                    "{} records are not acknowledged in time",
                    self.client.in_flight_count()
                );
                return Err(TransactionFailure::of_record(
                    RDKafkaErrorCode::MessageTimedOut,
                    &said,
                ));
            }
            thread::sleep(SETTLE_STEP);
        }
        self.fail_with_a_record()?;
        let acknowledged = self.client.context().reports.acknowledged();
        if acknowledged != self.sent {
            let said = format!("{acknowledged} of {} records are acknowledged", self.sent);
            return Err(TransactionFailure::of_record(RDKafkaErrorCode::Fail, &said));
        }
        Ok(())
    }

    /// Makes positions part of the transaction; with them the broker checks that `group` still holds.
    ///
    /// # Errors
    /// As classified; refused without any position, because such a transaction would not be fenced.
    pub fn offsets(
        &mut self,
        offsets: &[OffsetToCommit],
        group: &GroupMetadata,
        patience: Duration,
    ) -> TransactionResult<()> {
        let list = offset_list(offsets)?;
        let sent = self.client.send_offsets_to_transaction(&list, &group.0, patience);
        sent.map_err(|error| TransactionFailure::of(TransactionStep::Offsets, &error))
    }

    /// Commits.
    ///
    /// # Errors
    /// As classified; most are [`FailureKind::Ambiguous`].
    pub fn commit(&mut self, patience: Duration) -> TransactionResult<()> {
        self.settle(patience)?;
        let done = self.client.commit_transaction(patience);
        done.map_err(|error| TransactionFailure::of(TransactionStep::Commit, &error))?;
        self.committed_at = Some(Instant::now());
        Ok(())
    }

    /// Aborts; what is not sent yet is thrown away.
    ///
    /// # Errors
    /// As classified.
    pub fn abort(&mut self, patience: Duration) -> TransactionResult<()> {
        let done = self.client.abort_transaction(patience);
        done.map_err(|error| TransactionFailure::of(TransactionStep::Abort, &error))?;
        self.committed_at = Some(Instant::now());
        Ok(())
    }

    /// Where the meta records of the open transaction lie, those of other topics with the same key among them.
    #[must_use]
    pub fn meta_offsets(&self) -> Vec<MetaOffset> {
        self.client.context().reports.lock_metas().clone()
    }

    fn fail_with_a_record(&self) -> TransactionResult<()> {
        match self.client.context().reports.failure() {
            Some((code, said)) => Err(TransactionFailure::of_record(code, &said)),
            None => Ok(()),
        }
    }
}

fn check_size(record: &TransactionRecord<'_>) -> TransactionResult<()> {
    let headers = record.headers.as_ref().map_or(0, header_bytes);
    let bytes = record.key.map_or(0, <[u8]>::len) + record.payload.map_or(0, <[u8]>::len) + headers;
    if bytes <= MAX_RECORD_BYTES {
        return Ok(());
    }
    let said = format!(
        "a record of {bytes} bytes for topic `{}` is longer than {MAX_RECORD_BYTES}; shorten the keys, or lower \
         limits.max_record_bytes",
        record.topic
    );
    Err(TransactionFailure::found(TransactionStep::Produce, FailureKind::Refused, &said))
}

fn header_bytes(headers: &OwnedHeaders) -> usize {
    use rdkafka::message::Headers;
    headers.iter().map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len)).sum()
}

fn offset_list(offsets: &[OffsetToCommit]) -> TransactionResult<TopicPartitionList> {
    let refused = |said: &str| {
        TransactionFailure::found(TransactionStep::Offsets, FailureKind::Refused, said)
    };
    if offsets.is_empty() {
        return Err(refused("a transaction without positions would not be fenced"));
    }
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for offset in offsets {
        let mut element = list.add_partition(&offset.topic, offset.partition);
        element
            .set_offset(Offset::Offset(offset.position))
            .map_err(|_| refused(&format!("position {} is below 0", offset.position)))?;
        element.set_metadata(&offset.metadata);
    }
    Ok(list)
}

/// Where a record with the key of meta records was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaOffset {
    /// Topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset; negative if the broker did not say, which happens to a record that was sent twice.
    pub offset: i64,
}

/// What became of the records of the transaction that is open.
#[derive(Default)]
struct Reports {
    acknowledged: AtomicUsize,
    metas: Mutex<Vec<MetaOffset>>,
    failure: Mutex<Option<(RDKafkaErrorCode, String)>>,
}

impl Reports {
    fn begin(&self) {
        self.acknowledged.store(0, Ordering::Release);
        self.lock_metas().clear();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn lock_metas(&self) -> MutexGuard<'_, Vec<MetaOffset>> {
        self.metas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// The first failure, which is the cause of those after it.
    fn failure(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn report(&self, result: &DeliveryResult<'_>) {
        use rdkafka::Message;
        match result {
            Ok(message) => {
                if message.key() == Some(GroupMeta::KEY) {
                    self.lock_metas().push(MetaOffset {
                        topic: message.topic().to_owned(),
                        partition: message.partition(),
                        offset: message.offset(),
                    });
                }
                self.acknowledged.fetch_add(1, Ordering::AcqRel);
            }
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                let said =
                    format!("a record for topic `{}` was not written ({error})", message.topic());
                let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert((code, said));
            }
        }
    }
}

struct ReportContext {
    notices: Notices,
    reports: Reports,
}

impl ClientContext for ReportContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.notices.client_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.notices.client_error(&error, reason);
    }
}

impl ProducerContext for ReportContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {
        self.reports.report(result);
    }
}
