//! Functions of the user's: made for their key, merged over panes and sessions, counted by window.

use std::{any::Any, sync::Arc};

use llm_optimizer_engine::{
    aggregation::{Accumulate, AggregateFunction, AggregationPlan, Function, Outcome},
    core::{EventBatch, EventTime, PartitionId},
    task::{TaskLimits, TaskOutput, TaskPlan, WindowTask},
    watermark::{WatermarkSettings, WatermarkStrategy},
    window::{TriggerSpec, WindowSpec},
};
use serde_json::{Value, json};

/// The values of a window in order, with the key; 13 fails.
#[derive(Debug, Clone)]
struct Listing(String, Vec<f64>);

#[derive(Debug)]
struct ListValues;

impl AggregateFunction for ListValues {
    fn name(&self) -> &'static str {
        "list"
    }
    fn create(&self, key: &str) -> Box<dyn Accumulate> {
        Box::new(Listing(key.to_owned(), Vec::new()))
    }
}

impl Accumulate for Listing {
    fn add(&mut self, value: f64) -> Result<(), String> {
        self.1.push(value);
        if self.1.contains(&13.0) { Err("13".into()) } else { Ok(()) }
    }
    fn merge(&mut self, other: &dyn Accumulate) -> Result<(), String> {
        let other = other.as_any().downcast_ref::<Self>().ok_or("not a listing")?;
        assert_eq!(self.0, other.0, "both are of one key");
        self.1.extend(&other.1);
        self.1.sort_by(f64::total_cmp);
        Ok(())
    }
    fn evaluate(&self) -> Result<Vec<(String, Value)>, String> {
        Ok(vec![("list".into(), json!(self.1)), ("key".into(), json!(self.0))])
    }
    fn size_bytes(&self) -> usize {
        self.1.len() * 8
    }
    fn boxed_clone(&self) -> Box<dyn Accumulate> {
        Box::new(self.clone())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Each result of the events as `[start,end) key: list`, times in seconds.
fn listed(windows: WindowSpec, max_keys: u64, events: &[(i64, &str, f64)]) -> Vec<String> {
    let plan = AggregationPlan::new(&[Function::Count], &[], &[]).expect("a plan");
    let mut task = WindowTask::new(TaskPlan {
        windows,
        triggers: TriggerSpec::EventTime,
        watermarks: WatermarkSettings {
            strategy: WatermarkStrategy::BoundedOutOfOrderness,
            max_out_of_orderness_ms: 1_000_000,
            idle_timeout_ms: None,
        },
        aggregation: plan.with_functions(vec![Arc::new(ListValues)]),
        limits: TaskLimits { key_groups: 1, max_keys, max_windows_per_key: 100 },
    });
    task.assign(PartitionId(0), 0);
    let mut batch = EventBatch::new(1);
    for (at, key, value) in events {
        batch.push(0, EventTime::new(at * 1_000).expect("an instant"), key, &[*value]);
    }
    let mut out = TaskOutput::default();
    task.process(PartitionId(0), &batch, 0, &mut out);
    task.end(PartitionId(0));
    task.advance(0, &mut out);
    let lines = out.firings.iter().map(|firing| {
        let further: Vec<String> = firing
            .statistics
            .further
            .iter()
            .map(|named| match &named.outcome {
                Outcome::Json(value) => value.to_string(),
                other => format!("{other:?}"),
            })
            .collect();
        let (start, end) = (firing.start_ms / 1_000, firing.end_ms / 1_000);
        format!("[{start},{end}) n={} {}", firing.statistics.count, further.join(" "))
    });
    lines.collect()
}

#[test]
fn panes_of_a_sliding_window_are_merged() {
    let found = listed(
        WindowSpec::sliding(20_000, 10_000, 0, 0).expect("valid"),
        10,
        &[(1, "a", 2.0), (11, "a", 1.0), (12, "b", 7.0), (25, "a", 3.0)],
    );
    assert_eq!(
        found,
        [
            r#"[-10,10) n=1 [2.0] "a""#,
            r#"[0,20) n=2 [1.0,2.0] "a""#,
            r#"[0,20) n=1 [7.0] "b""#,
            r#"[10,30) n=2 [1.0,3.0] "a""#,
            r#"[10,30) n=1 [7.0] "b""#,
            r#"[20,40) n=1 [3.0] "a""#,
        ]
    );
}

#[test]
fn sessions_that_join_are_merged() {
    let found = listed(
        WindowSpec::session(10_000, 0).expect("valid"),
        10,
        &[(0, "a", 2.0), (15, "a", 1.0), (8, "a", 5.0)],
    );
    assert_eq!(found, [r#"[0,25) n=3 [1.0,2.0,5.0] "a""#]);
}

#[test]
fn keys_beyond_the_limit_are_one_key_to_a_function_too() {
    let found = listed(
        WindowSpec::tumbling(10_000, 0, 0).expect("valid"),
        1,
        &[(0, "a", 1.0), (1, "b", 2.0), (2, "c", 3.0)],
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.contains(&r#"[0,10) n=1 [1.0] "a""#.to_owned()), "{found:?}");
    let overflow = r#"[0,10) n=2 [2.0,3.0] "__overflow__=0""#.to_owned();
    assert!(found.contains(&overflow), "{found:?}");
}

#[test]
fn a_function_that_fails_does_so_in_its_window_alone() {
    let found = listed(
        WindowSpec::tumbling(10_000, 0, 0).expect("valid"),
        10,
        &[(0, "a", 13.0), (1, "a", 1.0), (11, "a", 2.0)],
    );
    assert_eq!(found, [r#"[0,10) n=2 Failed("13")"#, r#"[10,20) n=1 [2.0] "a""#]);
}
