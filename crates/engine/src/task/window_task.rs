//! The state machine that ties watermarks, keys and windows together.

use super::{key_texts::KeyTexts, plan::TaskPlan, windows::Windows};
use crate::{
    aggregation::{AggregationPlan, DerivedResults, Further, Measures},
    core::{EventBatch, KeyId, KeyRegistry, PartitionId},
    watermark::WatermarkTracker,
    window::{Admission, Firing},
};

/// An event that is in no window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateEvent {
    /// Index of its record in the record batch.
    pub record: u32,
    /// How long its last window had been closed to it, in milliseconds.
    pub lateness_ms: i64,
}

/// What a call gives back; the caller empties and reuses it.
#[derive(Debug, Default)]
pub struct TaskOutput {
    /// Results in the order they fired.
    pub firings: Vec<Firing>,
    /// Events of the batch that were too late.
    pub late: Vec<LateEvent>,
    /// Records of the batch that would open too many windows of their key.
    pub over_limit: Vec<u32>,
    /// Number of events of the batch that are in a window.
    pub accepted: u64,
}

/// The engine of one pipeline.
///
/// | call | does |
/// | --- | --- |
/// | [`assign`](Self::assign), [`revoke`](Self::revoke), [`caught_up`](Self::caught_up), [`behind`](Self::behind), [`end`](Self::end) | tell what a partition is doing |
/// | [`process`](Self::process) | judges and adds the events of a batch; fires nothing but what triggers count |
/// | [`advance`](Self::advance) | propagates W: fires and purges; fires what triggers time by wall clock |
/// | [`fire_dirty`](Self::fire_dirty) | fires what late events changed, at most once per commit |
///
/// The last revision per key and window and the set of late events depend on the partition logs
/// alone, not on the sizes of batches or on when `advance` and `fire_dirty` are called.
///
/// ```
/// use llm_optimizer_engine::{
///     aggregation::{AggregationPlan, Function},
///     core::{EventBatch, EventTime, PartitionId},
///     task::{TaskLimits, TaskOutput, TaskPlan, WindowTask},
///     watermark::{WatermarkSettings, WatermarkStrategy},
///     window::{TriggerSpec, WindowSpec},
/// };
/// let mut task = WindowTask::new(TaskPlan {
///     windows: WindowSpec::tumbling(60_000, 0, 0)?,
///     triggers: TriggerSpec::EventTime,
///     watermarks: WatermarkSettings {
///         strategy: WatermarkStrategy::BoundedOutOfOrderness,
///         max_out_of_orderness_ms: 0,
///         idle_timeout_ms: None,
///     },
///     aggregation: AggregationPlan::new(&[Function::Count], &[], &[])?,
///     limits: TaskLimits::default(),
/// });
/// let (partition, now_ms, mut out) = (PartitionId(0), 0, TaskOutput::default());
/// let mut batch = EventBatch::new(1);
/// batch.push(0, EventTime::new(59_999)?, "model=a", &[1.0]);
/// batch.push(1, EventTime::new(60_000)?, "model=a", &[1.0]);
/// task.process(partition, &batch, now_ms, &mut out);
/// task.advance(now_ms, &mut out);
/// assert_eq!((out.accepted, out.firings.len(), out.firings[0].end_ms), (2, 1, 60_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct WindowTask {
    pub(super) aggregation: AggregationPlan,
    pub(super) watermarks: WatermarkTracker,
    pub(super) keys: KeyRegistry,
    pub(super) windows: Windows,
    /// Whether windows may fire before their end.
    has_triggers: bool,
    batch_keys: Vec<KeyId>,
    pub(super) derived: Option<Box<DerivedResults>>,
    regressed_marks: u64,
}

impl WindowTask {
    /// A task without state and partitions.
    #[must_use]
    pub fn new(plan: TaskPlan) -> Self {
        let windows = Windows::new(&plan);
        let lateness = plan.windows.allowed_lateness_ms();
        let TaskPlan { watermarks, aggregation, limits, .. } = plan;
        Self {
            derived: DerivedResults::new(&aggregation, lateness, limits.max_keys),
            aggregation,
            watermarks: WatermarkTracker::new(watermarks),
            keys: KeyRegistry::new(limits.key_groups, limits.max_keys),
            has_triggers: windows.has_triggers(),
            windows,
            batch_keys: Vec::new(),
            regressed_marks: 0,
        }
    }

    /// A partition is read from now on; it holds W until it speaks, is idle or ends.
    pub fn assign(&mut self, partition: PartitionId, now_ms: i64) {
        self.watermarks.assign(partition, now_ms);
    }

    /// A partition is not read any more; it holds nobody back.
    pub fn revoke(&mut self, partition: PartitionId) {
        self.watermarks.revoke(partition);
    }

    /// A partition is read to its end until its next batch.
    pub fn caught_up(&mut self, partition: PartitionId) {
        self.watermarks.caught_up(partition);
    }

    /// A partition may hold records that were not read: it is paused, held up or fails to fetch. It is
    /// not idle until [`caught_up`](Self::caught_up) is called again.
    pub fn behind(&mut self, partition: PartitionId) {
        self.watermarks.behind(partition);
    }

    /// Input was held back until `now_ms` and comes again: the silence before does not count towards
    /// idleness.
    pub fn resume(&mut self, now_ms: i64) {
        self.watermarks.resume(now_ms);
    }

