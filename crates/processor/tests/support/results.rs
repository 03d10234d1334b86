//! Results that no run has computed, for tests of what becomes of results.

use std::collections::BTreeMap;

use llm_optimizer_processor::types::{Pane, PaneTiming, ResultRecord, ResultWindow};

/// The first result of one minute for a key, without statistics.
pub(crate) fn record(key: &str) -> ResultRecord {
    ResultRecord {
        schema_version: 1,
        pipeline: "default".into(),
        window: ResultWindow {
            start: "2026-03-01T08:00:00.000Z".into(),
            end: "2026-03-01T08:01:00.000Z".into(),
            key: key.into(),
        },
        key_fields: BTreeMap::new(),
        results: BTreeMap::new(),
        pane: Pane { revision: 0, timing: PaneTiming::OnTime },
        window_id: "00".into(),
        result_id: "00-0".into(),
        timestamp: "2026-03-01T08:01:05.001Z".into(),
        supersedes: Vec::new(),
        quality: BTreeMap::new(),
        errors: BTreeMap::new(),
    }
}
