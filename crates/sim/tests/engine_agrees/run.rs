//! One run of the engine over a case, under a schedule of batches, watermarks, commits and ends.
//!
//! What must hold at every step is checked here:
//!
//! | law | |
//! | --- | --- |
//! | revisions | 0, 1, 2 … per window without gaps; a session begins after the greatest it supersedes |
//! | firing | never before the end; on time at most once; late at most once per commit |
//! | completeness | after a commit every window W has passed has fired with all that was read |
//! | purge | a window that W had passed by its lateness never fires again |
//! | supersedes | names last results that fired, which never fire again |
//! | end | no window and no key is left |

use std::collections::{BTreeMap, BTreeSet};

use llm_optimizer_engine::{
    aggregation::{AggregationPlan, Function, Percentile},
    core::{EventBatch, EventTime, PartitionId},
    task::{TaskLimits, TaskOutput, TaskPlan, WindowTask},
    watermark::{WatermarkSettings, WatermarkStrategy},
    window::{Firing, Timing, TriggerSpec, WindowSpec},
};
use llm_optimizer_sim::{
    cases::Case,
    oracle::{Event, EventId, OracleConfig, Window, WindowId, recompute},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What came out.
pub(crate) struct Run {
    /// Too-late events with their lateness.
    pub(crate) late: BTreeMap<EventId, i64>,
    /// Events in a window.
    pub(crate) accepted: u64,
    last: BTreeMap<WindowId, Firing>,
    superseded: BTreeMap<WindowId, u32>,
    on_time: BTreeSet<WindowId>,
    /// Windows that fired late since the last commit.
    late_since_commit: BTreeSet<WindowId>,
}

struct Driver<'a> {
    case: &'a Case,
    task: WindowTask,
    seeded: ChaCha8Rng,
    now_ms: i64,
    /// Events of each partition that were read.
    read: BTreeMap<usize, usize>,
    ended: BTreeSet<usize>,
    run: Run,
}

impl Run {
    /// Runs the case under the schedule of `seed` and checks every step.
    pub(crate) fn of(case: &Case, seed: u64) -> Self {
        let mut seeded = ChaCha8Rng::seed_from_u64(seed);
        let mut driver = Driver {
            case,
            task: task_of(&case.config, &mut seeded),
            seeded,
            now_ms: 0,
            read: BTreeMap::new(),
            ended: BTreeSet::new(),
            run: Self {
                late: BTreeMap::new(),
                accepted: 0,
                last: BTreeMap::new(),
                superseded: BTreeMap::new(),
                on_time: BTreeSet::new(),
                late_since_commit: BTreeSet::new(),
            },
        };
        (0..case.partitions.len()).for_each(|p| driver.task.assign(number(p), 0));
        driver.run_all(seed);
        driver.run
    }

    /// The last result of every window that no other one supersedes.
    pub(crate) fn last_results(&self) -> BTreeMap<WindowId, &Firing> {
        let last = self.last.iter().map(|(window, firing)| (window.clone(), firing));
        last.filter(|(window, _)| !self.superseded.contains_key(window)).collect()
    }

    fn take(&mut self, firing: Firing) {
        let window = id(&firing);
        assert!(!self.superseded.contains_key(&window), "{window:?} was superseded");
        let parts = firing.supersedes.iter();
        for part in parts.clone() {
            let (start_ms, end_ms) = (part.start_ms, part.end_ms);
            let absorbed = WindowId { key: window.key.clone(), start_ms, end_ms };
            assert_ne!(absorbed, window, "other bounds");
            assert_eq!(self.last[&absorbed].revision, part.revision, "the last of {absorbed:?}");
            self.superseded.insert(absorbed, part.revision);
        }
        let begins = parts.map(|part| part.revision + 1).max().unwrap_or(0);
        let expected = self.last.get(&window).map_or(begins, |last| last.revision + 1);
        assert_eq!(firing.revision, expected, "revision of {window:?}");
        let seen = match firing.timing {
            Timing::Late => &mut self.late_since_commit,
            Timing::OnTime | Timing::Early => &mut self.on_time,
        };
        assert!(seen.insert(window.clone()), "{window:?} fired twice, {:?}", firing.timing);
        self.last.insert(window, firing);
    }
}

