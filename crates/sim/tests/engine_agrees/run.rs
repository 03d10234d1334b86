//! One run of the engine over a case, under a schedule of batches, watermarks, commits and ends.
//!
//! What must hold at every step is checked here:
//!
//! | law | |
//! | --- | --- |
//! | revisions | 0, 1, 2 … per window without gaps; a session begins after the greatest it supersedes |
//! | firing | on time and late never before the end; on time at most once; late at most once per commit |
//! | early | before the end and before any other result; a count trigger at its multiples only |
//! | events | a result never has fewer events than the one it follows or those it supersedes |
//! | completeness | after a commit every window W has passed has fired with all that was read |
//! | purge | a window that W had passed by its lateness never fires again |
//! | supersedes | names last results that fired, which never fire again |
//! | end | no window and no key is left |

use std::collections::{BTreeMap, BTreeSet};

use llm_optimizer_engine::{
    core::{EventBatch, EventTime, PartitionId},
    task::{TaskOutput, WindowTask},
    window::{Firing, Timing, TriggerSpec},
};
use llm_optimizer_sim::oracle::{Event, EventId, Outcome, WindowId};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::setup::{RELEASED_MS, Setup};

/// Up to so many events everything is computed anew at each early result.
const SMALL: usize = 30;

/// What came out.
pub(crate) struct Run {
    /// Too-late events with their lateness.
    pub(crate) late: BTreeMap<EventId, i64>,
    /// Events in a window.
    pub(crate) accepted: u64,
    /// Number of early results.
    pub(crate) early: u64,
    last: BTreeMap<WindowId, Firing>,
    superseded: BTreeMap<WindowId, u32>,
    on_time: BTreeSet<WindowId>,
    /// Windows that fired late since the last commit.
    late_since_commit: BTreeSet<WindowId>,
}

/// Carries a run on step by step.
pub(crate) struct Driver<'a> {
    setup: &'a Setup,
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
    pub(crate) fn of(setup: &Setup, seed: u64) -> Self {
        let mut driver = Driver::new(setup, seed);
        driver.run_all(seed);
        driver.finish()
    }

    /// The last result of every window that no other one supersedes.
    pub(crate) fn last_results(&self) -> BTreeMap<WindowId, &Firing> {
        let last = self.last.iter().map(|(window, firing)| (window.clone(), firing));
        last.filter(|(window, _)| !self.superseded.contains_key(window)).collect()
    }

    fn take(&mut self, firing: Firing, setup: &Setup) {
        let window = id(&firing);
        let count = firing.statistics.count;
        let before = self.last.get(&window).map_or(0, |last| last.statistics.count);
        assert!(count >= before, "{window:?} has {count} events, had {before}");
        if let TriggerSpec::Count(n) = setup.triggers
            && setup.gap_ms() == 0
        {
            let multiples = u32::try_from(count / n).expect("few");
            let exact = match firing.timing {
                Timing::Early => count % n == 0 && firing.revision + 1 == multiples,
                Timing::OnTime => firing.revision == multiples,
                Timing::Late => true,
            };
            assert!(exact, "{count} events, every {n}: {firing:?}");
        }
        assert!(!self.superseded.contains_key(&window), "{window:?} was superseded");
        let parts = firing.supersedes.iter();
        for part in parts.clone() {
            let (start_ms, end_ms) = (part.start_ms, part.end_ms);
            let absorbed = WindowId { key: window.key.clone(), start_ms, end_ms };
            assert_ne!(absorbed, window, "other bounds");
            assert_eq!(self.last[&absorbed].revision, part.revision, "the last of {absorbed:?}");
            self.superseded.insert(absorbed, part.revision);
        }
        let absorbed = firing.supersedes.iter().map(|part| WindowId {
            key: window.key.clone(),
            start_ms: part.start_ms,
            end_ms: part.end_ms,
        });
        let absorbed: u64 = absorbed.map(|part| self.last[&part].statistics.count).sum();
        assert!(count >= absorbed, "{window:?} has {count} events, its parts {absorbed}");
        let begins = parts.map(|part| part.revision + 1).max().unwrap_or(0);
        let expected = self.last.get(&window).map_or(begins, |last| last.revision + 1);
        assert_eq!(firing.revision, expected, "revision of {window:?}");
        let is_new = match firing.timing {
            Timing::Early => !self.on_time.contains(&window),
            Timing::OnTime => self.on_time.insert(window.clone()),
            Timing::Late => self.late_since_commit.insert(window.clone()),
        };
        assert!(is_new, "{window:?} fired twice or too late, {:?}", firing.timing);
        self.last.insert(window, firing);
    }
}

impl<'a> Driver<'a> {
    /// Nothing is read yet.
    pub(crate) fn new(setup: &'a Setup, seed: u64) -> Self {
        let mut seeded = ChaCha8Rng::seed_from_u64(seed);
        let mut driver = Self {
            setup,
            task: setup.task(&mut seeded),
            seeded,
            now_ms: 0,
            read: BTreeMap::new(),
            ended: BTreeSet::new(),
            run: Run {
                late: BTreeMap::new(),
                accepted: 0,
                early: 0,
                last: BTreeMap::new(),
                superseded: BTreeMap::new(),
                on_time: BTreeSet::new(),
                late_since_commit: BTreeSet::new(),
            },
        };
        (0..setup.case.partitions.len()).for_each(|p| driver.task.assign(number(p), 0));
        driver
    }

