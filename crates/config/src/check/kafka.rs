//! `kafka:`.

use super::Checks;
use crate::{
    settings::{ACKS, COMPRESSION_TYPES, Delivery},
    suggest::listed,
};

pub(super) fn check(checks: &mut Checks<'_>) {
    let kafka = &checks.config.kafka;
    brokers(checks, "kafka.consumer.bootstrap_servers", &kafka.consumer.bootstrap_servers);
    brokers(checks, "kafka.producer.bootstrap_servers", &kafka.producer.bootstrap_servers);
    consumer(checks);
    producer(checks);
}

/// The brokers of a pipeline's outputs.
pub(super) fn check_outputs(checks: &mut Checks<'_>) {
    for (key, sink, _) in super::outputs::outputs(checks) {
        if let Some(servers) = &sink.bootstrap_servers {
            brokers(checks, &format!("{key}.bootstrap_servers"), servers);
        }
    }
}

fn consumer(checks: &mut Checks<'_>) {
    let consumer = &checks.config.kafka.consumer;
    if consumer.group_id.trim().is_empty() {
        checks.fault("kafka.consumer.group_id", "the group is empty", "name the consumer group");
    }
    if consumer.enable_auto_commit {
        checks.fault(
            "kafka.consumer.enable_auto_commit",
            "true would lose events: positions are committed with the state, never by a timer",
            "write false, or remove the key",
        );
    }
    let timeout = consumer.session_timeout_ms;
    if timeout > 1_800_000 {
        let message = format!("{timeout} exceeds 1800000, the most a broker accepts");
        checks.fault("kafka.consumer.session_timeout_ms", message, "10000 or less is advised");
    }
}

fn producer(checks: &mut Checks<'_>) {
    let producer = &checks.config.kafka.producer;
    word(checks, "kafka.producer.compression_type", &producer.compression_type, &COMPRESSION_TYPES);
    word(checks, "kafka.producer.acks", &producer.acks, &ACKS);
    let all = matches!(producer.acks.as_str(), "all" | "-1");
    if !all && checks.config.delivery == Delivery::ExactlyOnce {
        let default = if checks.has("delivery") { "" } else { " (the default)" };
        checks.conflict(
            "kafka.producer.acks",
            &["delivery"],
            format!("`{}` cannot keep delivery exactly_once{default}", producer.acks),
            "write `acks: all`, or `delivery: at_least_once`",
        );
    }
}

fn word(checks: &mut Checks<'_>, key: &str, written: &str, words: &[&str]) {
    if !words.contains(&written) {
        let message = format!("unknown value `{written}`; it is {}", listed(words));
        let meant = crate::suggest::did_you_mean(written, words.iter().copied());
        checks.fault(key, message, &meant.unwrap_or_default());
    }
}

fn brokers(checks: &mut Checks<'_>, key: &str, servers: &str) {
    let help = "write host:port, several separated by commas";
    if servers.trim().is_empty() {
        checks.fault(key, "the list of brokers is empty", help);
        return;
    }
    for server in servers.split(',').map(str::trim) {
        if !is_broker(server) {
            checks.fault(key, format!("`{server}` is no broker address"), help);
        }
    }
}

/// `host`, `host:port`, `[::1]:port`, each with or without `PROTOCOL://`.
fn is_broker(server: &str) -> bool {
    let address = server.split_once("://").map_or(server, |(_, address)| address);
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    };
    let port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    port && !host.is_empty() && !host.contains(char::is_whitespace)
}
