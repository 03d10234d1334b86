//! Each check with the smallest input that makes it: `place path: message`.

use llm_optimizer_config::{Place, ProcessorConfig, load_str, settings::ValueFields};

/// The faults of a file whose `processor:` section is `body`, in one line each.
fn faults(body: &str) -> Vec<String> {
    let indented = body.replace('\n', "\n  ");
    match load_str(&format!("processor:\n  {indented}\n"), "c.yaml", []) {
        Ok(_) => Vec::new(),
        Err(error) => error
            .faults()
            .iter()
            .map(|fault| {
                assert!(fault.excerpt.is_some(), "{fault}");
                let Place::File { line, column, .. } = &fault.place else { panic!("{fault}") };
                let path = fault.path.trim_start_matches("processor.");
                format!("{line}:{column} {path}: {}", fault.message)
            })
            .collect(),
    }
}

#[track_caller]
fn refused(body: &str, expected: &str) {
    assert_eq!(faults(body).join("\n"), expected, "\n{body}");
}

#[track_caller]
fn accepted(body: &str) {
    assert_eq!(faults(body), Vec::<String>::new(), "\n{body}");
}

#[test]
fn values_of_the_wrong_kind() {
    refused("parallelism: four", "2:16 parallelism: expected a whole number, found `four`");
    refused("parallelism: 1.5", "2:16 parallelism: expected a whole number, found `1.5`");
    refused("parallelism: -1", "2:16 parallelism: -1 must be at least 0");
    refused("parallelism: '4'", "2:16 parallelism: expected a whole number, found text");
    refused("parallelism:", "2:14 parallelism: expected a whole number, found nothing");
    refused("key_groups: 65536", "2:15 key_groups: 65536 must be at most 65535");
    refused(
        "windows: 5",
        "2:12 windows: expected a section with keys such as `default_type:`, found `5`",
    );
    refused("sinks: { type: file }", "2:10 sinks: expected a list, found a map");
    refused("sinks: console", "2:10 sinks: expected a list, found `console`");
    refused(
        "metrics: { enabled: yes }",
        "2:23 metrics.enabled: expected true or false, found `yes`",
    );
    refused(
        "delivery: []",
        "2:13 delivery: expected `exactly_once` or `at_least_once`, found a list",
    );
    refused(
        "kafka: { consumer: { topics: a } }",
        "2:32 kafka.consumer.topics: expected a list, found `a`",
    );
    refused(
        "windows: { session: { gap_secs: 5m } }",
        "2:35 windows.session.gap_secs: expected a number, found `5m`",
    );
    refused(
        "windows: { session: { gap_secs: .inf } }",
        "2:35 windows.session.gap_secs: expected a number, found `.inf`",
    );
    refused(
        "windows: { session: { gap_secs: 1e9 } }",
        "2:35 windows.session.gap_secs: 1e9 is not in -100000000..=100000000",
    );
    refused(
        "windows: { session: { gap_secs: 0.0005 } }",
        "2:35 windows.session.gap_secs: 0.0005 has more than 3 decimals",
    );
    refused(
        "source: { type: generator, generator: { start: today } }",
        "2:50 source.generator.start: `today` is no instant",
    );
    refused(
        "source: { type: stdin, format: csv, csv: { delimiter: ab } }",
        "2:57 source.csv.delimiter: expected one character, found `ab`",
    );
}

#[test]
fn text_keys_take_numbers_as_text_and_empty_sections_their_defaults() {
    let yaml = "processor:\n  windows:\n  kafka: { consumer: { group_id: 42, topics: [1, 2] }, producer: { acks: 1 } }\n  delivery: at_least_once\n";
    let config = load_str(yaml, "c.yaml", []).unwrap().config;
    assert_eq!(config.kafka.consumer.group_id, "42");
    assert_eq!(config.kafka.consumer.topics, ["1", "2"]);
    assert_eq!(config.kafka.producer.acks, "1");
}

