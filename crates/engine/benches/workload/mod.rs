//! What the benchmarks feed the engine: seeded events, and tasks to feed them to.

#![allow(clippy::expect_used, clippy::cast_possible_truncation, dead_code)]
#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss)]

use llm_optimizer_engine::{
    aggregation::{AggregationPlan, Function, Percentile},
    core::{EventBatch, EventTime},
    task::{TaskLimits, TaskPlan, WindowTask},
    watermark::{WatermarkSettings, WatermarkStrategy},
    window::{TriggerSpec, WindowSpec},
};

use Function::{Average, Count, Max, Min, Stddev, Sum};

/// Count, sum, average, least and greatest value.
pub(crate) const BASIC: [Function; 5] = [Count, Sum, Average, Min, Max];

/// Those, standard deviation and percentiles.
pub(crate) const ALL: [Function; 7] = [Count, Sum, Average, Min, Max, Stddev, Function::Percentile];

const BATCH: u64 = 4_000;
const START_MS: i64 = 1_772_352_000_000;

/// Numbers in [0, 1), the same in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn fraction(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A latency in milliseconds, about log-normal around 400.
    pub(crate) fn latency(&mut self) -> f64 {
        (6.0 + self.fraction() + self.fraction() - self.fraction()).exp()
    }
}

/// How a stream looks.
#[derive(Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) events: u64,
    /// Per second of event time.
    pub(crate) rate: u64,
    pub(crate) keys: u64,
    /// Whether keys are about as unequal as Zipf's; else all alike.
    pub(crate) zipf: bool,
}

impl Traffic {
    /// Batches of events up to two seconds out of order.
    pub(crate) fn batches(self) -> Vec<EventBatch> {
        let mut random = Random::new();
        let mut batches = Vec::new();
        for first in (0..self.events).step_by(BATCH as usize) {
            let mut batch = EventBatch::new(1);
            for n in first..(first + BATCH).min(self.events) {
                let draw = random.fraction();
                let keys = self.keys as f64;
                let key = if self.zipf { keys.powf(draw) - 1.0 } else { draw * keys };
                let at = (n * 1_000 / self.rate) as i64 - (random.fraction() * 2_000.0) as i64;
                let at = EventTime::new(START_MS + at).expect("an instant");
                let key = format!("service=chat::model=model-{}", key as u64);
                batch.push((n - first) as u32, at, &key, &[random.latency()]);
            }
            batches.push(batch);
        }
        batches
    }
}

/// One batch with an event at `at_ms` (since the start of traffic) of each of `keys` keys.
pub(crate) fn instant(at_ms: i64, keys: std::ops::Range<u64>) -> EventBatch {
    let mut random = Random::new();
    let mut batch = EventBatch::new(1);
    for (record, key) in keys.enumerate() {
        let at = EventTime::new(START_MS + at_ms).expect("an instant");
        batch.push(record as u32, at, &format!("user={key}"), &[random.latency()]);
    }
    batch
}

/// p50, p95, p99.
pub(crate) fn percentiles() -> Vec<Percentile> {
    [50_000, 95_000, 99_000].into_iter().filter_map(Percentile::from_thousandths).collect()
}

/// What is computed of one value.
pub(crate) fn plan(functions: &[Function]) -> AggregationPlan {
    AggregationPlan::new(functions, &percentiles(), &[]).expect("a plan")
}

/// A task that waits five seconds for events out of order.
pub(crate) fn task(windows: &WindowSpec, functions: &[Function]) -> WindowTask {
    WindowTask::new(TaskPlan {
        windows: windows.clone(),
        triggers: TriggerSpec::EventTime,
        watermarks: WatermarkSettings {
            strategy: WatermarkStrategy::BoundedOutOfOrderness,
            max_out_of_orderness_ms: 5_000,
            idle_timeout_ms: None,
        },
        aggregation: plan(functions),
        limits: TaskLimits { max_windows_per_key: u64::MAX, ..TaskLimits::default() },
    })
}
