//! A real Kafka for tests: the broker at `KAFKA_BOOTSTRAP_SERVERS`, or the one of `scripts/kafka`,
//! which is started when it does not run. Every test has topics and groups of its own.
//!
//! Without Java or Maven the tests say loudly that they did not run; with `CI=true` they fail.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Mutex, OnceLock},
    time::{Duration, Instant},
};

use futures::executor::block_on;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
        TopicReplication,
    },
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::proxy::Proxy;

/// How long anything that works may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A broker that answers.
#[derive(Debug, Clone)]
pub(crate) struct Broker {
    pub(crate) servers: String,
}

/// A broker that this test starts and stops, on an address that stays; gone with this value.
pub(crate) struct OwnBroker {
    pub(crate) broker: Broker,
    instance: String,
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<String>,
    /// The value as text, empty if it is not.
    pub(crate) value: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Read {
    /// The last header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    }
}

/// The broker of all tests, or `None` where there can be none.
pub(crate) fn broker() -> Option<Broker> {
    static SHARED: OnceLock<Option<Broker>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| match std::env::var("KAFKA_BOOTSTRAP_SERVERS") {
        Ok(servers) if !servers.is_empty() => Some(Broker { servers }),
        _ => start(None),
    });
    shared.clone()
}

/// A broker of the test's own.
pub(crate) fn own_broker() -> Option<OwnBroker> {
    let instance = fresh("own");
    let broker = start(Some(&instance))?;
    Some(OwnBroker { broker, instance })
}

/// A broker that knows access control: whatever no rule is about is allowed.
pub(crate) fn guarded_broker() -> Option<OwnBroker> {
    let instance = fresh("guarded");
    let rules = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
                 allow.everyone.if.no.acl.found=true";
    let broker = start_with(Some(&instance), &[("KAFKA_PROPERTIES", rules)])?;
    Some(OwnBroker { broker, instance })
}

/// A broker that all clients reach through `proxy`, whatever they ask first. It ends no transaction by itself while a test
/// lasts.
pub(crate) fn proxied_broker(proxy: &Proxy) -> Option<OwnBroker> {
    let instance = fresh("proxied");
    let address = proxy.address();
    let properties = format!(
        "advertised.listeners=PLAINTEXT://{address}\n\
         transaction.abort.timed.out.transaction.cleanup.interval.ms=3600000"
    );
    let broker = start_with(Some(&instance), &[("KAFKA_PROPERTIES", &properties)])?;
    proxy.serve(&broker.servers);
    Some(OwnBroker { broker, instance })
}

/// A name that no other test and no other run has.
pub(crate) fn fresh(name: &str) -> String {
    format!("{name}-{}", &uuid::Uuid::new_v4().simple().to_string()[..12])
}

/// Waits until `done` says so, at most [`PATIENCE`].
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl OwnBroker {
    /// Ends the broker as a crash would.
    pub(crate) fn stop(&self) {
        script(Some(&self.instance), &["stop", "--now"]);
    }

    /// Starts it again, at the same address with the same topics.
    pub(crate) fn start(&self) {
        assert!(start(Some(&self.instance)).is_some(), "the broker does not start again");
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        script(Some(&self.instance), &["clean"]);
    }
}

impl Broker {
    /// Makes a topic with a name of its own.
    pub(crate) fn topic(&self, partitions: i32) -> String {
        let name = fresh("topic");
        self.create(&name, partitions, &[]);
        name
    }

    /// Makes a topic.
    pub(crate) fn create(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        let done = block_on(self.admin().create_topics(&[topic], &AdminOptions::new())).unwrap();
        assert!(done.iter().all(Result::is_ok), "{done:?}");
        // The broker learns of its own decision a moment later.
        let consumer: BaseConsumer = self.client().create().unwrap();
        wait_until("the topic has leaders", || {
            let metadata = consumer.fetch_metadata(Some(name), PATIENCE).unwrap();
            let found = &metadata.topics()[0];
            found.partitions().len() == usize::try_from(partitions).unwrap()
                && found.partitions().iter().all(|partition| partition.leader() >= 0)
        });
    }

    /// Gives a topic more partitions.
    pub(crate) fn grow(&self, topic: &str, partitions: usize) {
        let new = NewPartitions::new(topic, partitions);
        let done = block_on(self.admin().create_partitions(&[new], &AdminOptions::new())).unwrap();
        assert!(done.iter().all(Result::is_ok), "{done:?}");
    }