#[test]
fn unknown_keys_and_words() {
    refused("windows: { size_secs: 60 }", "2:14 windows.size_secs: unknown key `size_secs`");
    refused("sinks: [{ type: file, path: a, pth: b }]", "2:34 sinks[0].pth: unknown key `pth`");
    refused(
        "aggregation: { enabled: [count, mean] }",
        "2:35 aggregation.enabled[1]: unknown value `mean`; it is `count`, `sum`, `average`, `min`, `max`, `stddev` or `percentile`",
    );
    // A misspelt key does not make its neighbours look wrong.
    refused("source: { typ: file, path: a }", "2:13 source.typ: unknown key `typ`");
}

#[test]
fn numbers_out_of_bounds() {
    for key in ["parallelism", "buffer_size", "key_groups", "max_commit_bytes", "max_outbox_bytes"]
    {
        let column = key.len() + 5;
        refused(&format!("{key}: 0"), &format!("2:{column} {key}: 0 must be greater than 0"));
    }
    refused(
        "commit_interval_ms: 0\ncommit_min_interval_ms: 0",
        "2:23 commit_interval_ms: 0 must be greater than 0",
    );
    refused(
        "commit_interval_ms: 5",
        "2:23 commit_min_interval_ms: 10 exceeds commit_interval_ms 5",
    );
    refused(
        "checkpoint_interval_secs: 0",
        "2:29 checkpoint_interval_secs: 0 must be greater than 0",
    );
    refused("shutdown_timeout_secs: -1", "2:26 shutdown_timeout_secs: -1 must not be negative");
    refused(
        "limits:\n  max_keys: 0\n  max_windows_per_key: 0\n  max_record_bytes: 0\n  memory_bytes: 0",
        "3:15 limits.max_keys: 0 must be greater than 0
4:26 limits.max_windows_per_key: 0 must be greater than 0
5:23 limits.max_record_bytes: 0 must be greater than 0
6:19 limits.memory_bytes: 0 must be greater than 0",
    );
    refused(
        "watermark:\n  max_out_of_orderness_secs: -1\n  emit_interval_secs: 0\n  idle_timeout_secs: -0.5\n  max_future_skew_secs: -1\n  max_watermark_drift_secs: 0",
        "3:32 watermark.max_out_of_orderness_secs: -1 must not be negative
4:25 watermark.emit_interval_secs: 0 must be greater than 0
5:24 watermark.idle_timeout_secs: -0.5 must not be negative
6:27 watermark.max_future_skew_secs: -1 must not be negative
7:31 watermark.max_watermark_drift_secs: 0 must be greater than 0",
    );
    refused(
        "error_handling: { initial_retry_delay_ms: 9000 }",
        "2:45 error_handling.initial_retry_delay_ms: 9000 exceeds max_retry_delay_ms 5000",
    );
    refused(
        "error_handling: { initial_retry_delay_ms: 0 }",
        "2:45 error_handling.initial_retry_delay_ms: 0 must be greater than 0",
    );
    refused(
        "metrics: { export_interval_secs: 0 }",
        "2:36 metrics.export_interval_secs: 0 must be greater than 0",
    );
    refused(
        "source: { type: file, path: a, follow: true }\nsinks: [{ type: console }]\nstate: { backend: memory }",
        "4:21 state.backend: `memory` is for runs that end by themselves, and this one does not: what it read would be lost",
    );
    refused(
        "source: { type: http }\nstate: { backend: memory }\nsinks: [{ type: console }]",
        "3:21 state.backend: `memory` is for runs that end by themselves, and this one does not: what it read would be lost",
    );
    refused(
        "source: { type: http, max_body_bytes: 2, max_inbox_bytes: 1 }",
        "2:61 source.max_inbox_bytes: 1 is less than max_body_bytes 2: a long body would never fit",
    );
    refused(
        "source: { type: http, max_inbox_bytes: 0 }",
        "2:42 source.max_inbox_bytes: 0 must be greater than 0",
    );
    refused("source: { type: http, token: ' ' }", "2:32 source.token: the token is empty");
    refused(
        "source: { type: stdin, token: a }",
        "2:33 source.token: `token` does not apply to type `stdin`",
    );
    refused(
        "source: { type: otlp }",
        "2:19 event.profile: spans are read by profile gen_ai, or by paths of your own with profile custom",
    );
    accepted("source: { type: otlp }\nevent: { profile: gen_ai }");
    refused(
        "state: { checkpoint_retain: 0 }",
        "2:31 state.checkpoint_retain: 0 must be greater than 0",
    );
    refused(
        "http: { bind: everywhere }",
        "2:17 http.bind: `everywhere` is no address to listen on",
    );
    refused("http: { token: '' }", "2:18 http.token: the token is empty");
    refused("instance_id: ''", "2:16 instance_id: the name is empty");
}

