//! W: the least watermark of all partitions that are not idle.

use std::collections::BTreeMap;

use super::{
    BEGINNING, END,
    clock::{Activity, PartitionClock},
};
use crate::{
    core::PartitionId,
    state::{PartitionProgress, TaskProgress},
};

/// How W(p) comes about, and when W propagates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatermarkStrategy {
    /// Greatest time minus `max_out_of_orderness_ms`; W propagates at every
    /// [`WatermarkTracker::advance`].
    BoundedOutOfOrderness,
    /// The same W(p); W propagates at the first `advance` after every interval of wall clock.
    Periodic {
        /// Distance between propagations in milliseconds.
        interval_ms: i64,
    },
    /// Only marks in the input move W(p) (see [`EventBatch::mark`](crate::core::EventBatch::mark)),
    /// never the times of events; W propagates at every `advance`.
    Punctuated,
}

/// Settings of watermarks, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatermarkSettings {
    /// How W(p) comes about, and when W propagates.
    pub strategy: WatermarkStrategy,
    /// How far behind the greatest time an event may come and still be on time; at least 0.
    pub max_out_of_orderness_ms: i64,
    /// A caught-up partition is idle after this long without a record; `None` = never.
    pub idle_timeout_ms: Option<i64>,
}

impl WatermarkSettings {
    /// Watermarks of input in order of time: W(p) is the greatest time seen.
    ///
    /// A watermark `w` says that events *before* `w` are complete, so a further event of the same
    /// millisecond is on time, and a window ending at that millisecond fires.
    #[must_use]
    pub const fn ascending(idle_timeout_ms: Option<i64>) -> Self {
        Self {
            strategy: WatermarkStrategy::BoundedOutOfOrderness,
            max_out_of_orderness_ms: 0,
            idle_timeout_ms,
        }
    }

    /// The bound of disorder of a partition's clock.
    fn bound_ms(&self) -> Option<i64> {
        match self.strategy {
            WatermarkStrategy::Punctuated => None,
            WatermarkStrategy::BoundedOutOfOrderness | WatermarkStrategy::Periodic { .. } => {
                Some(self.max_out_of_orderness_ms)
            }
        }
    }
}

/// The watermarks of all assigned partitions and W, their minimum.
///
/// Wall clock only comes in as `now_ms`. It decides when a partition is idle, when `Periodic`
/// propagates, and how W goes on when all partitions are idle; never what is late.
#[derive(Debug)]
pub struct WatermarkTracker {
    settings: WatermarkSettings,
    pub(super) clocks: BTreeMap<PartitionId, PartitionClock>,
    combined: i64,
    /// W before it became +∞.
    settled: i64,
    propagated_ms: Option<i64>,
    /// Greatest event time of all partitions, and the wall clock when it was read.
    greatest: Option<(i64, i64)>,
    /// Least W(p) that a partition had after its first batch: about where the input begins.
    earliest: Option<i64>,
}

impl WatermarkTracker {
    /// No partitions, W at the beginning.
    #[must_use]
    pub fn new(settings: WatermarkSettings) -> Self {
        Self {
            settings,
            clocks: BTreeMap::new(),
            combined: BEGINNING,
            settled: BEGINNING,
            propagated_ms: None,
            greatest: None,
            earliest: None,
        }
    }

    /// W and what belongs to it.
    #[must_use]
    pub fn progress(&self) -> TaskProgress {
        let watermark = Some(self.settled.max(self.combined)).filter(|w| *w != BEGINNING);
        TaskProgress {
            watermark: watermark.map(|watermark| watermark.min(END - 1)),
            greatest_time: self.greatest.map(|(greatest, _)| greatest),
        }
    }

    /// What W(p) needs to go on after a restart; `None` if the partition is not assigned.
    #[must_use]
    pub fn partition_progress(&self, partition: PartitionId) -> Option<PartitionProgress> {
        self.clocks.get(&partition).map(|clock| clock.progress(self.combined))
    }

    /// W goes on from there, before the first partition is assigned; if nobody speaks, from `now_ms` on.
    pub fn restore(&mut self, progress: TaskProgress, now_ms: i64) {
        self.combined = progress.watermark.map_or(BEGINNING, |watermark| watermark.min(END - 1));
        self.settled = self.combined;
        self.greatest = progress.greatest_time.map(|greatest| (greatest, now_ms));
        self.earliest = progress.watermark;
    }

    /// As [`assign`](Self::assign), with what was stored for the partition.
    pub fn assign_with(
        &mut self,
        partition: PartitionId,
        progress: PartitionProgress,
        now_ms: i64,
    ) {
        let clock = PartitionClock::new(self.settings.bound_ms(), now_ms);
        self.clocks.insert(partition, clock.restored(progress, self.combined));
    }

    /// Adds a partition; it holds W until it speaks, is idle or ends.
    pub fn assign(&mut self, partition: PartitionId, now_ms: i64) {
        let bound = self.settings.bound_ms();
        self.clocks.entry(partition).or_insert_with(|| PartitionClock::new(bound, now_ms));
    }

