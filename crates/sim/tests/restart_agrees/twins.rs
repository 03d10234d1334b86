//! Two tasks side by side: one lives on, the other is made anew from its rows at every commit. Nobody can
//! tell which is which.

use std::collections::BTreeSet;

use llm_optimizer_engine::{
    aggregation::Statistics,
    core::PartitionId,
    task::{TaskLimits, TaskOutput, TaskPlan, WindowTask},
    watermark::{END, WatermarkSettings, WatermarkStrategy},
    window::Firing,
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
    seeds,
    setup::{RELEASED_MS, Setup, plan_of},
    special,
};

/// A task that lives on, and one that begins anew at every commit.
pub(crate) struct Twins<F> {
    new: F,
    lives: WindowTask,
    restarts: WindowTask,
    cuts: [Cut; 2],
    partitions: usize,
    /// Whether sums may be put together in another order after a restart.
    seeded: ChaCha8Rng,
}

impl<F: Fn() -> WindowTask> Twins<F> {
    pub(crate) fn new(partitions: usize, seed: u64, new: F) -> Self {
        let task = || {
            let mut task = new().tracking_changes();
            (0..partitions).for_each(|partition| task.assign(number(partition), 0));
            task
        };
        let (lives, restarts) = (task(), task());
        let seeded = ChaCha8Rng::seed_from_u64(seed);
        Self { new, lives, restarts, cuts: Default::default(), partitions, seeded }
    }

    /// Has both do the same, and compares what they say.
    pub(crate) fn both(&mut self, mut step: impl FnMut(&mut WindowTask, &mut TaskOutput)) {
        let [mut lives, mut restarts] = [TaskOutput::default(), TaskOutput::default()];
        step(&mut self.lives, &mut lives);
        step(&mut self.restarts, &mut restarts);
        assert_eq!(lives.late, restarts.late);
        assert_eq!(lives.over_limit, restarts.over_limit);
        assert_eq!(lives.accepted, restarts.accepted);
        assert_eq!(self.lives.progress(), self.restarts.progress());
        assert_eq!(self.lives.open_windows(), self.restarts.open_windows());
        assert_eq!(self.lives.keys(), self.restarts.keys());
        let ended = |(_, watermark, _): &(PartitionId, i64, bool)| *watermark == END;
        let mut partitions = self.lives.partitions().zip(self.restarts.partitions());
        assert!(partitions.all(|(one, other)| one == other || ended(&one)), "partitions");
        let sort = |firings: &mut Vec<Firing>| {
            firings.sort_by(|a, b| rank(a).cmp(&rank(b)));
        };
        sort(&mut lives.firings);
        sort(&mut restarts.firings);
        let ranks = |firings: &[Firing]| {
            firings
                .iter()
                .map(|f| (format!("{:?}", f.timing), rank(f).0, f.key.clone(), f.revision))
                .collect::<Vec<_>>()
        };
        assert_eq!(ranks(&lives.firings), ranks(&restarts.firings));
        for (one, other) in lives.firings.iter().zip(&restarts.firings) {
            assert_eq!((rank(one), &one.supersedes), (rank(other), &other.supersedes));
            assert!(same_numbers(&one.statistics, &other.statistics), "{one:?}\n{other:?}");
        }
    }

    /// Commits both; the second is made anew. `is_exact` says whether rows are equal to the byte.
    pub(crate) fn commit(&mut self, now_ms: i64, is_exact: bool) {
        self.both(|task, out| task.advance(now_ms, out));
        if self.seeded.random_bool(0.9) {
            self.both(WindowTask::fire_dirty); // else what is dirty is stored as such
        }
        self.cuts[0].take(&mut self.lives, self.partitions);
        self.cuts[1].take(&mut self.restarts, self.partitions);
        let [lives, restarts] = &self.cuts;
        assert!(lives.rows.keys().eq(restarts.rows.keys()), "rows");
        assert!(!is_exact || lives.rows == restarts.rows, "values of rows");
        assert_eq!(lives.partitions, restarts.partitions);
        let task = (self.new)().tracking_changes();
        self.restarts = restarts.restore(task, &mut self.seeded, now_ms).expect("undamaged");
        self.both(|_, _| {}); // looks whether they are alike
    }

    pub(crate) fn end(&mut self, now_ms: i64) {
        for now_ms in [now_ms, RELEASED_MS] {
            for partition in 0..self.partitions {
                self.both(|task, _| task.end(number(partition)));
            }
            self.commit(now_ms, false);
        }
    }

    /// Rows that are left, by kind.
    pub(crate) fn kinds_left(&self) -> BTreeSet<u8> {
        self.cuts[1].rows.keys().map(|key| key[2]).collect()
    }
}

fn rank(firing: &Firing) -> ((i64, i64), &str, u32) {
    ((firing.end_ms, firing.start_ms), &firing.key, firing.revision)
}

fn same_numbers(one: &Statistics, other: &Statistics) -> bool {
    let close =
        |a: f64, b: f64| a.to_bits() == b.to_bits() || (a - b).abs() <= 1e-9 * a.abs().max(1e-3);
    let numbers = one.numbers.iter().zip(&other.numbers).all(|(a, b)| close(*a, *b));
    let further = one.further.iter().zip(&other.further).all(|(a, b)| {
        let same = a.outcome == b.outcome
            || a.outcome.number().zip(b.outcome.number()).is_some_and(|(a, b)| close(a, b));
        a.name == b.name && same && a.quality == b.quality
    });
    let lengths = one.further.len() == other.further.len();
    (one.count, &one.quality) == (other.count, &other.quality) && numbers && further && lengths
}

