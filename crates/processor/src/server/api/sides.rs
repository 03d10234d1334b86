//! Late events and dead letters: how many, and some of the newest.
//!
//! A record as it was sent may hold what nobody else should see, so a sample has it only for those who may tap such records.
//! Everybody is told how many there are, why, and where they lie.

use std::collections::{BTreeMap, VecDeque};

use axum::{Json, extract::State, http::HeaderMap};
use llm_optimizer_types::SideRecord;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Api, guard::hides_payload};

/// A ledger of records that are in no result.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ledger {
    /// How many there are, by pipeline and reason.
    counts: BTreeMap<String, BTreeMap<String, u64>>,
    /// Some of the newest, at most 100: up to four of each batch, the newest last. Those of this answer have no `record` and no
    /// `record_base64`, and `"…"` for what `detail` quotes of it, where `hidden` says why.
    #[schema(value_type = Vec<Object>)]
    samples: Vec<Value>,
    /// Why the samples go without their records, and what to do; absent where they have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden: Option<String>,
}

impl Ledger {
    fn new(
        counts: BTreeMap<String, BTreeMap<String, u64>>,
        samples: &VecDeque<SideRecord>,
        hidden: Option<String>,
    ) -> Self {
        let shown = |sample: &SideRecord| match &hidden {
            Some(_) => serde_json::to_value(without_record(sample)),
            None => serde_json::to_value(sample),
        };
        let samples = samples.iter().filter_map(|sample| shown(sample).ok()).collect();
        Self { counts, samples, hidden }
    }
}

/// Events too late for every window. Samples have their records for requests with `Authorization: Bearer <http.token>`; without
/// a configured token, where only this machine reaches the server.
#[utoipa::path(get, path = "/api/v1/late", tag = "ledgers", responses((status = 200, body = Ledger)))]
pub(super) async fn late(State(api): State<Api>, headers: HeaderMap) -> Json<Ledger> {
    let view = api.telemetry().view.load();
    let too_late = |count| BTreeMap::from([("too_late".to_owned(), count)]);
    let counts =
        view.pipelines.iter().map(|p| (p.name.clone(), too_late(p.late_dropped))).collect();
    let hidden = hides_payload(&api, &headers);
    Json(Ledger::new(counts, &api.telemetry().samples().late, hidden))
}

/// Records that cannot be used. Samples have them for requests with `Authorization: Bearer <http.token>`; without a configured
/// token, where only this machine reaches the server.
#[utoipa::path(get, path = "/api/v1/dead-letters", tag = "ledgers", responses((status = 200, body = Ledger)))]
pub(super) async fn dead_letters(State(api): State<Api>, headers: HeaderMap) -> Json<Ledger> {
    let view = api.telemetry().view.load();
    let counts = view.pipelines.iter().map(|p| (p.name.clone(), p.dead_letters.clone())).collect();
    let hidden = hides_payload(&api, &headers);
    Json(Ledger::new(counts, &api.telemetry().samples().dead_letters, hidden))
}

fn without_record(sample: &SideRecord) -> SideRecord {
    SideRecord {
        schema_version: sample.schema_version,
        kind: sample.kind,
        reason: sample.reason,
        detail: without_quotation(&sample.detail),
        record: None,
        record_base64: None,
        origin: sample.origin.clone(),
        lateness_ms: sample.lateness_ms,
        pipeline: sample.pipeline.clone(),
    }
}

/// The sentence with `"…"` for all between its first and its last quotation mark: that is of the record.
fn without_quotation(detail: &str) -> String {
    match (detail.find('"'), detail.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            let (before, _) = detail.split_at(first);
            let (_, after) = detail.split_at(last + 1);
            format!("{before}\"…\"{}", after.trim_start_matches('…'))
        }
        _ => detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_detail_quotes_of_a_record_goes_with_it() {
        for (detail, hidden) in [
            ("field at is missing", "field at is missing"),
            (
                r#"field at is "me@x.org", RFC 3339 is needed"#,
                r#"field at is "…", RFC 3339 is needed"#,
            ),
            (
                r#"field v is "a \"b\" c"…, a finite number is needed"#,
                r#"field v is "…", a finite number is needed"#,
            ),
            (r#"a lone " stays"#, r#"a lone " stays"#),
        ] {
            assert_eq!(without_quotation(detail), hidden);
        }
    }
}
