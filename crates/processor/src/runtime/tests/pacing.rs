//! Partitions that run ahead wait, whatever the pipelines and however the source is timed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, mpsc::RecvTimeoutError},
    time::Duration,
};

use crossbeam_channel::Sender;
use llm_optimizer_config::load_str;
use llm_optimizer_engine::core::{EventTime, PartitionId};

use crate::runtime::{
    Job, Outcome, Pipeline, PipelineOutputs, RunProgress, decode_settings, job_settings, task_plan,
};
use crate::{
    decode::Decoder,
    error::ProcessorResult,
    record::{PartitionOrigin, RecordBatch, RecordFormat, SourceKind},
    sink::{Output, ResultSink},
    source::{
        PartitionPauses, Source, SourceEvent, StopToken,
        clock::SystemClock,
        send::{Halt, send},
    },
};

/// What the source sent: partition and event time in seconds.
type Seen = Arc<Mutex<Vec<(u32, i64)>>>;

/// Sends one event per batch, of each partition in turn that is not paused.
struct Partitioned {
    /// Event times in seconds.
    partitions: Vec<Vec<i64>>,
    pauses: PartitionPauses,
    seen: Seen,
}

impl Partitioned {
    fn send_all(&mut self, queue: &Sender<SourceEvent>, stop: &StopToken) -> Result<(), Halt> {
        let origin = |id: u32| PartitionOrigin {
            id: PartitionId(id),
            kind: SourceKind::Custom,
            name: "test".into(),
            partition: i32::try_from(id).unwrap(),
        };
        let origins: Vec<_> =
            (0..).zip(&self.partitions).map(|(id, _)| Arc::new(origin(id))).collect();
        send(queue, stop, SourceEvent::Assigned(origins.clone()))?;
        let mut next = vec![0; origins.len()];
        let mut open = origins.len();
        while open > 0 {
            for (origin, (times, next)) in origins.iter().zip(self.partitions.iter().zip(&mut next))
            {
                if *next > times.len() || self.pauses.is_paused(origin.id) {
                    continue;
                }
                if let Some(at) = times.get(*next) {
                    let mut batch = RecordBatch::new(Arc::clone(origin), RecordFormat::Json, 0);
                    let time = EventTime::new(at * 1_000).unwrap();
                    let rfc = llm_optimizer_engine::core::Rfc3339Millis(time.as_millis());
                    let line = format!(r#"{{"at":"{rfc}","key":"k","v":1}}"#);
                    batch.push(line.as_bytes(), i64::try_from(*next).unwrap(), None);
                    self.seen.lock().unwrap().push((origin.id.0, *at));
                    send(queue, stop, SourceEvent::Batch(batch))?;
                } else {
                    open -= 1;
                    send(queue, stop, SourceEvent::Ended(origin.id))?;
                }
                *next += 1;
            }
            if stop.is_stopped() {
                return Err(Halt::Stopped);
            }
            std::thread::yield_now();
        }
        Ok(())
    }
}

impl Source for Partitioned {
    fn run(
        mut self: Box<Self>,
        queue: &Sender<SourceEvent>,
        stop: &StopToken,
    ) -> ProcessorResult<()> {
        Halt::conclude(self.send_all(queue, stop))
    }

    fn pauses(&self) -> Option<PartitionPauses> {
        Some(self.pauses.clone())
    }

    fn is_bounded(&self) -> bool {
        true
    }
}

/// Remembers the count of each window.
struct Counts(Arc<Mutex<BTreeMap<(String, String), u64>>>);

impl ResultSink for Counts {
    fn name(&self) -> &'static str {
        "counts"
    }

    fn deliver(&mut self, output: &Arc<Output>) -> ProcessorResult<()> {
        for result in &output.results {
            let record = &result.record;
            let count = record.results["count"].as_u64().unwrap();
            let key = (record.pipeline.clone(), record.window.start.clone());
            self.0.lock().unwrap().insert(key, count);
        }
        Ok(())
    }

    fn close(&mut self) -> ProcessorResult<()> {
        Ok(())
    }
}

