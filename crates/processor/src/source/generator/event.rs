//! A generated event and its JSON: `performance_metrics` as the Collector writes it.

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use uuid::Uuid;

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CallError {
    RateLimited,
    Timeout,
}

/// One call of a model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CallEvent {
    /// Event time in epoch milliseconds.
    pub(super) at_ms: i64,
    pub(super) id: u128,
    pub(super) request_id: u64,
    pub(super) model: &'static str,
    pub(super) service: &'static str,
    pub(super) tenant: u32,
    pub(super) latency_ms: f64,
    pub(super) first_token_ms: f64,
    pub(super) input_tokens: u32,
    pub(super) output_tokens: u32,
    /// US dollars.
    pub(super) cost: f64,
    pub(super) quality: Option<f64>,
    pub(super) error: Option<CallError>,
}

#[derive(Serialize)]
struct Wire<'a> {
    r#type: &'static str,
    id: Uuid,
    timestamp: String,
    request_id: String,
    model: &'a str,
    config_id: String,
    latency_ms: f64,
    input_tokens: u32,
    output_tokens: u32,
    cost: f64,
    quality_score: Option<f64>,
    error: Option<CallError>,
    metrics: WireMetrics<'a>,
}

#[derive(Serialize)]
struct WireMetrics<'a> {
    tenant: String,
    service: &'a str,
    time_to_first_token_ms: f64,
}

impl CallEvent {
    /// Writes the event as one line of JSON, without the newline.
    ///
    /// # Errors
    /// None that can happen: every field has a JSON form.
    pub(super) fn write_json(&self, into: &mut Vec<u8>) -> serde_json::Result<()> {
        let at = DateTime::from_timestamp_millis(self.at_ms).unwrap_or_default();
        let wire = Wire {
            r#type: "performance_metrics",
            id: uuid::Builder::from_random_bytes(self.id.to_be_bytes()).into_uuid(),
            timestamp: at.to_rfc3339_opts(SecondsFormat::Millis, true),
            request_id: format!("req-{:016x}", self.request_id),
            model: self.model,
            config_id: format!("{}-default", self.service),
            latency_ms: self.latency_ms,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cost: self.cost,
            quality_score: self.quality,
            error: self.error,
            metrics: WireMetrics {
                tenant: format!("tenant-{}", self.tenant + 1),
                service: self.service,
                time_to_first_token_ms: self.first_token_ms,
            },
        };
        serde_json::to_writer(into, &wire)
    }
}
