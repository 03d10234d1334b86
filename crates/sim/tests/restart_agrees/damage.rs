//! Rows that were damaged: an error, or state that works; never a panic.

use std::{num::NonZeroU64, sync::Arc};

use llm_optimizer_engine::{
    core::EventBatch,
    state::StateChanges,
    task::{TaskOutput, WindowTask},
    window::{Trigger, TriggerContext, TriggerSpec},
};
use llm_optimizer_sim::{
    cases::{Case, random_case},
    oracle::Event,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    Named,
    cut::{Cut, batch_of, number},
    further::{further_batch, further_task},
    seeds,
    setup::{RELEASED_MS, Setup},
    special,
};

/// Fires at some numbers, holds some windows; never minds what it is asked about.
#[derive(Debug)]
struct Lenient;

impl Trigger for Lenient {
    fn should_fire(&self, window: TriggerContext<'_>) -> bool {
        window.element_count % 3 == 1
    }

    fn should_purge(&self, window: TriggerContext<'_>) -> bool {
        window.start_ms % 3 != 0 || window.now_ms >= RELEASED_MS
    }
}

fn triggers() -> TriggerSpec {
    let count = NonZeroU64::new(4).expect("above 0");
    let all = vec![TriggerSpec::Count(count), TriggerSpec::ProcessingTime { interval_ms: 5 }];
    TriggerSpec::Any(vec![TriggerSpec::All(all), TriggerSpec::User(Arc::new(Lenient))])
}

/// How a task and its batches are made.
struct Maker<'a> {
    case: &'a Case,
    task: &'a dyn Fn() -> WindowTask,
    batch: &'a dyn Fn(&[Event]) -> EventBatch,
}

impl Maker<'_> {
    /// The rows of a task that was fed about half of the case.
    fn rows(&self) -> Cut {
        let (mut cut, mut out) = (Cut::default(), TaskOutput::default());
        let mut task = (self.task)().tracking_changes();
        for (partition, log) in self.case.partitions.iter().enumerate() {
            for events in log[..log.len() / 2].chunks(7) {
                task.process(number(partition), &(self.batch)(events), 0, &mut out);
                task.advance(0, &mut out);
            }
        }
        task.fire_dirty(&mut out);
        cut.take(&mut task, self.case.partitions.len());
        cut
    }
}

/// Cuts, flips, removes, mixes up or invents.
fn damage(cut: &mut Cut, seeded: &mut ChaCha8Rng) {
    let keys: Vec<Vec<u8>> = cut.rows.keys().cloned().collect();
    let Some(mut key) = keys.get(seeded.random_range(0..keys.len().max(1))).cloned() else {
        return;
    };
    let mut value = cut.rows.remove(&key).expect("its value");
    match seeded.random_range(0..8) {
        0 => return,
        1 => value.truncate(seeded.random_range(0..=value.len())),
        2 => value = (0..seeded.random_range(0..100)).map(|_| seeded.random()).collect(),
        3 => {
            let at = seeded.random_range(0..key.len());
            key[at] ^= 1 << seeded.random_range(0..8);
        }
        4 => value.extend([0; 3]),
        _ => {
            for _ in 0..seeded.random_range(1..4) {
                if !value.is_empty() {
                    let at = seeded.random_range(0..value.len());
                    value[at] ^= 1 << seeded.random_range(0..8);
                }
            }
        }
    }
    cut.rows.insert(key, value);
}

/// Restores damaged rows often; whatever is taken goes on to the end of the case. How often it was refused,
/// and how often taken.
fn never_panics(maker: &Maker<'_>) -> (u64, u64) {
    let whole = maker.rows();
    let mut seeded = ChaCha8Rng::seed_from_u64(maker.case.seed);
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..12 {
        let mut cut = whole.clone();
        damage(&mut cut, &mut seeded);
        let Ok(mut task) = cut.restore((maker.task)().tracking_changes(), &mut seeded, 0) else {
            refused += 1;
            continue;
        };
        taken += 1;
        let mut out = TaskOutput::default();
        task.advance(0, &mut out);
        for (partition, log) in maker.case.partitions.iter().enumerate() {
            task.process(number(partition), &(maker.batch)(log), 0, &mut out);
            task.advance(0, &mut out);
            task.end(number(partition));
        }
        task.fire_dirty(&mut out);
        task.advance(RELEASED_MS, &mut out);
        task.take_changes(&mut StateChanges::default());
    }
    (refused, taken)
}

#[test]
fn damaged_rows_are_refused_or_work_but_never_panic() {
    let (mut refused, mut taken) = (0, 0);
    for seed in seeds(6) {
        let _named = Named(seed);
        let triggered = |case| {
            let mut setup = Setup::plain(case);
            setup.triggers = triggers();
            setup
        };
        let setups = [
            Setup::plain(random_case(seed)),
            triggered(random_case(seed)),
            triggered(special::late_sessions(seed)),
            triggered(random_case(seed)).assigned(),
        ];
        for setup in setups {
            let maker = Maker {
                case: &setup.case,
                task: &|| setup.task(&mut ChaCha8Rng::seed_from_u64(seed)),
                batch: &|events| batch_of(setup.case.config.value_count, events),
            };
            let (no, yes) = never_panics(&maker);
            (refused, taken) = (refused + no, taken + yes);
        }
    }
    assert!(refused > 100 && taken > 100, "{refused} refused, {taken} taken");
}

#[test]
fn damaged_rows_of_further_statistics_never_panic() {
    for seed in seeds(6) {
        let _named = Named(seed);
        let case = random_case(seed);
        never_panics(&Maker {
            case: &case,
            task: &|| further_task(&case),
            batch: &|events| further_batch(&case, events),
        });
    }
}