    /// Removes a partition; it holds nobody back any more.
    pub fn revoke(&mut self, partition: PartitionId) {
        self.clocks.remove(&partition);
    }

    /// The clock of a partition that is about to speak, assigned if it was not.
    pub fn speaking(&mut self, partition: PartitionId, now_ms: i64) -> &mut PartitionClock {
        let bound = self.settings.bound_ms();
        let clock =
            self.clocks.entry(partition).or_insert_with(|| PartitionClock::new(bound, now_ms));
        clock.wake(self.combined, now_ms);
        clock
    }

    /// Takes note of how far a partition's batch has brought the greatest time of all.
    pub fn spoke(&mut self, partition: PartitionId, now_ms: i64) {
        let seen = self.clocks.get(&partition).and_then(PartitionClock::max_time);
        if let Some(seen) = seen
            && self.greatest.is_none_or(|(greatest, _)| seen > greatest)
        {
            self.greatest = Some((seen, now_ms));
        }
        let reached = self.clocks.get(&partition).and_then(PartitionClock::known);
        self.earliest = [self.earliest, reached].into_iter().flatten().min();
    }

    /// The partition is read to its end for now.
    pub fn caught_up(&mut self, partition: PartitionId) {
        if let Some(clock) = self.clocks.get_mut(&partition) {
            clock.caught_up = true;
        }
    }

    /// The partition may hold records that were not read: it is not idle.
    pub fn behind(&mut self, partition: PartitionId) {
        if let Some(clock) = self.clocks.get_mut(&partition) {
            clock.behind(self.combined);
        }
    }

    /// Input was held back until `now_ms`: every partition's silence begins anew.
    pub fn resume(&mut self, now_ms: i64) {
        for clock in self.clocks.values_mut() {
            clock.heard_ms = clock.heard_ms.max(now_ms);
        }
    }

    /// The bounded partition has ended: W(p) = +∞.
    pub fn end(&mut self, partition: PartitionId) {
        if let Some(clock) = self.clocks.get_mut(&partition) {
            clock.end();
        }
    }

    /// Looks for idle partitions and propagates W if the strategy says so; returns W.
    pub fn advance(&mut self, now_ms: i64) -> i64 {
        self.find_idle(now_ms);
        let target = self.minimum(now_ms);
        if self.is_due(now_ms, target) {
            self.propagated_ms = Some(now_ms);
            self.combined = self.combined.max(target);
        }
        if self.combined != END {
            self.settled = self.combined;
        }
        self.combined
    }

    /// W as it was last propagated.
    #[must_use]
    pub fn combined(&self) -> i64 {
        self.combined
    }

