//! Where metrics and spans are sent.

use super::{Checks, bounds::positive};
use crate::settings::OtlpConfig;

pub(super) fn check(checks: &mut Checks<'_>) {
    let config = checks.config;
    let ratio = config.tracing.sample_ratio;
    if !(0.0..=1.0).contains(&ratio) {
        let help = "write a share such as 0.1: one commit of ten";
        checks.fault("tracing.sample_ratio", format!("{ratio} is not between 0 and 1"), help);
    }
    if let Some(otlp) = &config.tracing.otlp {
        receiver(checks, "tracing.otlp", otlp);
    }
    if let Some(otlp) = &config.metrics.otlp {
        receiver(checks, "metrics.otlp", otlp);
        if !config.metrics.enabled {
            let message = "there is nothing to push while metrics.enabled is false";
            checks.conflict("metrics.otlp", &["metrics.enabled"], message, "remove one of them");
        }
    }
}

fn receiver(checks: &mut Checks<'_>, key: &str, otlp: &OtlpConfig) {
    if let Some(endpoint) = &otlp.endpoint {
        let rest = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(char::is_whitespace)) {
            let message = format!("`{endpoint}` is no address of an OTLP receiver over HTTP");
            let help = "write http://host:port, such as http://127.0.0.1:4318; the paths /v1/traces and /v1/metrics are added";
            checks.fault(&format!("{key}.endpoint"), message, help);
        }
    }
    for name in otlp.headers.iter().flatten().map(|(name, _)| name) {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            let message = format!("`{name}` is no name of a header");
            checks.fault(&format!("{key}.headers"), message, "");
        }
    }
    positive(checks, &format!("{key}.timeout_secs"), otlp.timeout_secs);
}
