//! Sessions: whatever comes in whatever order, the last results are the connected components.

use std::collections::BTreeMap;

use llm_optimizer_processor::engine::{
    aggregation::{AggregationPlan, Function},
    core::{EventBatch, EventTime, PartitionId},
    task::{TaskLimits, TaskOutput, TaskPlan, WindowTask},
    watermark::{WatermarkSettings, WatermarkStrategy},
    window::{TriggerSpec, WindowSpec},
};

use super::bytes::Bytes;

const PARTITION: PartitionId = PartitionId(0);

/// Key, start and end of a session.
type Session = (String, i64, i64);

/// Events of up to three keys from the input, advanced and committed at any moment.
pub(crate) fn session_merge(data: &[u8]) {
    let mut bytes = Bytes(data);
    let (gap, lateness, disorder) = (bytes.within(1, 60), bytes.within(0, 60), bytes.within(0, 40));
    let mut task = task(gap, lateness, disorder);
    let mut naive = Naive { gap, lateness, watermark: i64::MIN, disorder, times: BTreeMap::new() };
    let mut shown: BTreeMap<Session, u64> = BTreeMap::new();
    let mut out = TaskOutput::default();
    let mut late = 0;
    task.assign(PARTITION, 0);
    while !bytes.is_empty() {
        let key = ["a", "b", "c"][usize::from(bytes.byte() % 3)];
        let at = i64::from(bytes.byte()) - 128;
        late += usize::from(!naive.accepts(key, at));
        let mut batch = EventBatch::new(1);
        batch.push(0, EventTime::new(at).expect("it is small"), key, &[1.0]);
        task.process(PARTITION, &batch, 0, &mut out);
        match bytes.byte() % 4 {
            0 => task.advance(0, &mut out),
            1 => task.fire_dirty(&mut out),
            _ => {}
        }
        late -= out.late.len();
        show(&mut out, &mut shown);
    }
    task.end(PARTITION);
    task.advance(0, &mut out);
    task.fire_dirty(&mut out);
    show(&mut out, &mut shown);
    assert_eq!(late, 0, "the events that are too late are those of the definition");
    assert_eq!(shown, naive.sessions(), "gap {gap}, lateness {lateness}, disorder {disorder}");
}

fn task(gap_ms: i64, lateness_ms: i64, max_out_of_orderness_ms: i64) -> WindowTask {
    WindowTask::new(TaskPlan {
        windows: WindowSpec::session(gap_ms, lateness_ms).expect("it is in range"),
        triggers: TriggerSpec::EventTime,
        watermarks: WatermarkSettings {
            strategy: WatermarkStrategy::BoundedOutOfOrderness,
            max_out_of_orderness_ms,
            idle_timeout_ms: None,
        },
        aggregation: AggregationPlan::new(&[Function::Count], &[], &[]).expect("a plan"),
        limits: TaskLimits::default(),
    })
}

/// What a reader of the results has: the last revision of each window, without superseded ones.
fn show(out: &mut TaskOutput, shown: &mut BTreeMap<Session, u64>) {
    for firing in out.firings.drain(..) {
        let key = firing.key.to_string();
        for old in &firing.supersedes {
            shown.remove(&(key.clone(), old.start_ms, old.end_ms));
        }
        shown.insert((key, firing.start_ms, firing.end_ms), firing.statistics.count);
    }
    out.late.clear();
}

/// The definition, computed at the end.
struct Naive {
    gap: i64,
    lateness: i64,
    disorder: i64,
    watermark: i64,
    times: BTreeMap<String, Vec<i64>>,
}

impl Naive {
    fn accepts(&mut self, key: &str, at: i64) -> bool {
        let accepted = self.watermark < at + self.gap + self.lateness;
        if accepted {
            self.times.entry(key.to_owned()).or_default().push(at);
        }
        self.watermark = self.watermark.max(at - self.disorder);
        accepted
    }

    fn sessions(&self) -> BTreeMap<Session, u64> {
        let mut sessions = BTreeMap::new();
        for (key, times) in &self.times {
            let mut times = times.clone();
            times.sort_unstable();
            for near in times.chunk_by(|a, b| b - a <= self.gap) {
                if let (Some(first), Some(last)) = (near.first(), near.last()) {
                    sessions.insert((key.clone(), *first, last + self.gap), near.len() as u64);
                }
            }
        }
        sessions
    }
}
