//! What the processor tells observability systems by itself.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secs;
use crate::redact::redact;

/// Metrics of the processor itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Measure and export (true).
    pub enabled: bool,
    /// Distance between summary log lines, and between pushes by OTLP (60).
    pub export_interval_secs: Secs,
    /// Push them by OTLP too; none = only if the environment names a receiver (`OTEL_EXPORTER_OTLP_ENDPOINT`).
    pub otlp: Option<OtlpConfig>,
}

/// Spans of the processor itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TracingConfig {
    /// Send spans by OTLP; none = only if the environment names a receiver (`OTEL_EXPORTER_OTLP_ENDPOINT`).
    pub otlp: Option<OtlpConfig>,
    /// Share of commits that are recorded, 0 to 1 (1); recoveries, rebalances and checkpoints always are.
    pub sample_ratio: f64,
}

/// A receiver of OTLP over HTTP, in Protobuf.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpConfig {
    /// Its base, to which `/v1/traces` or `/v1/metrics` is added; none = what `OTEL_EXPORTER_OTLP_ENDPOINT` says, else
    /// `http://localhost:4318`.
    pub endpoint: Option<String>,
    /// Headers of each request; their values are secrets.
    pub headers: Option<BTreeMap<String, String>>,
    /// Time for one request (10).
    pub timeout_secs: Secs,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { enabled: true, export_interval_secs: Secs::new(60), otlp: None }
    }
}

impl Default for TracingConfig {
    fn default() -> Self {
        Self { otlp: None, sample_ratio: 1.0 }
    }
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self { endpoint: None, headers: None, timeout_secs: Secs::new(10) }
    }
}

impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers = self.headers.as_ref().map(|headers| headers.keys().collect::<Vec<_>>());
        f.debug_struct("OtlpConfig")
            .field("endpoint", &self.endpoint.as_deref().map(redact))
            .field("headers", &headers)
            .field("timeout_secs", &self.timeout_secs)
            .finish()
    }
}
