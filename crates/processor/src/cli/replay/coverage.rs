//! Which windows a replay can speak for.
//!
//! A window is whole if no event of it can be missing: none that was recorded before what is read, and none
//! that may still be accepted behind it.

use llm_optimizer_config::{ProcessorConfig, WindowSettings, settings::WatermarkStrategyName};

/// How far the windows of a pipeline reach, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "units go last")]
pub(super) struct Reach {
    /// How much longer than its first or last instant a window may be; of sessions a guess.
    pub(super) window_ms: i64,
    /// The silence around a session; 0 for other windows.
    gap_ms: i64,
    /// How long after its end a window may change.
    closes_after_ms: i64,
    /// How much out of order events come.
    disorder_ms: i64,
    /// How long a partition is silent until it is idle; `None`: never.
    idle_ms: Option<i64>,
}

/// Sessions are taken to be no longer than this many gaps, where reading begins earlier for them.
const GAPS_OF_A_SESSION: i64 = 4;

impl Reach {
    /// That of a pipeline.
    pub(super) fn of(config: &ProcessorConfig) -> Self {
        let (window_ms, gap_ms, closes_after_ms) = match config.window() {
            WindowSettings::Tumbling { size_ms, lateness_ms, .. }
            | WindowSettings::Sliding { size_ms, lateness_ms, .. } => (size_ms, 0, lateness_ms),
            WindowSettings::Session { gap_ms, lateness_ms } => {
                let longest = gap_ms.saturating_mul(GAPS_OF_A_SESSION);
                (longest, gap_ms, gap_ms.saturating_add(lateness_ms))
            }
        };
        let disorder_ms = match config.watermark.strategy {
            WatermarkStrategyName::Ascending => 0,
            _ => config.watermark.max_out_of_orderness_secs.as_millis(),
        };
        let idle_ms = config.watermark.idle_timeout_secs.as_millis();
        let idle_ms = (idle_ms > 0).then_some(idle_ms);
        Self { window_ms, gap_ms, closes_after_ms, disorder_ms, idle_ms }
    }

    /// How much earlier reading begins so that windows are whole at the start of the range.
    pub(super) fn warm_up_ms(self) -> i64 {
        self.window_ms.saturating_add(self.closes_after_ms).saturating_add(self.disorder_ms)
    }
}

/// What is wanted, what was read, and what follows for windows.
#[derive(Debug, Clone)]
pub(super) struct Coverage {
    reach: Reach,
    /// The range that was asked for; `None` = open.
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    /// Windows that are partly outside of the range are wanted too.
    takes_overlapping: bool,
    /// Events before this instant may be missing.
    begins_ms: Option<i64>,
    /// W beyond which events may be missing, of partitions that are read to the end of what is wanted.
    ends_ms: Option<i64>,
    /// W as idle partitions would have it go on with the clock, if all are idle.
    idle_ms: Option<i64>,
}

/// What a replay can say about a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// All of it was read.
    Whole,
    /// It has nothing to do with the range.
    Outside,
    /// It is partly outside, or events may be missing.
    Edge(Edge),
}

/// Where something may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    Start,
    End,
    Both,
}

impl Edge {
    /// The word in results.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End => "end",
            Self::Both => "both",
        }
    }
}

impl Coverage {
    /// Nothing is known to be missing yet.
    pub(super) fn new(
        reach: Reach,
        (from_ms, to_ms): (Option<i64>, Option<i64>),
        takes_overlapping: bool,
    ) -> Self {
        Self {
            reach,
            from_ms,
            to_ms,
            takes_overlapping,
            begins_ms: None,
            ends_ms: None,
            idle_ms: None,
        }
    }

    /// Records of events before `at_ms` were not read.
    pub(super) fn read_from(&mut self, at_ms: i64) {
        self.begins_ms = Some(self.begins_ms.map_or(at_ms, |known| known.max(at_ms)));
    }

    /// A partition is read from a record on before which others are; `watermark_ms` is W(p) after it. What came
    /// before may be as much later as events are out of order.
    pub(super) fn read_from_record(&mut self, watermark_ms: i64) {
        let disorder_ms = self.reach.disorder_ms;
        self.read_from(
            watermark_ms.saturating_add(disorder_ms).saturating_add(disorder_ms).saturating_add(1),
        );
    }

    /// A partition is not read beyond `watermark_ms`, and has more.
    pub(super) fn read_until(&mut self, watermark_ms: i64) {
        self.ends_ms = Some(self.ends_ms.map_or(watermark_ms, |known| known.min(watermark_ms)));
    }

    /// A partition is read to the end of its log, whose newest record is `quiet_ms` old: an idle one holds nobody
    /// back.
    pub(super) fn read_to_end(&mut self, watermark_ms: i64, quiet_ms: i64) {
        if self.reach.idle_ms.is_none_or(|timeout| quiet_ms < timeout) {
            return self.read_until(watermark_ms);
        }
        let by_clock = watermark_ms.saturating_add(quiet_ms);
        self.idle_ms = Some(self.idle_ms.map_or(by_clock, |known| known.max(by_clock)));
    }

    /// Everything is read. Where all partitions are idle, the clock has gone on for them.
    pub(super) fn conclude(&mut self) {
        if let (None, Some(idle)) = (self.ends_ms, self.idle_ms) {
            self.read_until(idle);
        }
    }

