//! What a task holds, for whoever looks in from outside; looking changes nothing.

use super::window_task::WindowTask;
use crate::{
    watermark::PartitionLook,
    window::{OpenWindow, Wanted},
};

impl WindowTask {
    /// The windows that hold data and are not purged and share an instant with `[from_ms, to_ms)`, with
    /// their statistics so far: of `key` alone or of all keys, at most `limit`.
    ///
    /// Statistics that are derived from those of other windows come with results only.
    #[must_use]
    pub fn open_windows_of(
        &self,
        key: Option<&str>,
        (from_ms, to_ms): (i64, i64),
        limit: usize,
    ) -> Vec<OpenWindow> {
        let key = match key.map(|key| self.keys.known(key)) {
            None => None,
            Some(None) => return Vec::new(),
            Some(known) => known,
        };
        let wanted = Wanted { key, from_ms, to_ms, limit };
        self.windows.view(&wanted, &self.keys, &self.aggregation)
    }

    /// Every partition, with what decides whether it holds W.
    pub fn look_at_partitions(&self) -> impl Iterator<Item = PartitionLook> {
        self.watermarks.look()
    }

    /// Windows begun since the task was made: one per key and tumbling window, per session, per key and
    /// pane of a sliding window.
    #[must_use]
    pub fn windows_begun(&self) -> u64 {
        self.windows.begun()
    }

    /// Windows that hold data and are not purged, counted as in [`windows_begun`](Self::windows_begun).
    #[must_use]
    pub fn accumulators(&self) -> usize {
        self.windows.accumulators()
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        aggregation::{AggregationPlan, Function},
        core::{EventBatch, EventTime, PartitionId},
        task::{TaskLimits, TaskOutput, TaskPlan, WindowTask},
        watermark::{WatermarkSettings, WatermarkStrategy},
        window::{OpenWindow, TriggerSpec, WindowSpec},
    };

    const ALL: (i64, i64) = (i64::MIN, i64::MAX);

    fn task(windows: WindowSpec) -> WindowTask {
        WindowTask::new(TaskPlan {
            windows,
            triggers: TriggerSpec::EventTime,
            watermarks: WatermarkSettings {
                strategy: WatermarkStrategy::BoundedOutOfOrderness,
                max_out_of_orderness_ms: 0,
                idle_timeout_ms: None,
            },
            aggregation: AggregationPlan::new(
                &[Function::Count, Function::Sum],
                &[],
                &["v".into()],
            )
            .unwrap(),
            limits: TaskLimits::default(),
        })
    }

    fn add(task: &mut WindowTask, events: &[(i64, &str, f64)]) {
        let mut batch = EventBatch::new(1);
        for (index, (at, key, value)) in events.iter().enumerate() {
            let record = u32::try_from(index).unwrap();
            batch.push(record, EventTime::new(*at).unwrap(), key, &[*value]);
        }
        let mut out = TaskOutput::default();
        task.process(PartitionId(0), &batch, 0, &mut out);
        task.advance(0, &mut out);
    }

    fn seen(windows: &[OpenWindow]) -> Vec<(i64, i64, &str, u32, u64)> {
        let one = |w: &OpenWindow| (w.start_ms, w.end_ms, w.results, w.statistics.count);
        windows.iter().map(|w| (one(w).0, one(w).1, &*w.key, one(w).2, one(w).3)).collect()
    }

    #[test]
    fn open_windows_show_what_they_hold_so_far() {
        let mut task = task(WindowSpec::tumbling(10_000, 0, 5_000).unwrap());
        add(&mut task, &[(1_000, "k=a", 1.0), (2_000, "k=a", 2.0), (3_000, "k=b", 4.0)]);
        add(&mut task, &[(11_000, "k=a", 8.0)]);
        let of_a = task.open_windows_of(Some("k=a"), ALL, 10);
        assert_eq!(seen(&of_a), [(0, 10_000, "k=a", 1, 2), (10_000, 20_000, "k=a", 0, 1)]);
        assert_eq!(seen(&task.open_windows_of(Some("k=a"), (12_000, 13_000), 10)).len(), 1);
        assert_eq!(task.open_windows_of(None, ALL, 10).len(), 3);
        assert_eq!(task.open_windows_of(None, ALL, 2).len(), 2);
        assert_eq!(task.open_windows_of(Some("k=c"), ALL, 2), []);
        assert_eq!((task.windows_begun(), task.accumulators()), (3, 3));
        add(&mut task, &[(15_000, "k=a", 1.0)]);
        assert_eq!((task.windows_begun(), task.accumulators()), (3, 1), "purged at 15 s");
    }

    #[test]
    fn sliding_windows_are_seen_merged_and_sessions_as_they_are_now() {
        let mut sliding = task(WindowSpec::sliding(20_000, 10_000, 0, 0).unwrap());
        add(&mut sliding, &[(15_000, "k=a", 1.0), (25_000, "k=a", 1.0), (25_001, "k=b", 1.0)]);
        let of_a = sliding.open_windows_of(Some("k=a"), ALL, 10);
        assert_eq!(seen(&of_a), [(10_000, 30_000, "k=a", 0, 2), (20_000, 40_000, "k=a", 0, 1)]);

        let mut sessions = task(WindowSpec::session(5_000, 0).unwrap());
        add(&mut sessions, &[(1_000, "k=a", 1.0), (4_000, "k=a", 1.0), (2_000, "k=b", 1.0)]);
        let of_a = sessions.open_windows_of(Some("k=a"), ALL, 10);
        assert_eq!(seen(&of_a), [(1_000, 9_000, "k=a", 0, 2)]);
        assert_eq!((sessions.windows_begun(), sessions.accumulators()), (2, 2));
    }
}
