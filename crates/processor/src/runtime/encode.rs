//! A firing becomes a result record.

use std::collections::BTreeMap;

use llm_optimizer_engine::{
    aggregation::{self, AggregationPlan, Outcome, Statistic, StatisticKind, Statistics},
    core::{GroupingKey, KeyPart, Rfc3339Millis, window_id},
    window::{Firing, OpenWindow, Timing},
};
use llm_optimizer_types::{
    Pane, PaneTiming, Quality, ResultKey, ResultRecord, ResultWindow, output::SCHEMA_VERSION,
};
use serde_json::{Number, Value};

use super::observe::OpenWindowView;
use crate::{
    error::{ProcessorError, ProcessorResult},
    sink::EncodedResult,
};

/// Why a statistic has no number.
const BEYOND_RANGE: &str = "beyond the range of a 64-bit float";

/// Encodes the results of one pipeline.
#[derive(Debug, Clone)]
pub struct ResultEncoder {
    pipeline: String,
}

impl ResultEncoder {
    /// An encoder for the pipeline of this name.
    #[must_use]
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into() }
    }

    /// The record of `firing` and its JSON; `now_ms` is the clock when it fired.
    ///
    /// # Errors
    /// [`ProcessorError::Serialization`] if the record cannot be written as JSON.
    pub fn encode(
        &self,
        firing: &Firing,
        plan: &AggregationPlan,
        now_ms: i64,
    ) -> ProcessorResult<EncodedResult> {
        let record = self.record(firing, plan, now_ms);
        let json = serde_json::to_vec(&record)
            .map_err(|cause| ProcessorError::Serialization(cause.to_string()))?;
        Ok(EncodedResult { record, json })
    }

    /// An open window with what it holds so far.
    pub(super) fn open(&self, window: &OpenWindow, plan: &AggregationPlan) -> OpenWindowView {
        let (results, errors) = results(plan, &window.statistics);
        OpenWindowView {
            pipeline: self.pipeline.clone(),
            start: Rfc3339Millis(window.start_ms).to_string(),
            end: Rfc3339Millis(window.end_ms).to_string(),
            key: window.key.to_string(),
            results_emitted: window.results,
            results,
            errors,
        }
    }

    fn record(&self, firing: &Firing, plan: &AggregationPlan, now_ms: i64) -> ResultRecord {
        let key = firing.key.as_ref();
        let id = |start, end| format!("{:032x}", window_id(&self.pipeline, key, start, end));
        let window_id = id(firing.start_ms, firing.end_ms);
        let (results, errors) = results(plan, &firing.statistics);
        ResultRecord {
            schema_version: SCHEMA_VERSION,
            pipeline: self.pipeline.clone(),
            window: ResultWindow {
                start: Rfc3339Millis(firing.start_ms).to_string(),
                end: Rfc3339Millis(firing.end_ms).to_string(),
                key: key.to_owned(),
            },
            key_fields: key_fields(key),
            results,
            pane: Pane { revision: firing.revision, timing: timing(firing.timing) },
            result_id: format!("{window_id}-{}", firing.revision),
            window_id,
            timestamp: Rfc3339Millis(now_ms).to_string(),
            supersedes: firing
                .supersedes
                .iter()
                .map(|old| format!("{}-{}", id(old.start_ms, old.end_ms), old.revision))
                .collect(),
            quality: qualities(plan, &firing.statistics),
            errors,
        }
    }
}

type Results = (BTreeMap<String, Value>, BTreeMap<String, String>);

/// The statistics by name; numbers beyond the range of a 64-bit float are errors.
fn results(plan: &AggregationPlan, statistics: &Statistics) -> Results {
    let (mut results, mut errors) = Results::default();
    for (statistic, number) in plan.statistics().iter().zip(&statistics.numbers) {
        let number = match statistic.kind {
            StatisticKind::Count => Some(Number::from(statistics.count)),
            _ => Number::from_f64(*number),
        };
        let name = statistic.name.clone();
        if let Some(number) = number {
            results.insert(name, number.into());
        } else {
            errors.insert(name, BEYOND_RANGE.to_owned());
        }
    }
    for named in &statistics.further {
        let name = named.name.to_string();
        match value(&named.outcome) {
            Ok(None) => {}
            Ok(Some(_)) if results.contains_key(&name) => {
                errors.insert(name, "two results have this name; the first one stands".to_owned());
            }
            Ok(Some(value)) => {
                results.insert(name, value);
            }
            Err(reason) => {
                errors.insert(name, reason);
            }
        }
    }
    (results, errors)
}

/// What a further statistic shows, if it has a value; else why not.
fn value(outcome: &Outcome) -> Result<Option<Value>, String> {
    match outcome {
        Outcome::Nothing => Ok(None),
        Outcome::Whole(number) => Ok(Some((*number).into())),
        Outcome::Number(number) => match Number::from_f64(*number) {
            Some(number) => Ok(Some(number.into())),
            None => Err(BEYOND_RANGE.to_owned()),
        },
        Outcome::Json(value) => Ok(Some(value.clone())),
        Outcome::Failed(reason) => Err(reason.clone()),
    }
}

fn qualities(plan: &AggregationPlan, statistics: &Statistics) -> BTreeMap<String, Quality> {
    let quality = |statistic: &Statistic| match statistic.kind {
        StatisticKind::Percentile(_) => {
            statistics.quality.get(statistic.value).copied().map(quality_word)
        }
        _ => None,
    };
    let named = plan.statistics().iter().filter_map(|s| Some((s.name.clone(), quality(s)?)));
    let further = statistics.further.iter();
    let further =
        further.filter_map(|named| Some((named.name.to_string(), quality_word(named.quality?))));
    named.chain(further).collect()
}

fn quality_word(quality: aggregation::Quality) -> Quality {
    match quality {
        aggregation::Quality::Exact => Quality::Exact,
        aggregation::Quality::Sketch => Quality::Sketch,
        aggregation::Quality::Collapsed => Quality::Collapsed,
    }
}

fn timing(timing: Timing) -> PaneTiming {
    match timing {
        Timing::Early => PaneTiming::Early,
        Timing::OnTime => PaneTiming::OnTime,
        Timing::Late => PaneTiming::Late,
    }
}

fn key_fields(key: &str) -> BTreeMap<String, ResultKey> {
    let typed = |part| match part {
        KeyPart::Text(text) => ResultKey::Text(text),
        KeyPart::Integer(number) => ResultKey::Integer(number),
        KeyPart::Unsigned(number) => ResultKey::Unsigned(number),
        KeyPart::Bool(value) => ResultKey::Bool(value),
    };
    let fields = GroupingKey::from_encoded(key).fields();
    fields.into_iter().map(|field| (field.name, typed(field.value))).collect()
}
