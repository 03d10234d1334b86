//! Functions registered in code, from a configuration to result records.

use std::{any::Any, sync::Arc};

use llm_optimizer_config::load_with_functions;
use llm_optimizer_engine::{
    aggregation::{Accumulate, AggregateFunction},
    core::PartitionId,
};
use serde_json::{Value, json};

use crate::runtime::{
    plan::{decode_settings, task_plan, task_plan_with},
    worker::{Pipeline, PipelineOutputs},
};
use crate::{
    decode::Decoder,
    record::{PartitionOrigin, RecordBatch, RecordFormat, SourceKind},
    source::SourceEvent,
};

const CONFIG: &str = "
processor:
  source: { type: stdin }
  event: { profile: custom, timestamp: at, timestamp_unit: s, key: [model], values: { ms: ms } }
  windows: { tumbling: { size_secs: 60 } }
  aggregation:
    enabled: [count, variance]
    statistics: [{ name: failed, function: count, where: { field: error, exists: true } }]
";

/// Variance; panics at 666.
#[derive(Debug, Clone)]
struct Variance(Vec<f64>);

#[derive(Debug)]
struct VarianceFunction;

impl AggregateFunction for VarianceFunction {
    fn name(&self) -> &'static str {
        "variance"
    }
    fn create(&self, _key: &str) -> Box<dyn Accumulate> {
        Box::new(Variance(Vec::new()))
    }
}

impl Accumulate for Variance {
    fn add(&mut self, value: f64) -> Result<(), String> {
        assert!(value < 600.0, "{value} is too much");
        self.0.push(value);
        Ok(())
    }
    fn merge(&mut self, other: &dyn Accumulate) -> Result<(), String> {
        let other = other.as_any().downcast_ref::<Self>().ok_or("no variance")?;
        self.0.extend(&other.0);
        Ok(())
    }
    fn evaluate(&self) -> Result<Vec<(String, Value)>, String> {
        let mean = self.0.iter().sum::<f64>() / self.0.len() as f64;
        let squares: f64 = self.0.iter().map(|x| (x - mean) * (x - mean)).sum();
        Ok(vec![("variance".into(), json!(squares / self.0.len() as f64))])
    }
    fn size_bytes(&self) -> usize {
        self.0.capacity() * 8
    }
    fn boxed_clone(&self) -> Box<dyn Accumulate> {
        Box::new(self.clone())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[test]
fn a_registered_function_that_fails_is_an_error_of_its_result_and_counted() {
    let loaded = load_with_functions(CONFIG, "c.yaml", [], &["variance"]).unwrap();
    let decoder = Decoder::new(decode_settings(&loaded.config, false));
    let names = decoder.value_names().to_vec();
    let registered: [Arc<dyn AggregateFunction>; 1] = [Arc::new(VarianceFunction)];
    let plan = task_plan_with(&loaded.config, &names, true, &registered).unwrap();
    let mut pipeline = Pipeline::new("p", decoder, plan, PipelineOutputs::default());
    let (id, kind) = (PartitionId(0), SourceKind::Stdin);
    let origin = PartitionOrigin { id, kind, name: "stdin".into(), partition: 0 };
    let mut batch = RecordBatch::new(Arc::new(origin), RecordFormat::Json, 0);
    for (at, model, ms, more) in [
        (1, "a", 1, ""),
        (2, "a", 5, r#","error":"quota""#),
        (3, "b", 1, ""),
        (4, "b", 666, ""),
        (5, "b", 700, ""),
    ] {
        let record = format!(r#"{{"at":{at},"model":"{model}","ms":{ms}{more}}}"#);
        batch.push(record.as_bytes(), at, None);
    }
    pipeline.hear(&SourceEvent::Assigned(vec![Arc::clone(&batch.origin)]), 0);
    Pipeline::process_all(std::slice::from_mut(&mut pipeline), &batch, 0);
    pipeline.hear(&SourceEvent::Ended(id), 0);
    pipeline.advance(0).unwrap();
    let output = pipeline.cut(0, None).unwrap().output;
    let records: Vec<Value> =
        output.results.iter().map(|r| serde_json::from_slice(&r.json).unwrap()).collect();
    assert_eq!(records[0]["results"], json!({"count": 2, "failed": 1, "variance": 4.0}));
    assert_eq!(records[1]["results"], json!({"count": 3, "failed": 0}));
    assert_eq!(records[1]["errors"], json!({"variance": "panicked: 666 is too much"}));
    assert_eq!(pipeline.report().aggregation_errors, 1);
}

#[test]
fn a_function_that_nobody_registered_is_refused() {
    let loaded = load_with_functions(CONFIG, "c.yaml", [], &["variance"]).unwrap();
    let refused = task_plan(&loaded.config, &["ms".to_owned()], true).unwrap_err();
    assert!(refused.to_string().contains("no function `variance` is registered"), "{refused}");
}