#[test]
fn telemetry() {
    refused(
        "tracing: { sample_ratio: 1.5 }",
        "2:28 tracing.sample_ratio: 1.5 is not between 0 and 1",
    );
    refused(
        "tracing: { otlp: { endpoint: 'collector:4317' } }",
        "2:32 tracing.otlp.endpoint: `collector:4317` is no address of an OTLP receiver over HTTP",
    );
    refused(
        "metrics: { otlp: { timeout_secs: 0 } }",
        "2:36 metrics.otlp.timeout_secs: 0 must be greater than 0",
    );
    refused(
        "metrics:\n  enabled: false\n  otlp: {}",
        "4:5 metrics.otlp: there is nothing to push while metrics.enabled is false",
    );
    refused(
        "tracing: { otlp: { headers: { 'a b': x } } }",
        "2:22 tracing.otlp.headers: `a b` is no name of a header",
    );
    accepted(
        "tracing: { otlp: { endpoint: 'https://c/', headers: { x-key: y } }, sample_ratio: 0 }\nmetrics: { otlp: {} }",
    );
}

#[test]
fn windows() {
    refused(
        "windows: { tumbling: { size_secs: 0 } }",
        "2:37 windows.tumbling.size_secs: 0 must be greater than 0",
    );
    refused(
        "windows: { tumbling: { allowed_lateness_secs: -1 } }",
        "2:49 windows.tumbling.allowed_lateness_secs: -1 must not be negative",
    );
    refused(
        "windows: { sliding: { size_secs: -60 } }",
        "2:36 windows.sliding.size_secs: -60 must be greater than 0",
    );
    refused(
        "windows: { trigger: { count: 0, interval_secs: -1, every: 2 } }",
        "2:32 windows.trigger.count: 0 must be greater than 0
2:50 windows.trigger.interval_secs: -1 must be greater than 0
2:54 windows.trigger.every: unknown key `every`",
    );
    refused(
        "windows: { sliding: { slide_secs: 0, allowed_lateness_secs: -2 } }",
        "2:37 windows.sliding.slide_secs: 0 must be greater than 0
2:63 windows.sliding.allowed_lateness_secs: -2 must not be negative",
    );
    refused(
        "windows: { sliding: { size_secs: 30 } }",
        "2:36 windows.sliding.slide_secs: 60 (the default) exceeds size_secs 30",
    );
    refused(
        "windows: { session: { gap_secs: 0, allowed_lateness_secs: -1 } }",
        "2:35 windows.session.gap_secs: 0 must be greater than 0
2:61 windows.session.allowed_lateness_secs: -1 must not be negative",
    );
    accepted(
        "windows: { default_type: sliding, sliding: { size_secs: 60, slide_secs: 60, offset_secs: -3600 } }",
    );
    accepted("windows: { tumbling: { size_secs: 0.25, offset_secs: -0.125 } }");
    // A slide that cannot be read is one fault, not two.
    refused(
        "windows: { sliding: { size_secs: 30, slide_secs: x } }",
        "2:52 windows.sliding.slide_secs: expected a number, found `x`",
    );
}

