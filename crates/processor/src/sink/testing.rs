//! Results for the tests of sinks.

use std::sync::Arc;

use llm_optimizer_types::{
    ResultRecord,
    output::{Pane, PaneTiming, ResultWindow},
};

use super::{EncodedResult, Output};

/// A result of one minute for `model=m`, with these statistics.
pub(crate) fn record(statistics: &[(&str, f64)]) -> ResultRecord {
    let number = |value: f64| match format!("{value}").parse::<i64>() {
        Ok(whole) => whole.into(),
        Err(_) => serde_json::Number::from_f64(value).unwrap(),
    };
    ResultRecord {
        schema_version: 1,
        pipeline: "default".into(),
        window: ResultWindow {
            start: "2023-11-16T18:15:00.000Z".into(),
            end: "2023-11-16T18:16:00.000Z".into(),
            key: "model=m".into(),
        },
        key_fields: [].into(),
        results: statistics
            .iter()
            .map(|(n, value)| ((*n).to_owned(), number(*value).into()))
            .collect(),
        pane: Pane { revision: 0, timing: PaneTiming::OnTime },
        window_id: "00".into(),
        result_id: "00-0".into(),
        timestamp: "2023-11-16T18:16:05.000Z".into(),
        supersedes: vec![],
        quality: [].into(),
        errors: [].into(),
    }
}

/// One commit with these results.
pub(crate) fn output(records: Vec<ResultRecord>) -> Arc<Output> {
    let encode = |record| EncodedResult { json: serde_json::to_vec(&record).unwrap(), record };
    Arc::new(Output { results: records.into_iter().map(encode).collect(), ..Output::default() })
}

/// One commit whose results have these bytes as their JSON.
pub(crate) fn output_of_lines(lines: &[&str]) -> Arc<Output> {
    let encode = |line: &&str| EncodedResult { json: (*line).into(), record: record(&[]) };
    Arc::new(Output { results: lines.iter().map(encode).collect(), ..Output::default() })
}