impl Driver<'_> {
    fn run_all(&mut self, seed: u64) {
        for (partition, range) in self.case.batches(seed) {
            self.end_some();
            self.batch(partition, range);
            match self.seeded.random_range(0..10) {
                0..4 => self.advance(),
                4 => self.commit(),
                _ => self.now_ms += self.seeded.random_range(0..1_000),
            }
        }
        while self.ended.len() < self.case.partitions.len() {
            self.end_some();
            if self.seeded.random_bool(0.5) {
                self.commit();
            }
        }
        self.commit();
        assert_eq!(self.task.open_windows(), 0, "no window is left");
        assert_eq!(self.task.keys(), 0, "no key is left");
    }

    /// Ends some of the partitions that are read.
    fn end_some(&mut self) {
        for (partition, log) in self.case.partitions.iter().enumerate() {
            let read = log.len() == self.read(partition);
            if read && !self.ended.contains(&partition) && self.seeded.random_bool(0.5) {
                self.ended.insert(partition);
                self.task.end(number(partition));
            }
        }
    }

    fn read(&self, partition: usize) -> usize {
        self.read.get(&partition).copied().unwrap_or(0)
    }

    fn batch(&mut self, partition: usize, range: std::ops::Range<usize>) {
        let mut batch = EventBatch::new(self.case.config.value_count);
        for (record, event) in self.case.partitions[partition][range.clone()].iter().enumerate() {
            push(&mut batch, u32::try_from(record).expect("few"), event);
        }
        let mut out = TaskOutput::default();
        self.task.process(number(partition), &batch, self.now_ms, &mut out);
        assert!(out.firings.is_empty() && out.over_limit.is_empty());
        self.run.accepted += out.accepted;
        for late in out.late {
            let index = range.start + late.record as usize;
            self.run.late.insert(EventId { partition, index }, late.lateness_ms);
        }
        self.read.insert(partition, range.end);
    }

    fn advance(&mut self) {
        let before = self.task.watermark();
        let mut out = TaskOutput::default();
        self.task.advance(self.now_ms, &mut out);
        let now = if self.ended.len() == self.case.partitions.len() {
            Some(i64::MAX)
        } else {
            self.task.watermark()
        };
        self.take(out, before, now);
    }

    fn commit(&mut self) {
        self.advance();
        let mut out = TaskOutput::default();
        self.task.fire_dirty(&mut out);
        let now = self.task.watermark();
        self.take(out, now, now);
        self.run.late_since_commit.clear();
        if self.seeded.random_bool(0.1) {
            self.nothing_is_missing(now);
        }
    }

    /// What was read so far is in the results of all windows that W has passed.
    fn nothing_is_missing(&self, watermark: Option<i64>) {
        let logs = self.case.partitions.iter().enumerate();
        let read = logs.map(|(partition, log)| log[..self.read(partition)].to_vec());
        let so_far = recompute(&self.case.config, &read.collect::<Vec<_>>());
        for (window, expected) in so_far.windows {
            if watermark.is_some_and(|watermark| window.end_ms <= watermark) {
                let found = self.run.last.get(&window).map(|firing| firing.statistics.count);
                assert_eq!(found, Some(expected.count), "{window:?} at {watermark:?}");
            }
        }
    }

    fn take(&mut self, out: TaskOutput, before: Option<i64>, now: Option<i64>) {
        let (before, now) = (before.unwrap_or(i64::MIN), now.unwrap_or(i64::MIN));
        let gap = match self.case.config.window {
            Window::Session { gap_ms } => gap_ms,
            _ => 0,
        };
        for firing in out.firings {
            assert!(firing.end_ms <= now, "{firing:?} fired at {now}");
            let purged = firing.end_ms + gap + self.case.config.allowed_lateness_ms;
            assert!(purged > before, "{firing:?} was purged at {before}");
            self.run.take(firing);
        }
    }
}

fn task_of(config: &OracleConfig, seeded: &mut ChaCha8Rng) -> WindowTask {
    let lateness = config.allowed_lateness_ms;
    let windows = match config.window {
        Window::Tumbling { size_ms, offset_ms } => {
            WindowSpec::tumbling(size_ms, offset_ms, lateness)
        }
        Window::Sliding { size_ms, slide_ms, offset_ms } => {
            WindowSpec::sliding(size_ms, slide_ms, offset_ms, lateness)
        }
        Window::Session { gap_ms } => WindowSpec::session(gap_ms, lateness),
    };
    let strategy = if seeded.random_bool(0.3) {
        WatermarkStrategy::Periodic { interval_ms: seeded.random_range(1..3_000) }
    } else {
        WatermarkStrategy::BoundedOutOfOrderness
    };
    WindowTask::new(TaskPlan {
        windows: windows.expect("valid windows"),
        triggers: TriggerSpec::EventTime,
        watermarks: WatermarkSettings {
            strategy,
            max_out_of_orderness_ms: config.max_out_of_orderness_ms,
            idle_timeout_ms: None,
        },
        aggregation: plan_of(config),
        limits: TaskLimits { max_windows_per_key: u64::MAX, ..TaskLimits::default() },
    })
}

/// All statistics of the case.
pub(crate) fn plan_of(config: &OracleConfig) -> AggregationPlan {
    use Function::{Average, Count, Max, Min, Stddev, Sum};
    let mut functions = vec![Count, Sum, Average, Min, Max, Stddev];
    if !config.percentiles.is_empty() {
        functions.push(Function::Percentile);
    }
    let percentiles = config.percentiles.iter().copied().map(Percentile::from_thousandths);
    let percentiles: Option<Vec<Percentile>> = percentiles.collect();
    let names: Vec<String> = (0..config.value_count).map(|i| format!("value{i}")).collect();
    AggregationPlan::new(&functions, &percentiles.expect("valid"), &names).expect("a plan")
}

fn push(batch: &mut EventBatch, record: u32, event: &Event) {
    let at = EventTime::new(event.at_ms).expect("an instant");
    match &event.key {
        Some(key) => batch.push(record, at, key, &event.values),
        None => batch.push_time_only(record, at),
    }
}

fn number(partition: usize) -> PartitionId {
    PartitionId(u32::try_from(partition).expect("few"))
}

fn id(firing: &Firing) -> WindowId {
    WindowId { key: firing.key.to_string(), start_ms: firing.start_ms, end_ms: firing.end_ms }
}
