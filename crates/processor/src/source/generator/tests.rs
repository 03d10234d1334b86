//! The generated traffic: reproducible, plausible, paced.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chrono::DateTime;
use llm_optimizer_config::settings::{GeneratorConfig, Secs};
use proptest::prelude::*;
use serde_json::Value;

use super::GeneratorSource;
use crate::{
    record::{PartitionKey, Position, SourceKind},
    source::{
        Source, SourceEvent,
        clock::{Clock, ManualClock, SystemClock},
        testing::{all_rows, batches, start, story},
        text::BatchLimits,
    },
};

/// 10:00 UTC, when the rate is near its mean.
const START: &str = "2024-05-01T10:00:00Z";

fn config(max_events: u64) -> GeneratorConfig {
    GeneratorConfig {
        max_events: Some(max_events),
        speed: 0.0,
        start: Some(START.parse().unwrap()),
        ..GeneratorConfig::default()
    }
}

fn run(config: GeneratorConfig, max_records: usize, clock: Arc<dyn Clock>) -> Vec<SourceEvent> {
    let limits = BatchLimits { max_records, ..BatchLimits::default() };
    let source = GeneratorSource::new(config, limits, clock).unwrap();
    let (events, outcome) = start(source, 100_000).all();
    outcome.unwrap();
    events
}

fn lines(config: GeneratorConfig) -> Vec<String> {
    let events = run(config, 5_000, Arc::new(ManualClock::default()));
    all_rows(&events).into_iter().map(|row| row.0).collect()
}

