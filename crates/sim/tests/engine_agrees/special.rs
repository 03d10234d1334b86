//! Cases that random ones reach too seldom.

use llm_optimizer_sim::{
    cases::Case,
    oracle::{Event, OracleConfig, Window},
};
use rand::{RngExt, SeedableRng};
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