    /// W(p) from which on a partition has nothing to say any more; `None`: it is read to its end.
    pub(super) fn enough_ms(&self) -> Option<i64> {
        let beyond = if self.takes_overlapping { self.reach.window_ms } else { 0 };
        let closed = beyond.saturating_add(self.reach.closes_after_ms);
        self.to_ms.map(|to| to.saturating_add(closed))
    }

    /// The record time up to which records are probably needed.
    pub(super) fn expected_until_ms(&self) -> Option<i64> {
        self.enough_ms().map(|enough| enough.saturating_add(self.reach.disorder_ms))
    }

    /// The end of the last window that cannot change any more at `watermark_ms`; `None` = all of what fired.
    pub(super) fn closed_ms(&self, watermark_ms: Option<i64>) -> Option<i64> {
        let bound = match (self.ends_ms, watermark_ms) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        bound.map(|bound| bound.saturating_sub(self.reach.closes_after_ms))
    }

    /// What can be said about a window once everything is read.
    pub(super) fn standing(&self, start_ms: i64, end_ms: i64) -> Standing {
        let (from_ms, to_ms) = (self.from_ms, self.to_ms);
        if from_ms.is_some_and(|from| end_ms <= from) || to_ms.is_some_and(|to| start_ms >= to) {
            return Standing::Outside;
        }
        let earliest = start_ms.saturating_sub(self.reach.gap_ms);
        let is_inside = |at: Option<bool>| self.takes_overlapping || at.unwrap_or(true);
        let start = is_inside(from_ms.map(|from| start_ms >= from))
            && self.begins_ms.is_none_or(|begins| earliest >= begins);
        let end = is_inside(to_ms.map(|to| end_ms <= to))
            && self.closed_ms(None).is_none_or(|closed| end_ms <= closed);
        match (start, end) {
            (true, true) => Standing::Whole,
            (false, true) => Standing::Edge(Edge::Start),
            (true, false) => Standing::Edge(Edge::End),
            (false, false) => Standing::Edge(Edge::Both),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tumbling() -> Reach {
        Reach { window_ms: 60, gap_ms: 0, closes_after_ms: 10, disorder_ms: 5, idle_ms: Some(100) }
    }

    #[test]
    fn windows_inside_are_whole_and_those_across_an_edge_are_not() {
        let mut coverage = Coverage::new(tumbling(), (Some(60), Some(180)), false);
        coverage.read_from(60);
        coverage.read_until(190);
        let standing = |start, end| coverage.standing(start, end);
        assert_eq!(standing(0, 60), Standing::Outside);
        assert_eq!(standing(60, 120), Standing::Whole);
        assert_eq!(standing(120, 180), Standing::Whole);
        assert_eq!(standing(180, 240), Standing::Outside);
        assert_eq!(standing(30, 90), Standing::Edge(Edge::Start));
        assert_eq!(standing(150, 210), Standing::Edge(Edge::End));
        assert_eq!(standing(0, 240), Standing::Edge(Edge::Both));
        assert_eq!(coverage.enough_ms(), Some(190));
    }

    #[test]
    fn whole_windows_are_read_beyond_the_edges() {
        let mut coverage = Coverage::new(tumbling(), (Some(90), Some(150)), true);
        coverage.read_from(90 - tumbling().warm_up_ms());
        coverage.read_until(coverage.enough_ms().unwrap());
        assert_eq!(coverage.standing(60, 120), Standing::Whole);
        assert_eq!(coverage.standing(120, 180), Standing::Whole);
    }

    #[test]
    fn a_window_that_lateness_may_change_is_not_whole() {
        let mut coverage = Coverage::new(tumbling(), (None, None), false);
        coverage.read_until(129);
        assert_eq!(coverage.standing(60, 120), Standing::Edge(Edge::End));
        coverage.ends_ms = Some(130);
        assert_eq!(coverage.standing(60, 120), Standing::Whole);
    }

    #[test]
    fn offsets_begin_where_disorder_cannot_reach() {
        let mut coverage = Coverage::new(tumbling(), (None, None), false);
        // The first record is of 100, so W(p) is 95; one before it may be of up to 105.
        coverage.read_from_record(95);
        assert_eq!(coverage.standing(105, 165), Standing::Edge(Edge::Start));
        assert_eq!(coverage.standing(106, 166), Standing::Whole);
    }

    #[test]
    fn an_idle_partition_holds_nobody_back() {
        let standing = |reads: &[(i64, i64)]| {
            let mut coverage = Coverage::new(tumbling(), (None, None), false);
            for (mark, quiet) in reads {
                coverage.read_to_end(*mark, *quiet);
            }
            coverage.conclude();
            coverage.standing(60, 120)
        };
        assert_eq!(standing(&[(20, 99), (130, 0)]), Standing::Edge(Edge::End));
        assert_eq!(standing(&[(20, 100), (130, 0)]), Standing::Whole);
        // All are idle: W goes on with the clock.
        assert_eq!(standing(&[(20, 100), (29, 100)]), Standing::Edge(Edge::End));
        assert_eq!(standing(&[(20, 100), (30, 100)]), Standing::Whole);
    }

    #[test]
    fn a_session_needs_silence_before_it() {
        let reach = Reach { window_ms: 40, gap_ms: 10, ..tumbling() };
        let mut coverage = Coverage::new(reach, (Some(100), None), false);
        coverage.read_from(100);
        assert_eq!(coverage.standing(105, 120), Standing::Edge(Edge::Start));
        assert_eq!(coverage.standing(110, 125), Standing::Whole);
    }
}
