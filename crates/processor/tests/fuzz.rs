//! The checks of `fuzz/` for a bounded time: samples, samples with changes, and mere bytes.
//!
//! The inputs follow from a fixed seed. `FUZZ_CASES` says how many there are per check.

#![allow(clippy::indexing_slicing, clippy::print_stderr)] // at random places, for who reads the failure

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[path = "../../../fuzz/checks/mod.rs"]
mod checks;

/// Inputs per check unless `FUZZ_CASES` says otherwise.
const CASES: u64 = 3_000;

const RECORDS: &[&str] = &[
    r#"0{"type":"performance_metrics","id":"1","timestamp":"2026-03-01T08:00:00Z","request_id":"r","model":"gpt-4o","latency_ms":420.5,"input_tokens":1,"output_tokens":2,"cost":0.01}"#,
    r#"0{"id":"1","timestamp":"2026-03-01T08:00:00.123456789+02:00","source":"user","event_type":"feedback","data":{"value":true},"metadata":{"model_id":"m","session_id":"s"}}"#,
    r#"1{"specversion":"1.0","id":"a","source":"/gateway","type":"call","time":"1969-12-31T23:59:59.9Z","data":{"value":-1e308}}"#,
    "2{\"timestamp\":\"2026-03-01 08:00:00\",\"model\":\"\\u00e9\\ud83d\\ude00\",\"tenant\":{\"id\":7},\"latency_ms\":1,\"tokens\":{\"out\":2}}\n{}\n[",
    "B2026-03-01T08:00:00Z,\"gpt,\"\"4o\",12.5\n,,\n\"",
];

const CONFIGURATIONS: &[&str] = &[
    include_str!("../../../config/processor-dev.yaml"),
    include_str!("../../../config/processor-production.yaml"),
    "processor:\n  source: { type: file, path: a }\n  windows: { default_type: sliding, sliding: { size_secs: 60, slide_secs: 7 } }\n",
    "processor: { aggregation: { enabled: [count, percentile], percentiles: [50, 99.9] }, sinks: [ { type: console } ] }\n",
    "processor: &a\n  limits: { max_keys: 1 }\n  watermark: *a\n",
];

#[test]
fn every_record_has_one_fate() {
    run(checks::decode, RECORDS);
}

#[test]
fn every_configuration_is_read_or_refused_with_a_place() {
    run(checks::configuration, CONFIGURATIONS);
}

#[test]
fn panes_and_windows_agree_with_their_definition_at_any_instant() {
    run(checks::window_arithmetic, &["\x02\u{1}\u{1}", "\x08\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f"]);
}

#[test]
fn sessions_are_connected_components_whatever_comes() {
    run(
        checks::session_merge,
        &["\x01\x1e\0\x01\x14\0\0\0", "\x01\x05\0\0\0\0\0a\x10\0b\x20\0a\x11"],
    );
}

#[test]
fn keys_come_back_as_they_were_written() {
    run(
        checks::key_codec,
        &[r#"a=1::b="2"\=\:"#, "\x02id\x02\x017", "\x01:\x02\x02::\x01=\x02\x01\\"],
    );
}

/// Runs `check` on the samples and on what comes of changing them; says which input it failed on.
fn run(check: fn(&[u8]), samples: &[&str]) {
    let cases = std::env::var("FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(CASES);
    let mut seeded = ChaCha8Rng::seed_from_u64(2026);
    let samples: Vec<&[u8]> = samples.iter().map(|sample| sample.as_bytes()).collect();
    for input in samples.iter().map(|sample| sample.to_vec()) {
        try_one(check, &input);
    }
    for case in 0..cases {
        let input = if case % 4 == 0 {
            let mut bytes = vec![0; seeded.random_range(0..200)];
            seeded.fill_bytes(&mut bytes);
            bytes
        } else {
            changed(samples[seeded.random_range(0..samples.len())], &mut seeded)
        };
        try_one(check, &input);
    }
}

fn try_one(check: fn(&[u8]), input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(input))) {
        eprintln!("failed on {:?}", String::from_utf8_lossy(input));
        eprintln!("as bytes: {input:?}");
        resume_unwind(panic);
    }
}

/// A sample with a few changes, as a fuzzer makes them.
fn changed(sample: &[u8], seeded: &mut ChaCha8Rng) -> Vec<u8> {
    const AWKWARD: &[&[u8]] = &[
        b"\"", b"{", b"}", b"\\", b"null", b"-0.0", b"1e999", b"\n", b": ", b"\xff", b"[", b"\0",
        b"~", b"&a", b"*a", b",",
    ];
    let mut bytes = sample.to_vec();
    for _ in 0..seeded.random_range(1..6) {
        let at = seeded.random_range(0..=bytes.len());
        let to = seeded.random_range(at..=bytes.len().min(at + 12));
        match seeded.random_range(0..5) {
            0 => drop(bytes.drain(at..to)),
            1 => {
                let again = bytes[at..to].to_vec();
                bytes.splice(at..at, again);
            }
            2 => {
                let word = AWKWARD[seeded.random_range(0..AWKWARD.len())];
                bytes.splice(at..to.min(at + 1), word.iter().copied());
            }
            3 => bytes.truncate(at),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << seeded.random_range(0..8);
                }
            }
        }
    }
    bytes
}