    fn run_all(&mut self, seed: u64) {
        for (partition, range) in self.setup.case.batches(seed) {
            self.end_some();
            self.batch(partition, range);
            match self.seeded.random_range(0..10) {
                0..4 => self.advance(),
                4 => self.commit(),
                _ => self.now_ms += self.seeded.random_range(0..1_000),
            }
        }
        while self.ended.len() < self.setup.case.partitions.len() {
            self.end_some();
            if self.seeded.random_bool(0.5) {
                self.commit();
            }
        }
    }

    /// Reads the next event of the partition; if there is none, the partition ends.
    pub(crate) fn step(&mut self, partition: usize) {
        let read = self.read(partition);
        if read < self.setup.case.partitions[partition].len() {
            self.batch(partition, read..read + 1);
        } else {
            self.end(partition);
        }
    }

    /// Whatever is pending comes out: all partitions have ended.
    pub(crate) fn finish(mut self) -> Run {
        self.commit();
        self.now_ms = RELEASED_MS;
        self.commit();
        assert_eq!(self.task.open_windows(), 0, "no window is left");
        assert_eq!(self.task.keys(), 0, "no key is left");
        self.run
    }

    /// Ends some of the partitions that are read.
    fn end_some(&mut self) {
        for (partition, log) in self.setup.case.partitions.iter().enumerate() {
            let read = log.len() == self.read(partition);
            if read && !self.ended.contains(&partition) && self.seeded.random_bool(0.5) {
                self.end(partition);
            }
        }
    }

    fn end(&mut self, partition: usize) {
        self.ended.insert(partition);
        self.task.end(number(partition));
    }

    fn read(&self, partition: usize) -> usize {
        self.read.get(&partition).copied().unwrap_or(0)
    }

    fn batch(&mut self, partition: usize, range: std::ops::Range<usize>) {
        let mut batch = EventBatch::new(self.setup.case.config.value_count);
        for (record, event) in
            self.setup.case.partitions[partition][range.clone()].iter().enumerate()
        {
            push(&mut batch, u32::try_from(record).expect("few"), event);
        }
        let mut out = TaskOutput::default();
        self.task.process(number(partition), &batch, self.now_ms, &mut out);
        assert!(out.over_limit.is_empty());
        self.run.accepted += out.accepted;
        self.read.insert(partition, range.end);
        let alone = range.len() == 1;
        for late in std::mem::take(&mut out.late) {
            let index = range.start + late.record as usize;
            self.run.late.insert(EventId { partition, index }, late.lateness_ms);
        }
        assert!(out.firings.iter().all(|f| f.timing == Timing::Early), "{:?}", out.firings);
        let now = self.task.watermark();
        self.take(out, now, now, alone);
    }

    /// Propagates W.
    pub(crate) fn advance(&mut self) {
        let before = self.task.watermark();
        let mut out = TaskOutput::default();
        self.task.advance(self.now_ms, &mut out);
        let now = if self.ended.len() == self.setup.case.partitions.len() {
            Some(i64::MAX)
        } else {
            self.task.watermark()
        };
        self.take(out, before, now, true);
    }

    /// Propagates W, fires what late events changed, and looks at random whether all is there.
    pub(crate) fn commit(&mut self) {
        self.advance();
        let mut out = TaskOutput::default();
        self.task.fire_dirty(&mut out);
        let now = self.task.watermark();
        self.take(out, now, now, true);
        self.run.late_since_commit.clear();
        if self.seeded.random_bool(0.1) {
            self.nothing_is_missing(now);
        }
    }

    /// What the oracle says of what was read so far.
    fn so_far(&self) -> Outcome {
        let logs = self.setup.case.partitions.iter().enumerate();
        let read = logs.map(|(partition, log)| log[..self.read(partition)].to_vec());
        self.setup.recompute(&read.collect::<Vec<_>>())
    }

    /// In small cases: the early result holds all that was read.
    fn early_is_complete(&self, firing: &Firing) {
        if self.read.values().sum::<usize>() <= SMALL {
            let expected = self.so_far().windows.get(&id(firing)).map(|window| window.count);
            assert_eq!(expected, Some(firing.statistics.count), "{firing:?}");
        }
    }

    /// What was read so far is in the results of all windows that W has passed.
    fn nothing_is_missing(&self, watermark: Option<i64>) {
        for (window, expected) in self.so_far().windows {
            if watermark.is_some_and(|watermark| window.end_ms <= watermark) {
                let found = self.run.last.get(&window).map(|firing| firing.statistics.count);
                assert_eq!(found, Some(expected.count), "{window:?} at {watermark:?}");
            }
        }
    }

    /// Takes what came out while W went from `before` to `now`; `settled` says whether the results are
    /// of all that was read, not of a part of a batch.
    fn take(&mut self, out: TaskOutput, before: Option<i64>, now: Option<i64>, settled: bool) {
        let (before, now) = (before.unwrap_or(i64::MIN), now.unwrap_or(i64::MIN));
        let kept = self.setup.gap_ms() + self.setup.case.config.allowed_lateness_ms;
        for firing in out.firings {
            let is_early = firing.timing == Timing::Early;
            assert_eq!(firing.end_ms > now, is_early, "{firing:?} fired at {now}");
            assert!(firing.end_ms + kept > before, "{firing:?} was purged at {before}");
            if is_early {
                self.run.early += 1;
                if settled {
                    self.early_is_complete(&firing);
                }
            }
            self.run.take(firing, self.setup);
        }
    }
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