/// Random batches, watermarks and commits over a case, then its end.
fn run(case: &Case, seed: u64, new: impl Fn() -> WindowTask, is_exact: bool) {
    let mut twins = Twins::new(case.partitions.len(), seed, new);
    let mut seeded = ChaCha8Rng::seed_from_u64(seed);
    let mut now_ms = 0;
    for (partition, range) in case.batches(seed) {
        let batch = batch_of(case.config.value_count, &case.partitions[partition][range]);
        twins.both(|task, out| task.process(number(partition), &batch, now_ms, out));
        match seeded.random_range(0..10) {
            0..3 => twins.both(|task, out| task.advance(now_ms, out)),
            3..6 => twins.commit(now_ms, is_exact),
            _ => now_ms += seeded.random_range(0..1_000),
        }
    }
    twins.end(now_ms);
    assert!(twins.kinds_left().is_empty(), "rows of kinds {:?} are left", twins.kinds_left());
}

fn alike(setup: &Setup) {
    let seed = setup.case.seed;
    let _named = Named(seed);
    // W that goes by an interval of the clock goes at once after a restart.
    let plan = || setup.plan(WatermarkStrategy::BoundedOutOfOrderness);
    run(&setup.case, seed, || WindowTask::new(plan()), true);
}

#[test]
fn nobody_can_tell_which_task_was_restarted() {
    for seed in seeds(2) {
        alike(&Setup::plain(random_case(seed)));
    }
    for seed in seeds(4) {
        alike(&Setup::plain(special::late_sessions(seed)));
    }
    for seed in seeds(20) {
        alike(&Setup::plain(special::many_panes(seed)));
    }
    for s in seeds(12) {
        alike(&Setup::plain(special::around_the_exact_limit(s)));
    }
}

#[test]
fn nobody_can_tell_with_triggers_and_assigners() {
    for seed in seeds(4) {
        alike(&Setup::triggered(random_case(seed)));
        alike(&Setup::triggered(special::late_sessions(seed)));
        alike(&Setup::plain(random_case(seed)).assigned());
        alike(&Setup::triggered(random_case(seed)).assigned());
    }
}

#[test]
fn nobody_can_tell_where_limits_are_reached() {
    let mut refused = 0;
    for seed in seeds(3) {
        let _named = Named(seed);
        let setup = Setup::triggered(random_case(seed));
        let limits =
            TaskLimits { key_groups: 2, max_keys: 2 + seed % 4, max_windows_per_key: 1 + seed % 5 };
        let setup = if seed % 3 == 0 { setup.assigned() } else { setup };
        let plan = |setup: &Setup| TaskPlan {
            limits,
            ..setup.plan(WatermarkStrategy::BoundedOutOfOrderness)
        };
        run(&setup.case, seed, || WindowTask::new(plan(&setup)), true);
        let mut out = TaskOutput::default();
        let mut task = WindowTask::new(plan(&setup));
        let batch = batch_of(setup.case.config.value_count, &setup.case.partitions.concat());
        task.process(PartitionId(0), &batch, 0, &mut out);
        refused += out.over_limit.len() as u64 + task.overflowed();
    }
    assert!(refused > 0, "no limit was reached");
}

/// Partitions that fall silent and speak again; the first one never rests.
#[test]
fn nobody_can_tell_with_idle_partitions() {
    let mut idle = 0;
    for seed in seeds(4) {
        let _named = Named(seed);
        let case = random_case(seed);
        if case.partitions.len() < 2 {
            continue;
        }
        let settings = WatermarkSettings {
            strategy: WatermarkStrategy::BoundedOutOfOrderness,
            max_out_of_orderness_ms: case.config.max_out_of_orderness_ms,
            idle_timeout_ms: Some(700),
        };
        let setup = Setup::plain(case);
        let new = || {
            let plan = setup.plan(settings.strategy);
            WindowTask::new(TaskPlan {
                watermarks: settings,
                aggregation: plan_of(&setup.case.config),
                ..plan
            })
        };
        let mut twins = Twins::new(setup.case.partitions.len(), seed, new);
        let mut seeded = ChaCha8Rng::seed_from_u64(seed);
        let mut now_ms = 0;
        for (partition, range) in setup.case.batches(seed) {
            let events: &[Event] = &setup.case.partitions[partition][range];
            let batch = batch_of(setup.case.config.value_count, events);
            twins.both(|task, out| task.process(number(partition), &batch, now_ms, out));
            now_ms += seeded.random_range(0..400);
            if seeded.random_bool(0.5) {
                twins.commit(now_ms, true);
                // Silence begins anew with the restart.
                twins.both(|task, _| task.resume(now_ms));
            }
            for quiet in 1..setup.case.partitions.len() {
                twins.both(|task, _| task.caught_up(number(quiet)));
            }
            now_ms += seeded.random_range(0..900);
            twins.both(|task, out| task.advance(now_ms, out));
            idle += twins.lives.partitions().filter(|(.., is_idle)| *is_idle).count();
        }
        twins.end(now_ms);
    }
    assert!(idle > 0, "nobody was idle");
}