    /// W(p) of each partition and whether it is idle, by partition.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionId, i64, bool)> {
        self.clocks.iter().map(|(id, c)| (*id, c.watermark(), c.activity == Activity::Idle))
    }

    /// How far, in milliseconds, each partition is ahead of the slowest one that is neither idle nor
    /// ended; at least one of them is 0.
    ///
    /// A partition without a watermark holds W, so its lead is 0. The others are measured from where
    /// it would begin: at W, or where the input begins as far as is known.
    pub fn leads(&self) -> impl Iterator<Item = (PartitionId, i64)> {
        let slowest = self.slowest();
        let holding = self.clocks.iter().filter(|(_, clock)| clock.holds());
        holding.map(move |(partition, clock)| match (clock.known(), slowest) {
            (Some(watermark), Some(slowest)) => (*partition, watermark.saturating_sub(slowest)),
            _ => (*partition, 0),
        })
    }

    /// The least watermark of those that hold W, with a guess for those that have none.
    fn slowest(&self) -> Option<i64> {
        let start = Some(self.combined).filter(|w| *w != BEGINNING).or(self.earliest);
        let holding = self.clocks.values().filter(|clock| clock.holds());
        holding.filter_map(|clock| clock.known().or(start)).min()
    }

    /// Replaces +∞ after the end of all input by the instant up to which windows were purged, which
    /// is what may be stored and shown.
    pub fn settle(&mut self, purged_up_to: i64) {
        if self.combined == END {
            self.settled = self.settled.max(purged_up_to);
            self.combined = self.settled;
        }
    }

    fn find_idle(&mut self, now_ms: i64) {
        let Some(timeout) = self.settings.idle_timeout_ms else { return };
        for clock in self.clocks.values_mut() {
            let speaks = matches!(clock.activity, Activity::Unheard | Activity::Active);
            if speaks && clock.caught_up && now_ms.saturating_sub(clock.heard_ms) >= timeout {
                clock.activity = Activity::Idle;
            }
        }
    }

    fn minimum(&self, now_ms: i64) -> i64 {
        if self.clocks.is_empty() {
            return self.combined;
        }
        let holding = self.clocks.values().filter_map(|clock| match clock.activity {
            Activity::Unheard => Some(BEGINNING),
            Activity::Active => Some(clock.watermark()),
            Activity::Idle | Activity::Ended => None,
        });
        holding.min().unwrap_or_else(|| self.without_speakers(now_ms))
    }

    /// Everything ended: +∞. Otherwise all that is left is idle, and W follows the clock.
    fn without_speakers(&self, now_ms: i64) -> i64 {
        if self.clocks.values().all(|clock| clock.activity == Activity::Ended) {
            return END;
        }
        let bound = self.settings.max_out_of_orderness_ms;
        self.greatest.map_or(self.combined, |(greatest, read_ms)| {
            let passed = now_ms.saturating_sub(read_ms).max(0);
            greatest.saturating_sub(bound).saturating_add(passed).min(END - 1)
        })
    }

    fn is_due(&self, now_ms: i64, target: i64) -> bool {
        match (self.settings.strategy, self.propagated_ms) {
            (WatermarkStrategy::Periodic { interval_ms }, Some(last)) if target != END => {
                now_ms.saturating_sub(last) >= interval_ms
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_while_input_is_held_back_makes_nobody_idle() {
        let mut tracker = WatermarkTracker::new(WatermarkSettings {
            strategy: WatermarkStrategy::BoundedOutOfOrderness,
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: Some(60_000),
        });
        let [quick, silent] = [PartitionId(0), PartitionId(1)];
        for (partition, at) in [(quick, 500), (silent, 100)] {
            tracker.speaking(partition, 0).observe(at);
            tracker.spoke(partition, 0);
        }
        tracker.caught_up(silent);
        tracker.resume(90_000);
        assert_eq!(tracker.advance(90_001), 100, "its silence began anew at 90 s");
        assert_eq!(tracker.advance(150_000), 500, "idle a minute later");
    }

    fn tracker(idle_timeout_ms: Option<i64>) -> WatermarkTracker {
        WatermarkTracker::new(WatermarkSettings::ascending(idle_timeout_ms))
    }

    fn speak(tracker: &mut WatermarkTracker, partition: PartitionId, at: i64, now_ms: i64) {
        tracker.speaking(partition, now_ms).observe(at);
        tracker.spoke(partition, now_ms);
    }

    /// A tracker with what is stored of another.
    fn restarted(before: &WatermarkTracker, now_ms: i64) -> WatermarkTracker {
        let mut after = tracker(Some(1_000));
        after.restore(before.progress(), now_ms);
        for (partition, ..) in before.partitions() {
            after.assign_with(partition, before.partition_progress(partition).unwrap(), now_ms);
        }
        after
    }

    #[test]
    fn watermarks_go_on_after_a_restart_and_never_go_back() {
        let mut before = tracker(None);
        let [quick, slow, silent] = [PartitionId(0), PartitionId(1), PartitionId(2)];
        for partition in [quick, slow, silent] {
            before.assign(partition, 0);
        }
        speak(&mut before, quick, 900, 0);
        speak(&mut before, slow, 100, 0);
        assert_eq!(before.advance(0), BEGINNING, "one has not spoken");
        before.revoke(silent);
        assert_eq!(before.advance(0), 100);
        let mut after = restarted(&before, 50);
        assert_eq!(after.combined(), 100);
        assert!(after.partitions().eq([(quick, 900, false), (slow, 100, false)]));
        assert_eq!(after.speaking(slow, 50).watermark(), 100, "judged as before");
        speak(&mut after, slow, 300, 50);
        assert_eq!(after.advance(50), 300);
    }

    #[test]
    fn an_idle_partition_stays_idle_until_it_speaks_and_w_follows_the_clock_anew() {
        let mut before = tracker(Some(1_000));
        let only = PartitionId(0);
        before.assign(only, 0);
        speak(&mut before, only, 500, 0);
        before.caught_up(only);
        assert_eq!(before.advance(4_000), 4_500, "time passed since it was read");
        let mut after = restarted(&before, 10_000);
        assert_eq!(after.advance(11_000), 4_500, "500 and 1,000 since the restart are less");
        assert_eq!(after.advance(15_000), 5_500);
        assert_eq!(after.speaking(only, 15_000).watermark(), 5_500, "it begins at W");
    }

    #[test]
    fn what_ended_is_stored_without_the_end() {
        let mut before = tracker(None);
        let [spoke, never] = [PartitionId(0), PartitionId(1)];
        for partition in [spoke, never] {
            before.assign(partition, 0);
        }
        speak(&mut before, spoke, 500, 0);
        for partition in [spoke, never] {
            before.end(partition);
        }
        assert_eq!(before.advance(0), END);
        before.settle(700);
        assert_eq!(before.progress().watermark, Some(700));
        let stored = [spoke, never].map(|partition| before.partition_progress(partition).unwrap());
        assert_eq!(stored.map(|progress| progress.watermark), [Some(700), None]);
        assert_eq!(stored[0].greatest_time, Some(500));
        assert_eq!(before.partition_progress(PartitionId(9)), None);
    }
}
