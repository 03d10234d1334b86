//! Settings of the librdkafka clients.
//!
//! The numbers behind them are measured: `fetch.queue.backoff.ms` at its default of a second more
//! than halves throughput, and a prefetch per partition without a common bound takes gigabytes
//! with many partitions.

use std::time::Duration;

use llm_optimizer_config::settings::{KafkaConsumerConfig, KafkaProducerConfig};
use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

use super::transaction::TransactionSettings;

/// Memory for records that are fetched and not yet taken, over all partitions, in KiB.
const PREFETCH_KIB: usize = 64 * 1024;

/// The same for rows of outbox topics, per sink.
const OUTBOX_PREFETCH_KIB: usize = 8 * 1024;

/// What every client has in common.
pub(super) fn client(bootstrap_servers: &str, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap_servers)
        .set("client.id", client_id)
        .set("reconnect.backoff.ms", "100")
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.nagle.disable", "true")
        .set("socket.keepalive.enable", "true")
        .set("log.connection.close", "false")
        .set_log_level(RDKafkaLogLevel::Warning);
    config
}

/// A client without a group, which asks for topics, offsets and members.
pub(super) fn probe(settings: &KafkaConsumerConfig, client_id: &str) -> ClientConfig {
    without_group(&settings.bootstrap_servers, client_id)
}

/// As [`probe`], of the cluster at `bootstrap_servers`.
pub(super) fn without_group(bootstrap_servers: &str, client_id: &str) -> ClientConfig {
    let mut config = client(bootstrap_servers, client_id);
    config
        .set("allow.auto.create.topics", "false")
        // The end that is asked for is then the end that the consumer will see.
        .set("isolation.level", "read_committed");
    config
}

/// Asks for the offsets of a group without being its member. Under `read_committed` offsets of an open transaction
/// are an error, never the ones before.
pub(super) fn group_probe(bootstrap_servers: &str, client_id: &str, group: &str) -> ClientConfig {
    let mut config = without_group(bootstrap_servers, client_id);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false");
    config
}

/// Asks where logs end, transactions that are open included.
pub(super) fn uncommitted_probe(bootstrap_servers: &str, client_id: &str) -> ClientConfig {
    let mut config = without_group(bootstrap_servers, client_id);
    config.set("isolation.level", "read_uncommitted");
    config
}

/// Reads `partitions` partitions of an internal topic from given offsets to their ends, as fast as it can.
pub(super) fn log_reader(
    bootstrap_servers: &str,
    client_id: &str,
    group: &str,
    partitions: usize,
) -> ClientConfig {
    let mut config = without_group(bootstrap_servers, client_id);
    let prefetch_kib = (PREFETCH_KIB / partitions.max(1)).max(4 * 1024);
    config
        // Required by the client; nothing is committed and nobody joins.
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("fetch.queue.backoff.ms", "1")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.error.backoff.ms", "100")
        .set("queued.min.messages", "100000")
        .set("queued.max.messages.kbytes", prefetch_kib.to_string());
    config
}

/// The only member of a sink's group, which reads its outbox topics from given offsets on.
pub(super) fn outbox_reader(
    bootstrap_servers: &str,
    member: &str,
    group: &str,
    session_timeout: Duration,
) -> ClientConfig {
    let session_ms = session_timeout.as_millis();
    let mut config = group_probe(bootstrap_servers, member, group);
    config
        .set("group.instance.id", member)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", session_ms.to_string())
        .set("heartbeat.interval.ms", (session_ms / 3).max(1).to_string())
        // A sink that is away may hold its thread for long; the process is there all the same.
        .set("max.poll.interval.ms", "86400000")
        .set("auto.offset.reset", "error")
        .set("fetch.queue.backoff.ms", "1")
        .set("fetch.error.backoff.ms", "100")
        .set("fetch.wait.max.ms", "100")
        .set("queued.max.messages.kbytes", OUTBOX_PREFETCH_KIB.to_string());
    config
}

/// As [`log_reader`], to look at one record of each partition.
pub(super) fn glancing_reader(
    bootstrap_servers: &str,
    client_id: &str,
    group: &str,
    partitions: usize,
) -> ClientConfig {
    let mut config = log_reader(bootstrap_servers, client_id, group, partitions);
    config.set("queued.min.messages", "1").set("fetch.message.max.bytes", "4096");
    config
}

