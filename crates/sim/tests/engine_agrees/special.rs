//! Cases that random ones reach too seldom.

use llm_optimizer_sim::{
    cases::Case,
    oracle::{Event, OracleConfig, Window},
};
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

/// Many short sessions, most of them fired before a late event makes them longer or joins them.
pub(crate) fn late_sessions(seed: u64) -> Case {
    let mut seeded = ChaCha8Rng::seed_from_u64(seed);
    let gap_ms = 10;
    let config = OracleConfig {
        window: Window::Session { gap_ms },
        allowed_lateness_ms: seeded.random_range(0..5 * gap_ms),
        max_out_of_orderness_ms: seeded.random_range(0..gap_ms),
        percentiles: vec![50_000],
        value_count: 1,
    };
    let keys = seeded.random_range(1..4);
    let partitions = seeded.random_range(1..3);
    let step = seeded.random_range(4..20);
    let log = |seeded: &mut ChaCha8Rng| {
        let mut now_ms = -500;
        let event = |_| {
            now_ms += seeded.random_range(0..=step);
            let behind = if seeded.random_bool(0.4) { seeded.random_range(0..60) } else { 0 };
            let key = Some(format!("user={}", seeded.random_range(0..keys)));
            Event { at_ms: now_ms - behind, key, values: vec![1.0] }
        };
        (0..120).map(event).collect()
    };
    let partitions = (0..partitions).map(|_| log(&mut seeded)).collect();
    Case { seed, config, partitions }
}

/// Windows of 250 to 262 values, in one pane or several.
pub(crate) fn around_the_exact_limit(seed: u64) -> Case {
    let mut seeded = ChaCha8Rng::seed_from_u64(seed);
    let window = match seeded.random_range(0..3) {
        0 => Window::Tumbling { size_ms: 1_000, offset_ms: 0 },
        1 => Window::Sliding { size_ms: 1_000, slide_ms: 500, offset_ms: 0 },
        _ => Window::Session { gap_ms: 1_000 },
    };
    let config = OracleConfig {
        window,
        allowed_lateness_ms: 0,
        max_out_of_orderness_ms: 1_000,
        percentiles: vec![0, 50_000, 99_000, 100_000],
        value_count: 1,
    };
    let count = seeded.random_range(250..=262);
    let event = |_| Event {
        at_ms: seeded.random_range(0..1_000),
        key: Some("model=a".to_owned()),
        values: vec![f64::from(seeded.random_range(-1_000_i32..100_000)) / 7.0],
    };
    Case { seed, config, partitions: vec![(0..count).map(event).collect()] }
}

/// Windows of 40 to 600 panes: some keys are busy, some speak once, some events are very late.
pub(crate) fn many_panes(seed: u64) -> Case {
    let mut seeded = ChaCha8Rng::seed_from_u64(seed);
    let slide_ms = seeded.random_range(1..=20);
    let size_ms = slide_ms * seeded.random_range(40..=600);
    let config = OracleConfig {
        window: Window::Sliding { size_ms, slide_ms, offset_ms: seeded.random_range(-5..5) },
        allowed_lateness_ms: *[0, slide_ms * 5, size_ms / 4].choose(&mut seeded).expect("some"),
        max_out_of_orderness_ms: seeded.random_range(0..5 * slide_ms),
        percentiles: vec![50_000, 99_000],
        value_count: 1,
    };
    let (partitions, step) = (seeded.random_range(1..4), seeded.random_range(1..=2 * slide_ms));
    let late = seeded.random_range(0.0..0.1);
    let log = |seeded: &mut ChaCha8Rng| {
        let mut now_ms = -300;
        let event = |_| {
            now_ms += seeded.random_range(0..=step);
            let behind = if seeded.random_bool(late) { size_ms } else { 3 * slide_ms };
            let user = if seeded.random_bool(0.05) {
                seeded.random_range(0..40)
            } else {
                100 + now_ms % 2
            };
            let values = vec![f64::from(seeded.random_range(-100_i32..5_000)) / 3.0];
            let at_ms = now_ms - seeded.random_range(0..=behind);
            Event { at_ms, key: Some(format!("user={user}")), values }
        };
        (0..150).map(event).collect()
    };
    let partitions = (0..partitions).map(|_| log(&mut seeded)).collect();
    Case { seed, config, partitions }
}