/// Runs the partitions through pipelines of one-minute windows with these drifts in seconds.
/// Returns what the source sent, in order, and the counts of all windows.
fn run(partitions: Vec<Vec<i64>>, drifts: &[i64]) -> (Vec<(u32, i64)>, Vec<u64>) {
    let yaml = "processor: { source: { type: stdin }, buffer_size: 1, \
                event: { profile: custom, timestamp: at, key: [key], values: { v: v } }, \
                windows: { tumbling: { size_secs: 60 } }, watermark: { max_out_of_orderness_secs: 0 }, \
                aggregation: { enabled: [count] } }";
    let config = load_str(yaml, "c.yaml", []).unwrap().config;
    let (seen, counts) = (Seen::default(), Arc::new(Mutex::new(BTreeMap::new())));
    let pipeline = |(index, drift): (usize, &i64)| {
        let decoder = Decoder::new(decode_settings(&config, true));
        let plan = task_plan(&config, decoder.value_names(), true).unwrap();
        let results: Vec<Box<dyn ResultSink>> = vec![Box::new(Counts(Arc::clone(&counts)))];
        let outputs = PipelineOutputs { results, ..PipelineOutputs::default() };
        Pipeline::new(format!("p{index}"), decoder, plan, outputs).with_max_drift(drift * 1_000)
    };
    let source =
        Partitioned { partitions, pauses: PartitionPauses::default(), seen: Arc::clone(&seen) };
    let job = Job {
        source: Box::new(source),
        pipelines: drifts.iter().enumerate().map(pipeline).collect(),
        settings: crate::runtime::JobSettings { queue_batches: 1, ..job_settings(&config) },
        stop: StopToken::default(),
        give_up: StopToken::default(),
        clock: Arc::new(SystemClock::new()),
        progress: Arc::new(RunProgress::default()),
        telemetry: Arc::default(),
        log: None,
        #[cfg(feature = "kafka")]
        kafka: None,
    };
    let stop = job.stop.clone();
    let (done, running) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if running.recv_timeout(Duration::from_mins(1)) == Err(RecvTimeoutError::Timeout) {
            stop.stop(); // a run that waits for ever fails below
        }
    });
    let Outcome { report, result } = job.run();
    drop(done);
    result.unwrap();
    assert_eq!(report.ended_by, "end_of_input");
    let seen = seen.lock().unwrap().clone();
    let counts = counts.lock().unwrap().values().copied().collect();
    (seen, counts)
}

/// The greatest distance in seconds between the partitions while both were read.
fn greatest_distance(seen: &[(u32, i64)]) -> i64 {
    let mut latest = [0; 2];
    let last_of_slow = seen.iter().rposition(|(p, _)| *p == 1).unwrap();
    let distances = seen[..last_of_slow].iter().map(|(partition, at)| {
        latest[*partition as usize] = *at;
        latest[0] - latest[1]
    });
    distances.max().unwrap()
}

/// One partition of a record a minute, one of a record every ten seconds, over the same time.
fn sparse_and_dense() -> Vec<Vec<i64>> {
    vec![(0..300).map(|n| n * 60).collect(), (0..1_800).map(|n| n * 10).collect()]
}

#[test]
fn a_partition_ahead_waits_for_the_slow_one_and_results_are_the_same() {
    let (seen, counts) = run(sparse_and_dense(), &[600]);
    assert_eq!(seen.len(), 2_100);
    // What is in the queue and in hand when the pause begins is read all the same.
    assert!(greatest_distance(&seen) <= 600 + 5 * 60, "{}", greatest_distance(&seen));
    assert_eq!(counts, vec![7; 300]);

    let (free, same) = run(sparse_and_dense(), &[1_000_000]);
    assert!(greatest_distance(&free) > 3_600, "{}", greatest_distance(&free));
    assert_eq!(counts, same);
}

#[test]
fn the_strictest_of_several_pipelines_counts() {
    let (seen, counts) = run(sparse_and_dense(), &[1_000_000, 600]);
    assert!(greatest_distance(&seen) <= 600 + 5 * 60, "{}", greatest_distance(&seen));
    assert_eq!(counts, vec![7; 600]);
}

#[test]
fn an_empty_partition_and_one_that_ends_early_stop_nobody() {
    let late_start: Vec<i64> = (0..200).map(|n| 100_000 + n * 60).collect();
    let (seen, counts) = run(vec![late_start, vec![], vec![0, 60]], &[60]);
    assert_eq!((seen.len(), counts), (202, vec![1; 202]));
}
