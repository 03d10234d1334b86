//! What both workers share, driven by hand.

use std::{sync::Arc, time::Duration};

use llm_optimizer_config::load_str;
use llm_optimizer_engine::core::PartitionId;

use crate::{
    commit::RecoveredPipeline,
    decode::Decoder,
    record::{PartitionOrigin, RecordBatch, RecordFormat, SourceKind},
    runtime::{
        Counters, Health, Outcome, Pipeline, PipelineOutputs, RunProgress, Telemetry,
        counting::Counting, decode_settings, reader::Read, task_plan,
    },
    source::{
        SourceEvent,
        clock::{Clock, ManualClock},
    },
};

const CONFIG: &str = "
processor:
  source: { type: stdin }
  event: { profile: custom, timestamp: at, timestamp_unit: s, key: [key], values: { v: v } }
  windows: { tumbling: { size_secs: 60 } }
  watermark: { max_out_of_orderness_secs: 0 }
  aggregation: { enabled: [count] }
";

fn pipeline() -> Pipeline {
    let config = load_str(CONFIG, "c.yaml", []).unwrap().config;
    let decoder = Decoder::new(decode_settings(&config, true));
    let plan = task_plan(&config, decoder.value_names(), true).unwrap();
    Pipeline::new("p", decoder, plan, PipelineOutputs::default())
}

fn origin() -> Arc<PartitionOrigin> {
    let (id, kind) = (PartitionId(0), SourceKind::Stdin);
    Arc::new(PartitionOrigin { id, kind, name: "stdin".into(), partition: 0 })
}

fn batch(records: &[&str]) -> RecordBatch {
    let mut batch = RecordBatch::new(origin(), RecordFormat::Json, 7);
    for (offset, record) in (0..).zip(records) {
        batch.push(record.as_bytes(), offset, None);
    }
    batch
}

/// One partition of one pipeline, and the clock.
fn counting(telemetry: &Arc<Telemetry>) -> (Counting, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let time = (Duration::ZERO, Arc::<ManualClock>::clone(&clock) as Arc<dyn Clock>);
    let progress = Arc::new(RunProgress::default());
    let counting = Counting::new(vec![pipeline()], None, time, progress, Arc::clone(telemetry));
    (counting, clock)
}

#[test]
fn that_a_watermark_moved_is_said_once() {
    let (mut counting, _) = counting(&Arc::default());
    counting.hear(&SourceEvent::Assigned(vec![origin()]), 0);
    assert!(!counting.advance(0).unwrap(), "nothing was read");
    counting.process(&batch(&[r#"{"at":60,"key":"k","v":1}"#]), 0);
    assert!(counting.advance(0).unwrap());
    assert!(!counting.advance(0).unwrap(), "nothing new was read");
    counting.hear(&SourceEvent::Ended(PartitionId(0)), 0);
    assert!(counting.advance(0).unwrap(), "after the end all windows fire");
}

#[test]
fn records_of_earlier_runs_are_not_in_the_rate_of_this_one() {
    let (mut counting, clock) = counting(&Arc::default());
    let counters = Counters { records_read: 1_000, accepted: 1_000, ..Counters::default() };
    let state = RecoveredPipeline { name: "p".into(), counters, ..RecoveredPipeline::default() };
    counting.pipelines[0].restore(state, 0).unwrap();
    counting.recovered(Duration::ZERO, true);
    clock.pause(Duration::from_secs(8));
    counting.process(&batch(&[r#"{"at":1,"key":"k","v":1}"#; 6]), 0);
    clock.pause(Duration::from_secs(2));
    let read = Read { result: Ok(()), was_stopped: false };
    let Outcome { report, result } = counting.outcome(read, Ok(()));
    result.unwrap();
    assert_eq!((report.first.records_read, report.first_record_ms), (1_006, Some(7)));
    assert_eq!((report.elapsed_secs, report.events_per_sec), (10.0, 3.0));
    assert_eq!(report.ended_by, "end_of_input");
}

/// Counts a record that cannot be used, and gives the samples that are shown then.
fn samples_shown(mut counting: Counting, telemetry: &Telemetry) -> usize {
    counting.process(&batch(&["no JSON"]), 0);
    counting.tell(0, None, Vec::new);
    telemetry.samples().dead_letters.len()
}

#[test]
fn samples_are_taken_only_if_anybody_may_look() {
    let (looked_at, unseen) =
        [true, false].map(|live| Arc::new(Telemetry::new(None, live, Health::default()))).into();
    assert_eq!(samples_shown(counting(&looked_at).0, &looked_at), 1);
    assert_eq!(samples_shown(counting(&unseen).0, &unseen), 0);
}

#[cfg(feature = "kafka")]
#[test]
fn pipelines_made_anew_are_shown_as_the_first_ones_were() {
    let telemetry = Arc::new(Telemetry::new(None, true, Health::default()));
    let (mut counting, _) = counting(&telemetry);
    counting.replace(vec![pipeline()]);
    assert_eq!(samples_shown(counting, &telemetry), 1);
}
