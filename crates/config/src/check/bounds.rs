//! Single numbers: what must be greater than 0, and what must not be negative.

use super::Checks;
use crate::settings::Secs;

pub(super) fn check(checks: &mut Checks<'_>) {
    counts(checks);
    spans(checks);
    pairs(checks);
    http(checks);
}

/// The numbers that each pipeline may have for itself.
pub(super) fn check_pipeline(checks: &mut Checks<'_>) {
    let limits = &checks.config.limits;
    for (key, value) in [
        ("limits.max_keys", limits.max_keys),
        ("limits.max_windows_per_key", limits.max_windows_per_key),
    ] {
        if value == 0 {
            checks.fault(key, "0 must be greater than 0", "");
        }
    }
    watermark(checks);
}

fn counts(checks: &mut Checks<'_>) {
    let config = checks.config;
    let limits = &config.limits;
    let mut zero = vec![
        ("parallelism", config.parallelism == 0),
        ("buffer_size", config.buffer_size == 0),
        ("key_groups", config.key_groups == 0),
        ("commit_interval_ms", config.commit_interval_ms == 0),
        ("max_commit_bytes", config.max_commit_bytes == 0),
        ("max_outbox_bytes", config.max_outbox_bytes == 0),
        ("limits.max_record_bytes", limits.max_record_bytes == 0),
        ("limits.memory_bytes", limits.memory_bytes == Some(0)),
        ("kafka.consumer.max_poll_records", config.kafka.consumer.max_poll_records == 0),
        ("kafka.consumer.session_timeout_ms", config.kafka.consumer.session_timeout_ms == 0),
        (
            "error_handling.initial_retry_delay_ms",
            config.error_handling.initial_retry_delay_ms == 0,
        ),
    ];
    zero.extend(
        config.state.iter().map(|state| ("state.checkpoint_retain", state.checkpoint_retain == 0)),
    );
    for (key, _) in zero.into_iter().filter(|(_, is_zero)| *is_zero) {
        checks.fault(key, "0 must be greater than 0", "");
    }
}

fn spans(checks: &mut Checks<'_>) {
    let config = checks.config;
    positive(checks, "checkpoint_interval_secs", config.checkpoint_interval_secs);
    positive(checks, "metrics.export_interval_secs", config.metrics.export_interval_secs);
    not_negative(checks, "shutdown_timeout_secs", config.shutdown_timeout_secs);
}

fn watermark(checks: &mut Checks<'_>) {
    let watermark = &checks.config.watermark;
    positive(checks, "watermark.emit_interval_secs", watermark.emit_interval_secs);
    if let Some(drift) = watermark.max_watermark_drift_secs {
        positive(checks, "watermark.max_watermark_drift_secs", drift);
    }
    let disorder = watermark.max_out_of_orderness_secs;
    not_negative(checks, "watermark.max_out_of_orderness_secs", disorder);
    not_negative(checks, "watermark.idle_timeout_secs", watermark.idle_timeout_secs);
    if let Some(skew) = watermark.max_future_skew_secs {
        not_negative(checks, "watermark.max_future_skew_secs", skew);
    }
}

fn pairs(checks: &mut Checks<'_>) {
    let config = checks.config;
    let (least, greatest) = (config.commit_min_interval_ms, config.commit_interval_ms);
    if least > greatest {
        let message = format!("{least} exceeds commit_interval_ms {greatest}");
        checks.conflict("commit_min_interval_ms", &["commit_interval_ms"], message, "");
    }
    let retry = &config.error_handling;
    let (first, longest) = (retry.initial_retry_delay_ms, retry.max_retry_delay_ms);
    if first > longest {
        checks.conflict(
            "error_handling.initial_retry_delay_ms",
            &["error_handling.max_retry_delay_ms"],
            format!("{first} exceeds max_retry_delay_ms {longest}"),
            "",
        );
    }
    if config.instance_id.as_deref().is_some_and(|id| id.trim().is_empty()) {
        checks.fault("instance_id", "the name is empty", "write a name or remove the key");
    }
}

fn http(checks: &mut Checks<'_>) {
    let Some(http) = &checks.config.http else { return };
    let port = http.bind.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
    if !matches!(port, Some((host, Ok(_))) if !host.is_empty()) {
        let message = format!("`{}` is no address to listen on", http.bind);
        checks.fault("http.bind", message, "write host:port, such as 127.0.0.1:8080");
    }
    if http.token.as_deref().is_some_and(|token| token.trim().is_empty()) {
        checks.fault(
            "http.token",
            "the token is empty",
            "write a long random text or remove the key",
        );
    }
    not_negative(checks, "http.ready_broker_timeout_secs", http.ready_broker_timeout_secs);
}

/// Notes a fault unless `secs` is greater than 0.
pub(super) fn positive(checks: &mut Checks<'_>, key: &str, secs: Secs) {
    if secs.as_millis() <= 0 {
        checks.fault(key, format!("{secs} must be greater than 0"), "");
    }
}

/// Notes a fault if `secs` is negative.
pub(super) fn not_negative(checks: &mut Checks<'_>, key: &str, secs: Secs) {
    if secs.as_millis() < 0 {
        checks.fault(key, format!("{secs} must not be negative"), "");
    }
}