    /// A bounded partition is read to its end for ever.
    pub fn end(&mut self, partition: PartitionId) {
        self.watermarks.end(partition);
    }

    /// Judges every event of the batch against W(p) of `partition` before it, and adds it.
    pub fn process(
        &mut self,
        partition: PartitionId,
        batch: &EventBatch,
        now_ms: i64,
        out: &mut TaskOutput,
    ) {
        if batch.rows().is_empty() {
            return; // Nothing was said: an idle partition stays idle.
        }
        self.set_clock(now_ms);
        let before = out.firings.len();
        let Self {
            aggregation,
            watermarks,
            keys,
            windows,
            has_triggers,
            batch_keys,
            derived: _,
            regressed_marks,
        } = self;
        batch_keys.clear();
        batch_keys.extend(batch.keys().map(|(hash, key)| keys.resolve(hash, key)));
        let key_texts = KeyTexts::of(batch, batch_keys, keys, aggregation);
        let clock = watermarks.speaking(partition, now_ms);
        let mut marks = batch.marks().iter().peekable();
        for (index, (row, values)) in batch.iter().enumerate() {
            let at = row.at.as_millis();
            let key = row.key.and_then(|key| batch_keys.get(key as usize));
            if let Some(key) = key.copied() {
                let further = key_texts.as_ref().map(|texts| Further {
                    key: texts.get(row.key),
                    features: batch.features(index),
                });
                let measures = Measures { values, further: further.as_ref() };
                let (event, watermark) = ((key, at, measures), clock.watermark());
                match windows.add(event, watermark, keys, aggregation) {
                    Admission::Accepted => {
                        out.accepted += 1;
                        if *has_triggers {
                            let (event, out) = ((key, at), &mut out.firings);
                            windows.fire_added(event, watermark, keys, aggregation, out);
                        }
                    }
                    Admission::TooLate { lateness_ms } => {
                        out.late.push(LateEvent { record: row.record, lateness_ms });
                    }
                    Admission::TooManyWindows => out.over_limit.push(row.record),
                }
            }
            clock.observe(at);
            while let Some((_, mark)) = marks.next_if(|(row, _)| *row == index) {
                *regressed_marks += u64::from(!clock.mark(mark.as_millis()));
            }
        }
        watermarks.spoke(partition, now_ms);
        for key in batch_keys.iter() {
            keys.drop_unused(*key);
        }
        if *has_triggers {
            self.derive(before, out);
        }
    }

    /// Propagates W as of wall clock `now_ms`: fires windows that W has passed, purges old ones.
    pub fn advance(&mut self, now_ms: i64, out: &mut TaskOutput) {
        self.set_clock(now_ms);
        let watermark = self.watermarks.advance(now_ms);
        let before = out.firings.len();
        let (keys, plan, firings) = (&mut self.keys, &self.aggregation, &mut out.firings);
        self.windows.advance(watermark, keys, plan, firings);
        if self.has_triggers {
            self.windows.tick(keys, plan, firings);
        }
        self.watermarks.settle(self.windows.purged_up_to());
        self.derive(before, out);
    }

    /// Fires every window that passed its end and was changed by a late event since it last fired.
    pub fn fire_dirty(&mut self, out: &mut TaskOutput) {
        let before = out.firings.len();
        self.windows.fire_dirty(&self.keys, &self.aggregation, &mut out.firings);
        self.derive(before, out);
    }

    /// Adds derived statistics to the firings from index `before` on; every call that fires ends with
    /// it.
    fn derive(&mut self, before: usize, out: &mut TaskOutput) {
        if let (Some(derived), Some(new)) = (&mut self.derived, out.firings.get_mut(before..)) {
            derived.apply(new, self.watermarks.combined());
        }
    }

    /// W in milliseconds; `None` before anything is known.
    #[must_use]
    pub fn watermark(&self) -> Option<i64> {
        Some(self.watermarks.combined()).filter(|w| *w != crate::watermark::BEGINNING)
    }

    /// W(p) of each partition and whether it is idle.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionId, i64, bool)> {
        self.watermarks.partitions()
    }

    /// How far, in milliseconds, each partition is ahead of the slowest one that holds W.
    pub fn leads(&self) -> impl Iterator<Item = (PartitionId, i64)> {
        self.watermarks.leads()
    }

    /// Marks that lay before the watermark of their partition; they moved nothing.
    #[must_use]
    pub fn regressed_marks(&self) -> u64 {
        self.regressed_marks
    }

    /// What is computed.
    #[must_use]
    pub fn aggregation(&self) -> &AggregationPlan {
        &self.aggregation
    }

    /// Number of windows (sessions: per key) that hold data and are not purged.
    #[must_use]
    pub fn open_windows(&self) -> usize {
        self.windows.open_windows()
    }

    /// Number of keys that hold state.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// How often a key of a batch was sent to its group's overflow key because the group was full.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.keys.overflowed()
    }

    /// Memory held by state, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.windows.size_bytes()
            + self.keys.size_bytes()
            + self.batch_keys.capacity() * size_of::<KeyId>()
            + self.derived.as_ref().map_or(0, |derived| derived.size_bytes())
    }

    fn set_clock(&mut self, now_ms: i64) {
        if self.has_triggers {
            self.windows.set_clock(now_ms);
        }
    }
}