/// The consumer of `partitions` partitions; `member` is its client id and its static member name.
pub(super) fn consumer(
    settings: &KafkaConsumerConfig,
    member: &str,
    partitions: usize,
) -> ClientConfig {
    let session_ms = settings.session_timeout_ms;
    let prefetch_kib = (PREFETCH_KIB / partitions.max(1)).max(1024);
    let mut config = probe(settings, member);
    config
        .set("group.id", &settings.group_id)
        .set("group.instance.id", member)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", session_ms.to_string())
        .set("heartbeat.interval.ms", (session_ms / 3).max(1).to_string())
        .set("max.poll.interval.ms", session_ms.max(300_000).to_string())
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("fetch.queue.backoff.ms", "1")
        .set("fetch.error.backoff.ms", "100")
        .set("fetch.wait.max.ms", "100")
        .set("queued.min.messages", "100000")
        .set("queued.max.messages.kbytes", prefetch_kib.to_string());
    config
}

/// The idempotent producer of one broker list.
pub(super) fn producer(
    settings: &KafkaProducerConfig,
    bootstrap_servers: &str,
    client_id: &str,
) -> ClientConfig {
    let mut config = client(bootstrap_servers, client_id);
    config
        .set("acks", &settings.acks)
        // librdkafka has idempotence with acks=all only.
        .set("enable.idempotence", if is_all(&settings.acks) { "true" } else { "false" })
        .set("compression.codec", &settings.compression_type)
        .set("linger.ms", "5")
        .set("retry.backoff.ms", "50")
        .set("retry.backoff.max.ms", "1000")
        // No limit: what is handed over waits until the broker is back.
        .set("message.timeout.ms", "0")
        .set("message.max.bytes", "10485760")
        .set("queue.buffering.max.kbytes", "65536")
        .set("topic.metadata.refresh.interval.ms", "10000")
        // The same partition for a key as Java producers choose.
        .set("partitioner", "murmur2_random");
    config
}

/// The transactional producer: idempotent, `acks=all`, one transaction at a time.
pub(super) fn transactional(
    settings: &KafkaProducerConfig,
    transaction: &TransactionSettings,
) -> ClientConfig {
    let mut config =
        producer(settings, &transaction.bootstrap_servers, &transaction.transactional_id);
    let timeout_ms = transaction.transaction_timeout.as_millis().to_string();
    config
        .set("transactional.id", &transaction.transactional_id)
        .set("transaction.timeout.ms", &timeout_ms)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .set("retry.backoff.ms", "5")
        .set("retry.backoff.max.ms", "5")
        // A record that waits longer than its transaction lives is of no use.
        .set("message.timeout.ms", &timeout_ms)
        // No limit by number: one commit is bounded in bytes.
        .set("queue.buffering.max.messages", "0");
    config
}

fn is_all(acks: &str) -> bool {
    matches!(acks, "all" | "-1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefetch_is_shared_by_the_partitions() {
        let settings = KafkaConsumerConfig::default();
        let kib = |partitions| {
            let config = consumer(&settings, "group-1", partitions);
            config.get("queued.max.messages.kbytes").unwrap().parse::<usize>().unwrap()
        };
        assert_eq!(kib(0), 65_536);
        assert_eq!(kib(4), 16_384);
        assert_eq!(kib(1_000), 1_024);
    }

    #[test]
    fn the_member_is_static_and_commits_nothing() {
        let config = consumer(&KafkaConsumerConfig::default(), "group-1", 1);
        assert_eq!(config.get("group.instance.id"), Some("group-1"));
        assert_eq!(config.get("client.id"), Some("group-1"));
        assert_eq!(config.get("enable.auto.commit"), Some("false"));
        assert_eq!(config.get("auto.offset.reset"), Some("error"));
    }

    #[test]
    fn idempotence_follows_acks() {
        let mut settings = KafkaProducerConfig::default();
        let idempotence = |settings: &KafkaProducerConfig| {
            let config = producer(settings, "localhost:9092", "id");
            config.get("enable.idempotence").unwrap().to_owned()
        };
        assert_eq!(idempotence(&settings), "true");
        settings.acks = "1".into();
        assert_eq!(idempotence(&settings), "false");
    }
}