    /// Deletes the records of a partition below an offset.
    pub(crate) fn delete_records(&self, topic: &str, partition: i32, below: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(below)).unwrap();
        block_on(self.admin().delete_records(&list, &AdminOptions::new())).unwrap();
    }

    /// Settings of a topic.
    pub(crate) fn settings(&self, topic: &str) -> HashMap<String, String> {
        let asked = self.admin();
        let asked = block_on(
            asked.describe_configs([&ResourceSpecifier::Topic(topic)], &AdminOptions::new()),
        );
        let entries = asked.unwrap().remove(0).unwrap().entries;
        entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
    }

    /// Number of partitions of a topic.
    pub(crate) fn partitions(&self, topic: &str) -> usize {
        let consumer: BaseConsumer = self.client().create().unwrap();
        consumer.fetch_metadata(Some(topic), PATIENCE).unwrap().topics()[0].partitions().len()
    }

    /// Changes one setting of a topic.
    pub(crate) fn configure(&self, topic: &str, key: &str, value: &str) {
        self.configure_all(topic, &[(key, value)]);
    }

    /// Sets all settings of a topic that are not to have their defaults.
    pub(crate) fn configure_all(&self, topic: &str, settings: &[(&str, &str)]) {
        let change = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let change = settings.iter().fold(change, |change, (key, value)| change.set(key, value));
        let done = block_on(self.admin().alter_configs(&[change], &AdminOptions::new())).unwrap();
        assert!(done.iter().all(Result::is_ok), "{done:?}");
    }

    /// Writes values to a partition, with key `k<value>` and a header `h`.
    pub(crate) fn produce<V: ToString>(
        &self,
        topic: &str,
        partition: i32,
        values: impl IntoIterator<Item = V>,
    ) {
        produce(&self.producer(), topic, partition, values);
    }

    /// Writes values in one committed transaction, which leaves a control record at the end.
    pub(crate) fn produce_transaction<V: ToString>(
        &self,
        topic: &str,
        partition: i32,
        values: impl IntoIterator<Item = V>,
    ) {
        let producer: BaseProducer =
            self.client().set("transactional.id", fresh("transaction")).create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        produce(&producer, topic, partition, values);
        producer.commit_transaction(PATIENCE).unwrap();
    }

    /// Writes values to a partition as they are, without key and headers.
    pub(crate) fn produce_bytes(&self, topic: &str, partition: i32, values: &[Vec<u8>]) {
        let producer: BaseProducer = self.client().create().unwrap();
        for value in values {
            let mut record = BaseRecord::<(), _>::to(topic).partition(partition).payload(value);
            while let Err((error, back)) = producer.send(record) {
                let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
                assert!(is_full, "cannot produce {} bytes: {error}", value.len());
                record = back;
                producer.poll(Duration::from_millis(10));
            }
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Number of offsets of a topic.
    pub(crate) fn count(&self, topic: &str) -> usize {
        let consumer: BaseConsumer = self.client().create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
        let ends = metadata.topics()[0].partitions().iter().map(|partition| {
            consumer.fetch_watermarks(topic, partition.id(), PATIENCE).map_or(0, |(_, end)| end)
        });
        usize::try_from(ends.sum::<i64>()).unwrap()
    }

    /// Every record of a topic in the order of offsets, once there are `count` of them.
    pub(crate) fn read_all(&self, topic: &str, count: usize) -> Vec<Read> {
        let consumer = self.reader(topic, false);
        let mut read = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while read.len() < count {
            assert!(Instant::now() < deadline, "{} of {count} records in {topic}", read.len());
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                read.push(Read::from(&message));
            }
        }
        // One that comes twice would be there at once.
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(300)) {
            read.push(Read::from(&message));
        }
        read.sort_by_key(|read| (read.partition, read.offset));
        read
    }

    /// Every committed record of a topic, by partition and offset; there must be no open transaction.
    pub(crate) fn read_to_end(&self, topic: &str) -> Vec<Read> {
        let mut read = self.map_to_end(topic, |message| Read::from(message));
        read.sort_by_key(|read| (read.partition, read.offset));
        read
    }

    /// Partition, key and value of every committed record, each partition in its order.
    pub(crate) fn read_raw(&self, topic: &str) -> Vec<(i32, Vec<u8>, Option<Vec<u8>>)> {
        self.map_to_end(topic, |message| {
            let key = message.key().unwrap_or_default().to_vec();
            (message.partition(), key, message.payload().map(<[u8]>::to_vec))
        })
    }

    /// What `of` takes from every committed record up to the end of each partition.
    fn map_to_end<T>(&self, topic: &str, of: impl Fn(&BorrowedMessage<'_>) -> T) -> Vec<T> {
        let consumer = self.reader(topic, true);
        let partitions = consumer.assignment().unwrap().count();
        let deadline = Instant::now() + PATIENCE;
        let (mut read, mut ended) = (Vec::new(), BTreeSet::new());
        while ended.len() < partitions {
            assert!(Instant::now() < deadline, "no end of {topic} after {} records", read.len());
            match consumer.poll(Duration::from_millis(50)) {
                Some(Ok(message)) => read.push(of(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                _ => {}
            }
        }
        read
    }

    /// Reads what is committed in all partitions of a topic, from their beginnings; and says where they end, if it shall.
    fn reader(&self, topic: &str, says_ends: bool) -> BaseConsumer {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", fresh("probe"))
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", says_ends.to_string())
            .create()
            .unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
        let mut all = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            all.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
        }
        consumer.assign(&all).unwrap();
        consumer
    }

    /// Sum of the offsets that a group has committed for the partitions of a topic.
    pub(crate) fn committed(&self, group: &str, topic: &str, partitions: i32) -> i64 {
        let client: BaseConsumer = self.client().set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition(topic, partition);
        }
        let Ok(answer) = client.committed_offsets(list, PATIENCE) else { return 0 };
        let offset =
            |element: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element
                .offset()
            {
                Offset::Offset(offset) => offset,
                _ => 0,
            };
        answer.elements().into_iter().map(offset).sum()
    }

    /// Commits an offset as any other program would.
    pub(crate) fn commit_offset(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        let client: BaseConsumer = self.client().set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        client.commit(&list, rdkafka::consumer::CommitMode::Sync).unwrap();
    }

    /// Deletes a topic.
    pub(crate) fn delete_topic(&self, name: &str) {
        let done = block_on(self.admin().delete_topics(&[name], &AdminOptions::new())).unwrap();
        assert!(done.iter().all(Result::is_ok), "{done:?}");
        let consumer: BaseConsumer = self.client().create().unwrap();
        wait_until("the topic is gone", || {
            let metadata = consumer.fetch_metadata(Some(name), PATIENCE).unwrap();
            metadata.topics()[0].partitions().is_empty()
        });
    }

    /// Makes a topic anew, with the same records at other offsets.
    pub(crate) fn make_anew(&self, name: &str, config: &[(&str, &str)]) {
        let partitions = i32::try_from(self.partitions(name)).unwrap();
        let records = self.read_raw(name);
        self.delete_topic(name);
        self.create(name, partitions, config);
        let producer = self.producer();
        for (partition, key, value) in &records {
            let mut record = BaseRecord::to(name).partition(*partition).key(key);
            if let Some(value) = value {
                record = record.payload(value);
            }
            assert!(producer.send(record).is_ok());
            producer.poll(Duration::ZERO);
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Settings of a client of this broker.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers);
        config
    }

    fn producer(&self) -> BaseProducer {
        self.client().set("linger.ms", "1").create().unwrap()
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }
}