#[test]
fn aggregation() {
    refused("aggregation: { enabled: [] }", "2:18 aggregation.enabled: the list is empty");
    refused(
        "aggregation: { enabled: [count, sum, count] }",
        "2:40 aggregation.enabled[2]: `count` is listed twice",
    );
    refused(
        "aggregation: { percentiles: [50, 50.0] }",
        "2:36 aggregation.percentiles[1]: 50 is listed twice",
    );
    refused(
        "aggregation: { percentiles: [-1, 100.001, 99.9999] }",
        "2:32 aggregation.percentiles[0]: -1 is not in 0..=100
2:36 aggregation.percentiles[1]: 100.001 is not in 0..=100
2:45 aggregation.percentiles[2]: 99.9999 has more than 3 decimals",
    );
    refused(
        "aggregation: { enabled: [percentile], percentiles: [] }",
        "2:41 aggregation.percentiles: the list is empty, but `percentile` is enabled",
    );
    accepted("aggregation: { enabled: [count], percentiles: [50] }");
    accepted("aggregation: { enabled: [count], percentiles: [] }");
    accepted("aggregation: { percentiles: [0, 0.001, 99.999, 100] }");
}

#[test]
fn event() {
    refused(
        "event: { profile: custom }",
        "2:21 event.timestamp: profile custom needs the field that holds the event time
2:21 event.values: profile custom needs the fields to aggregate",
    );
    accepted("event: { profile: custom, time: processing, values: { a: b } }");
    accepted("event: { profile: custom, timestamp: t, timestamp_unit: ms, values: { a: x.y } }");
    refused("event: { timestamp: a..b }", "2:23 event.timestamp: `a..b` has an empty part");
    refused(
        "event: { timestamp: t, timestamp_unit: min }",
        "2:42 event.timestamp_unit: unknown value `min`; it is `s`, `ms`, `us` or `ns`",
    );
    refused("event: { key: [] }", "2:12 event.key: the list is empty");
    refused(
        "event: { key: [a, '', a, x.__overflow__] }",
        "2:21 event.key[1]: the field is empty
2:25 event.key[2]: `a` is listed twice
2:28 event.key[3]: `__overflow__` is the key of what exceeds limits.max_keys",
    );
    refused("event: { values: {} }", "2:12 event.values: the map is empty");
    refused("event: { values: { '': x } }", "2:26 event.values.: the value's name is empty");
    refused("event: { values: { a: '' } }", "2:25 event.values.a: the field is empty");
}

#[test]
fn results_of_two_values_must_not_share_a_name() {
    let mut config = ProcessorConfig::default();
    let pair = |name: &str| (name.to_owned(), "x".to_owned());
    config.event.values = Some(ValueFields(vec![pair("a"), pair("a")]));
    let error = config.validate().unwrap_err();
    assert_eq!(error.faults()[0].message, "`a_sum` would name two results");
    assert_eq!(error.faults()[0].place, Place::Code);
    config.event.values = Some(ValueFields(vec![pair("a"), pair("a_sum")]));
    assert!(config.validate().is_ok());
}

#[test]
fn source() {
    refused("source: { type: file }", "2:19 source.path: a file source needs the file to read");
    refused("source: { type: file, path: '' }", "2:31 source.path: the path is empty");
    refused(
        "source: { path: a }",
        "2:19 source.path: `path` does not apply to type `kafka` (the default)",
    );
    refused(
        "source: { type: kafka, format: csv, follow: true, generator: {} }",
        "2:34 source.format: `format` does not apply to type `kafka`
2:47 source.follow: `follow` does not apply to type `kafka`
2:53 source.generator: `generator` does not apply to type `kafka`",
    );
    refused(
        "source: { type: stdin, follow: true }",
        "2:34 source.follow: `follow` does not apply to type `stdin`",
    );
    refused(
        "source: { type: file, path: a.ndjson, csv: {} }",
        "2:41 source.csv: `csv` needs `format: csv`",
    );
    refused(
        "source: { type: stdin, format: ndjson, csv: {} }",
        "2:42 source.csv: `csv` does not apply to format `ndjson`",
    );
    refused(
        "source: { type: stdin, format: csv, csv: { delimiter: é } }",
        "2:57 source.csv.delimiter: 'é' cannot separate cells",
    );
    refused(
        "source: { type: stdin, format: csv, csv: { columns: { a: '' } } }",
        "2:60 source.csv.columns.a: the field is empty",
    );
    accepted(
        "source: { type: file, path: a.csv, csv: { delimiter: ';', columns: { TIMESTAMP: timestamp } } }",
    );
}

