//! Partitions as whoever looks in from outside sees them. Looking changes nothing.

use super::{BEGINNING, END, WatermarkTracker, clock::Activity};
use crate::core::PartitionId;

/// What a partition is doing, as far as W is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionActivity {
    /// Has not spoken yet: holds W at the beginning.
    Unheard,
    /// Speaks: holds W at its watermark.
    Active,
    /// Is caught up and silent: holds nobody back.
    Idle,
    /// Has ended for ever: holds nobody back.
    Ended,
}

/// A partition at one moment; times are epoch milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionLook {
    /// The partition.
    pub partition: PartitionId,
    /// W(p); `None` before it spoke and after it ended.
    pub watermark: Option<i64>,
    /// Greatest event time seen.
    pub greatest_time: Option<i64>,
    /// What it is doing.
    pub activity: PartitionActivity,
    /// Whether it is read to its end for now.
    pub is_caught_up: bool,
    /// Wall clock of its last event that moves time, or of when it was assigned.
    pub heard_ms: i64,
}

impl WatermarkTracker {
    /// Every partition, with what decides whether it holds W.
    pub fn look(&self) -> impl Iterator<Item = PartitionLook> {
        self.clocks.iter().map(|(partition, clock)| PartitionLook {
            partition: *partition,
            watermark: Some(clock.watermark()).filter(|w| !matches!(*w, BEGINNING | END)),
            greatest_time: clock.max_time(),
            activity: match clock.activity {
                Activity::Unheard => PartitionActivity::Unheard,
                Activity::Active => PartitionActivity::Active,
                Activity::Idle => PartitionActivity::Idle,
                Activity::Ended => PartitionActivity::Ended,
            },
            is_caught_up: clock.caught_up,
            heard_ms: clock.heard_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watermark::WatermarkSettings;

    #[test]
    fn a_look_tells_who_speaks_who_is_silent_and_since_when() {
        let mut tracker = WatermarkTracker::new(WatermarkSettings::ascending(Some(1_000)));
        let [speaks, silent, ended] = [PartitionId(0), PartitionId(1), PartitionId(2)];
        for partition in [speaks, silent, ended] {
            tracker.assign(partition, 10);
        }
        tracker.speaking(speaks, 20).observe(500);
        tracker.spoke(speaks, 20);
        tracker.caught_up(silent);
        tracker.end(ended);
        let look = |tracker: &WatermarkTracker| -> Vec<PartitionLook> { tracker.look().collect() };
        let [one, two, three] = look(&tracker).try_into().unwrap();
        assert_eq!((one.watermark, one.greatest_time, one.heard_ms), (Some(500), Some(500), 20));
        assert_eq!((one.activity, one.is_caught_up), (PartitionActivity::Active, false));
        assert_eq!((two.watermark, two.activity), (None, PartitionActivity::Unheard));
        assert_eq!((two.is_caught_up, two.heard_ms), (true, 10));
        assert_eq!((three.watermark, three.activity), (None, PartitionActivity::Ended));
        tracker.advance(1_010);
        assert_eq!(look(&tracker)[1].activity, PartitionActivity::Idle);
    }
}