impl From<&BorrowedMessage<'_>> for Read {
    fn from(message: &BorrowedMessage<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let headers = message.headers().map(|headers| {
            let pairs = headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.map(text).unwrap_or_default()));
            pairs.collect()
        });
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(text),
            value: message
                .payload()
                .map(|bytes| String::from_utf8(bytes.to_vec()).unwrap_or_default())
                .unwrap_or_default(),
            bytes: message.payload().unwrap_or_default().to_vec(),
            headers: headers.unwrap_or_default(),
        }
    }
}

fn produce<V: ToString>(
    producer: &BaseProducer,
    topic: &str,
    partition: i32,
    values: impl IntoIterator<Item = V>,
) {
    for value in values {
        let value = value.to_string();
        let key = format!("k{value}");
        let headers = OwnedHeaders::new().insert(Header { key: "h", value: Some("header") });
        let record = BaseRecord::to(topic).partition(partition).key(&key).payload(&value);
        let mut record = record.headers(headers);
        while let Err((_, back)) = producer.send(record) {
            record = back;
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(PATIENCE).unwrap();
}

fn start(instance: Option<&str>) -> Option<Broker> {
    start_with(instance, &[])
}

fn start_with(instance: Option<&str>, more: &[(&str, &str)]) -> Option<Broker> {
    // Two brokers at once would only be slower on a small machine.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let skipped = std::env::var("KAFKA_TESTS").is_ok_and(|value| value == "skip");
    let (code, out) =
        if skipped { (Some(3), String::new()) } else { script_with(instance, &["start"], more) };
    match code {
        Some(0) => {
            let servers = out.trim().strip_prefix("KAFKA_BOOTSTRAP_SERVERS=").unwrap();
            Some(Broker { servers: servers.to_owned() })
        }
        Some(3) => {
            let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!in_ci, "no Kafka for the tests, and CI=true: run scripts/setup test");
            eprintln!("!!! NO KAFKA (Java or Maven is missing): THIS TEST DID NOT RUN !!!");
            None
        }
        _ => panic!("scripts/kafka start failed; see its messages above"),
    }
}

fn script(instance: Option<&str>, arguments: &[&str]) -> (Option<i32>, String) {
    script_with(instance, arguments, &[])
}

fn script_with(
    instance: Option<&str>,
    arguments: &[&str],
    more: &[(&str, &str)],
) -> (Option<i32>, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scripts/kafka");
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit());
    command.envs(more.iter().copied());
    if let Some(instance) = instance {
        command.env("KAFKA_INSTANCE", instance).env("KAFKA_HEAP", "256m");
    }
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}