#[test]
fn generator() {
    let body = |keys: &str| format!("source:\n  type: generator\n  generator: {{ {keys} }}");
    refused(
        &body("out_of_order_ratio: 1.5, late_ratio: -0.1"),
        "4:38 source.generator.out_of_order_ratio: 1.5 is not in 0..=1
4:55 source.generator.late_ratio: -0.1 is not in 0..=1",
    );
    refused(
        &body("events_per_sec: 0, speed: -1, tenants: 0"),
        "4:34 source.generator.events_per_sec: 0 is not greater than 0 and at most 1e9
4:44 source.generator.speed: -1 must not be negative
4:57 source.generator.tenants: 0 must be greater than 0",
    );
    refused(
        &body("max_disorder_secs: -1, incident_secs: 400"),
        "4:37 source.generator.max_disorder_secs: -1 must not be negative
4:56 source.generator.incident_secs: 400 exceeds incident_every_secs 300",
    );
    refused(
        &body("incident_every_secs: -1, incident_secs: -1"),
        "4:39 source.generator.incident_every_secs: -1 must not be negative
4:58 source.generator.incident_secs: -1 must not be negative",
    );
    accepted(&body("incident_every_secs: 0, incident_secs: 400, max_events: 5"));
}

#[test]
fn sinks_and_side_outputs() {
    refused("sinks: []", "2:3 sinks: the list is empty: results would go nowhere");
    refused("sinks: [{ type: file }]", "2:19 sinks[0].path: a file output needs the file to write");
    refused("sinks: [{ type: file, path: '' }]", "2:31 sinks[0].path: the path is empty");
    refused(
        "sinks: [{ path: a }]",
        "2:19 sinks[0].path: `path` does not apply to type `console` (the default)",
    );
    refused(
        "sinks: [{ type: kafka, path: a, format: table, url: x, table: t }]",
        "2:32 sinks[0].path: `path` does not apply to type `kafka`
2:43 sinks[0].format: `format` does not apply to type `kafka`
2:55 sinks[0].url: `url` does not apply to type `kafka`
2:65 sinks[0].table: `table` does not apply to type `kafka`",
    );
    refused(
        "sinks: [{ type: console, topic: t, bootstrap_servers: b }]",
        "2:35 sinks[0].topic: `topic` does not apply to type `console`
2:57 sinks[0].bootstrap_servers: `bootstrap_servers` does not apply to type `console`",
    );
    refused(
        "side_outputs: { late: { type: console } }",
        "2:33 side_outputs.late.type: a side output cannot go to type `console`",
    );
    refused(
        "side_outputs: { late: { path: a } }",
        "2:19 side_outputs.late.type: the type of the side output is missing",
    );
    refused(
        "side_outputs: { dead_letter: { type: kafka } }",
        "2:40 side_outputs.dead_letter.topic: a Kafka side output needs its topic",
    );
    refused(
        "side_outputs: { dead_letter: { type: kafka, topic: a } }\nerror_handling: { dead_letter_topic: b }",
        "3:40 error_handling.dead_letter_topic: dead letters have two places: this topic and side_outputs.dead_letter",
    );
}

#[test]
fn one_file_is_read_or_written_once() {
    refused(
        "source: { type: file, path: a }\nsinks: [{ type: file, path: ./a }]",
        "3:31 sinks[0].path: `a` is the file the source reads: it would be overwritten",
    );
    refused(
        "source: { type: file, path: a }\nside_outputs: { late: { type: file, path: b/../a } }",
        "3:45 side_outputs.late.path: `a` is the file the source reads: it would be overwritten",
    );
    refused(
        "sinks: [{ type: file, path: r }]\nside_outputs: { late: { type: file, path: r }, dead_letter: { type: file, path: r } }",
        "3:45 side_outputs.late.path: `r` is also written by sinks[0].path
3:83 side_outputs.dead_letter.path: `r` is also written by sinks[0].path",
    );
    accepted("sinks: [{ type: file, path: ../r }, { type: file, path: ../../r }]");
}