fn documents(config: GeneratorConfig) -> Vec<Value> {
    lines(config).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn time_ms(event: &Value) -> i64 {
    DateTime::parse_from_rfc3339(event["timestamp"].as_str().unwrap()).unwrap().timestamp_millis()
}

fn start_ms() -> i64 {
    DateTime::parse_from_rfc3339(START).unwrap().timestamp_millis()
}

#[test]
fn record_has_the_shape_of_the_collector() {
    let event = documents(config(1)).remove(0);
    assert_eq!(event["type"], "performance_metrics");
    for text in ["id", "timestamp", "request_id", "model", "config_id"] {
        assert!(event[text].is_string(), "{text} in {event}");
    }
    for number in ["latency_ms", "input_tokens", "output_tokens", "cost", "quality_score"] {
        assert!(event[number].is_number(), "{number} in {event}");
    }
    assert!(event["error"].is_null());
    assert!(event["metrics"]["tenant"].as_str().unwrap().starts_with("tenant-"));
    assert!(event["metrics"]["service"].is_string());
    let id = uuid::Uuid::parse_str(event["id"].as_str().unwrap()).unwrap();
    assert_eq!(id.get_version_num(), 4);
}

#[test]
fn bounded_run_sends_so_many_records_and_ends() {
    let events = run(config(25), 10, Arc::new(ManualClock::default()));
    assert_eq!(story(&events), "ABBBE");
    let rows = all_rows(&events);
    assert!(rows.iter().enumerate().all(|(number, row)| row.1 == i64::try_from(number).unwrap()));
    assert_eq!(rows.len(), 25);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn same_seed_gives_the_same_bytes(seed: u64, max_records in 1_usize..300, speed in 0_u8..3) {
        let settings = GeneratorConfig { seed, ..config(400) };
        let expected = lines(settings.clone());
        let paced = GeneratorConfig { speed: f64::from(speed) * 10.0, ..settings.clone() };
        let events = run(paced, max_records, Arc::new(ManualClock::default()));
        let own: Vec<_> = all_rows(&events).into_iter().map(|row| row.0).collect();
        prop_assert_eq!(&own, &expected);
        let other = GeneratorConfig { seed: seed.wrapping_add(1), ..settings };
        prop_assert_ne!(lines(other), expected);
    }
}

#[test]
fn first_event_is_about_now_where_no_start_is_given() {
    let events = documents(GeneratorConfig { start: None, ..config(10) });
    let first = events.iter().map(time_ms).min().unwrap();
    assert!((0..1_000).contains(&(first - ManualClock::BEGIN_MS)));
}

#[test]
fn rate_follows_the_time_of_day() {
    let per_hour = |hour: u32| {
        let start = Some(format!("2024-05-01T{hour:02}:00:00Z").parse().unwrap());
        let events = documents(GeneratorConfig { start, events_per_sec: 10.0, ..config(6_000) });
        let times: Vec<_> = events.iter().map(time_ms).collect();
        6_000.0 / ((times.iter().max().unwrap() - times.iter().min().unwrap()) as f64 / 1_000.0)
    };
    let (night, noon) = (per_hour(3), per_hour(15));
    assert!((3.4..4.8).contains(&night), "{night} events per second at 3:00");
    assert!((15.0..17.0).contains(&noon), "{noon} events per second at 15:00");
}

#[test]
fn disorder_and_lateness_have_their_shares_and_bounds() {
    let settings = GeneratorConfig { late_ratio: 0.01, events_per_sec: 20.0, ..config(20_000) };
    // Records that arrive after the last event have fewer to be behind.
    let last = start_ms() + 700_000;
    let mut greatest = i64::MIN;
    let (mut disordered, mut late) = (0, 0);
    for event in documents(settings) {
        let at = time_ms(&event);
        greatest = greatest.max(at);
        if at > last {
            continue;
        }
        let behind = greatest - at;
        late += i32::from(behind > 20_000);
        disordered += i32::from(behind > 0 && behind <= 2_000);
        assert!(behind <= 2_000 || behind > 20_000, "{behind} ms behind");
    }
    assert!((90..250).contains(&late), "{late} late");
    assert!((1_000..1_600).contains(&disordered), "{disordered} out of order");
    let settings = GeneratorConfig { late_ratio: 0.0, out_of_order_ratio: 0.0, ..config(5_000) };
    assert!(documents(settings).iter().map(time_ms).is_sorted());
}

#[test]
fn incident_slows_one_model_and_makes_it_fail() {
    let settings = GeneratorConfig {
        incident_every_secs: Secs::new(60),
        incident_secs: Secs::new(30),
        late_ratio: 0.0,
        ..config(12_000)
    };
    let mut groups: HashMap<(String, bool), Vec<Value>> = HashMap::new();
    for event in documents(settings) {
        let since = time_ms(&event) - start_ms();
        let during = (60_000..90_000).contains(&since);
        if during || since < 60_000 {
            let model = event["model"].as_str().unwrap().to_owned();
            groups.entry((model, during)).or_default().push(event);
        }
    }
    let median_latency = |key: &str, during| {
        let events = &groups[&(key.to_owned(), during)];
        let mut values: Vec<_> = events
            .iter()
            .filter(|event| event["error"].is_null())
            .map(|event| event["latency_ms"].as_f64().unwrap())
            .collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let error_share = |key: &str, during| {
        let events = &groups[&(key.to_owned(), during)];
        let errors = events.iter().filter(|event| event["error"].is_string()).count();
        errors as f64 / events.len() as f64
    };
    // The first model of the catalogue has its turn first.
    let slower = median_latency("gpt-4o", true) / median_latency("gpt-4o", false);
    assert!((3.0..5.2).contains(&slower), "{slower} times as slow");
    assert!(error_share("gpt-4o", true) > 0.25);
    let other = median_latency("gpt-4o-mini", true) / median_latency("gpt-4o-mini", false);
    assert!((0.7..1.4).contains(&other), "{other} times as slow");
    assert!(error_share("gpt-4o-mini", true) < 0.15);
}

#[test]
fn cost_follows_from_tokens_and_failures_cost_nothing() {
    for event in documents(config(5_000)) {
        let (input, output) = (&event["input_tokens"], &event["output_tokens"]);
        let cost = event["cost"].as_f64().unwrap();
        if event["error"].is_string() {
            assert_eq!(
                (cost, output.as_u64(), &event["quality_score"]),
                (0.0, Some(0), &Value::Null)
            );
        } else if event["model"] == "gpt-4o" {
            let expected = (input.as_f64().unwrap() * 2.5 + output.as_f64().unwrap() * 10.0) / 1e6;
            assert!((cost - expected).abs() < 1e-8);
        }
    }
}

#[test]
fn pace_follows_the_clock_in_short_waits() {
    let clock = Arc::new(ManualClock::default());
    let settings = GeneratorConfig { speed: 2.0, late_ratio: 0.0, ..config(2_000) };
    let events = run(settings, 5_000, Arc::<ManualClock>::clone(&clock));
    let last = all_rows(&events)
        .iter()
        .map(|row| time_ms(&serde_json::from_str(&row.0).unwrap()))
        .max()
        .unwrap();
    let expected_ms = (last - start_ms()) / 2;
    let took_ms = i64::try_from(clock.elapsed().as_millis()).unwrap();
    assert!((expected_ms..expected_ms + 1_100).contains(&took_ms), "{took_ms} ms");
    let longest = Duration::from_nanos(clock.longest_pause_nanos.load(Ordering::Acquire));
    assert!(longest <= Duration::from_millis(50));
}

#[test]
fn stops_while_it_waits_and_while_the_queue_is_full() {
    let limits = BatchLimits { max_records: 10, ..BatchLimits::default() };
    for (rate, speed) in [(0.001, 1.0), (100.0, 0.0)] {
        let settings =
            GeneratorConfig { events_per_sec: rate, speed, ..GeneratorConfig::default() };
        let source = GeneratorSource::new(settings, limits, Arc::new(SystemClock::new())).unwrap();
        assert!(!source.is_bounded());
        let running = start(source, 1);
        running.wait_until_queue_is_full();
        assert!(running.stop_latency() < Duration::from_millis(200));
    }
}

#[test]
fn senseless_settings_are_refused() {
    let refused = |settings: GeneratorConfig| {
        let clock = Arc::new(ManualClock::default());
        GeneratorSource::new(settings, BatchLimits::default(), clock).err().unwrap().to_string()
    };
    for (name, settings) in [
        ("events_per_sec", GeneratorConfig { events_per_sec: 0.0, ..config(1) }),
        ("events_per_sec", GeneratorConfig { events_per_sec: f64::NAN, ..config(1) }),
        ("speed", GeneratorConfig { speed: -1.0, ..config(1) }),
        ("tenants", GeneratorConfig { tenants: 0, ..config(1) }),
        ("late_ratio", GeneratorConfig { late_ratio: 1.5, ..config(1) }),
        ("out_of_order_ratio", GeneratorConfig { out_of_order_ratio: -0.1, ..config(1) }),
        ("max_disorder_secs", GeneratorConfig { max_disorder_secs: Secs::new(-1), ..config(1) }),
    ] {
        let error = refused(settings);
        assert!(error.starts_with(&format!("configuration: source.generator.{name}:")), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// A generator that goes on gives what the one before would have given.
    #[test]
    fn the_records_behind_a_position_are_the_same(seed: u64, committed in 0usize..300) {
        let config = GeneratorConfig { seed, ..config(300) };
        let all = lines(config.clone());
        let events = run(config.clone(), 1, Arc::new(ManualClock::default()));
        let position = match committed.checked_sub(1) {
            None => Position::at(0),
            Some(last) => batches(&events)[last].next_position,
        };
        // The time at which it began is in the position, not in the configuration.
        let config = GeneratorConfig { start: None, ..config };
        let clock = Arc::new(ManualClock::default());
        let mut source = GeneratorSource::new(config, BatchLimits::default(), clock).unwrap();
        let name = "generator".to_owned();
        let key = PartitionKey { source: SourceKind::Generator, name, partition: 0 };
        let start_ms = Some(start_ms());
        source.resume(&[(key, Position { start_ms, ..position })]).unwrap();
        let (events, outcome) = start(source, 10_000).all();
        outcome.unwrap();
        let rest: Vec<_> = all_rows(&events).into_iter().map(|row| row.0).collect();
        prop_assert_eq!(&rest, &all[committed..]);
        prop_assert_eq!(all_rows(&events).first().map(|row| row.1), i64::try_from(committed).ok().filter(|_| committed < 300));
    }
}