#[test]
fn kafka() {
    let consumer = |keys: &str| format!("kafka:\n  consumer: {{ {keys} }}");
    let producer = |keys: &str| format!("kafka:\n  producer: {{ {keys} }}");
    refused(
        &consumer("enable_auto_commit: true"),
        "3:37 kafka.consumer.enable_auto_commit: true would lose events: positions are committed with the state, never by a timer",
    );
    refused(
        &consumer("bootstrap_servers: '', group_id: '', topics: []"),
        "3:36 kafka.consumer.bootstrap_servers: the list of brokers is empty
3:50 kafka.consumer.group_id: the group is empty
3:54 kafka.consumer.topics: the list is empty",
    );
    refused(
        &consumer("bootstrap_servers: 'a:9092,b:x'"),
        "3:36 kafka.consumer.bootstrap_servers: `b:x` is no broker address",
    );
    refused(
        &consumer("topics: [a, a, 'b c']"),
        "3:29 kafka.consumer.topics[1]: `a` is listed twice
3:32 kafka.consumer.topics[2]: `b c` is no topic name",
    );
    refused(
        &consumer("max_poll_records: 0, session_timeout_ms: 0"),
        "3:35 kafka.consumer.max_poll_records: 0 must be greater than 0
3:58 kafka.consumer.session_timeout_ms: 0 must be greater than 0",
    );
    refused(
        &consumer("session_timeout_ms: 9999999"),
        "3:37 kafka.consumer.session_timeout_ms: 9999999 exceeds 1800000, the most a broker accepts",
    );
    refused(
        &producer("compression_type: lz5"),
        "3:35 kafka.producer.compression_type: unknown value `lz5`; it is `none`, `gzip`, `snappy`, `lz4` or `zstd`",
    );
    refused(
        &producer("acks: some"),
        "3:23 kafka.producer.acks: unknown value `some`; it is `all`, `-1`, `1` or `0`",
    );
    refused(
        &producer("acks: 1"),
        "3:23 kafka.producer.acks: `1` cannot keep delivery exactly_once (the default)",
    );
    refused(
        "kafka: { consumer: { auto_offset_reset: newest } }",
        "2:43 kafka.consumer.auto_offset_reset: unknown value `newest`; it is `earliest` or `latest`",
    );
    accepted("kafka: { producer: { acks: '0' } }\ndelivery: at_least_once");
    accepted(&consumer("bootstrap_servers: 'SASL_SSL://a:9092,[::1]:9092,b'"));
}

#[test]
fn words_are_checked_in_configs_made_in_code() {
    let mut config = ProcessorConfig::default();
    config.kafka.producer.acks = "most".into();
    config.kafka.producer.compression_type = "lzma".into();
    let error = config.validate().unwrap_err();
    let paths: Vec<&str> = error.faults().iter().map(|fault| fault.path.as_str()).collect();
    assert!(paths.contains(&"processor.kafka.producer.acks"), "{error}");
    assert!(paths.contains(&"processor.kafka.producer.compression_type"), "{error}");
}

#[test]
fn a_topic_is_read_or_written_once() {
    refused(
        "kafka:\n  consumer: { topics: [aggregated-metrics] }",
        "3:17 kafka.producer.result_topic: `aggregated-metrics` is also an input topic: the output would be read again",
    );
    refused(
        "sinks: [{ type: kafka, topic: feedback-events }]",
        "2:33 sinks[0].topic: `feedback-events` is also an input topic: the output would be read again",
    );
    refused(
        "error_handling: { dead_letter_topic: feedback-events }",
        "2:40 error_handling.dead_letter_topic: `feedback-events` is also an input topic: the output would be read again",
    );
    refused(
        "side_outputs: { late: { type: kafka, topic: aggregated-metrics } }",
        "2:47 side_outputs.late.topic: `aggregated-metrics` is also written by kafka.producer.result_topic",
    );
    refused(
        "kafka: { producer: { result_topic: '' } }",
        "2:38 kafka.producer.result_topic: the topic is empty",
    );
    accepted("sinks: [{ type: kafka, topic: feedback-events, bootstrap_servers: other:9092 }]");
    accepted("source: { type: stdin }\nsinks: [{ type: kafka, topic: feedback-events }]");
}
