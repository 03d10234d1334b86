//! `source:`: keys that its `type` needs, and keys that belong to another type.

use super::{Checks, bounds::not_negative};
use crate::{
    resolved::{RecordFormat, Source},
    settings::{FileFormat, GeneratorConfig, SourceConfig, SourceType, StateBackendName},
    suggest::listed,
};

pub(super) fn check(checks: &mut Checks<'_>) {
    let Some(source) = &checks.config.source else { return };
    applicable(checks, source);
    if source.kind == SourceType::File && source.path.is_none() {
        let message = "a file source needs the file to read";
        checks.conflict("source.path", &["source.type"], message, "write `path: events.ndjson`");
    }
    if source.path.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
        checks.fault("source.path", "the path is empty", "write the file to read");
    }
    csv(checks, source);
    state(checks);
    intake(checks);
    if let Some(generator) = &source.generator {
        self::generator(checks, generator);
    }
}

fn applicable(checks: &mut Checks<'_>, source: &SourceConfig) {
    let written: [(&str, bool, &[&str]); 8] = [
        ("path", source.path.is_some(), &["file"]),
        ("format", source.format.is_some(), &["file", "stdin"]),
        ("follow", source.follow.is_some(), &["file"]),
        ("csv", source.csv.is_some(), &["file", "stdin"]),
        ("generator", source.generator.is_some(), &["generator"]),
        ("token", source.token.is_some(), &["http", "otlp"]),
        ("max_body_bytes", source.max_body_bytes.is_some(), &["http", "otlp"]),
        ("max_inbox_bytes", source.max_inbox_bytes.is_some(), &["http", "otlp"]),
    ];
    let kind = source.kind.name();
    for (key, _, kinds) in written.into_iter().filter(|(_, written, _)| *written) {
        if !kinds.contains(&kind) {
            does_not_apply(checks, "source", key, kind, kinds);
        }
    }
}

/// `key` of `section` is for other types than `kind`.
pub(super) fn does_not_apply(
    checks: &mut Checks<'_>,
    section: &str,
    key: &str,
    kind: &str,
    kinds: &[&str],
) {
    let type_key = format!("{section}.type");
    let default = if checks.has(&type_key) { "" } else { " (the default)" };
    checks.conflict(
        &format!("{section}.{key}"),
        &[&type_key],
        format!("`{key}` does not apply to type `{kind}`{default}"),
        &format!("it is for type {}; change `type` or remove `{key}`", listed(kinds)),
    );
}

/// A run that goes on for ever cannot read its input again; generated traffic is nobody's loss.
fn state(checks: &mut Checks<'_>) {
    let config = checks.config;
    let in_memory =
        config.state.as_ref().is_some_and(|state| state.backend == StateBackendName::Memory);
    let is_endless = matches!(
        config.source(),
        Ok(Source::File { follow: true, .. } | Source::Http(_) | Source::Otlp(_))
    );
    if in_memory && is_endless {
        checks.conflict(
            "state.backend",
            &["source.type", "source.follow"],
            "`memory` is for runs that end by themselves, and this one does not: what it read would \
             be lost",
            "write `backend: redb`",
        );
    }
}

/// What senders are told, and what of it is kept.
fn intake(checks: &mut Checks<'_>) {
    let Ok(Source::Http(intake) | Source::Otlp(intake)) = checks.config.source() else { return };
    if intake.token.as_ref().is_some_and(|token| token.reveal().trim().is_empty()) {
        let help = "write what senders shall give, or remove the key";
        checks.fault("source.token", "the token is empty", help);
    }
    if intake.max_body_bytes == 0 || intake.max_inbox_bytes == 0 {
        let key = if intake.max_body_bytes == 0 { "max_body_bytes" } else { "max_inbox_bytes" };
        checks.fault(&format!("source.{key}"), "0 must be greater than 0", "");
    } else if intake.max_body_bytes > intake.max_inbox_bytes {
        let (body, inbox) = (intake.max_body_bytes, intake.max_inbox_bytes);
        let message =
            format!("{inbox} is less than max_body_bytes {body}: a long body would never fit");
        checks.conflict("source.max_inbox_bytes", &["source.max_body_bytes"], message, "");
    }
}

fn csv(checks: &mut Checks<'_>, source: &SourceConfig) {
    let Some(csv) = &source.csv else { return };
    let format = match checks.config.source() {
        Ok(Source::File { format, .. } | Source::Stdin { format }) => Some(format),
        _ => None,
    };
    if format == Some(RecordFormat::Ndjson) {
        let message = match source.format {
            Some(FileFormat::Ndjson) => "`csv` does not apply to format `ndjson`",
            _ => "`csv` needs `format: csv`",
        };
        let others = ["source.format", "source.path"];
        checks.conflict("source.csv", &others, message, "write `format: csv` or remove `csv`");
    }
    if !csv.delimiter.is_ascii() || matches!(csv.delimiter, '"' | '\n' | '\r' | '\0') {
        let message = format!("{:?} cannot separate cells", csv.delimiter);
        let help = "use one ASCII character such as `,` or `;`, no quote and no line end";
        checks.fault("source.csv.delimiter", message, help);
    }
    for (column, field) in &csv.columns {
        if field.trim().is_empty() {
            let key = format!("source.csv.columns.{column}");
            checks.fault(&key, "the field is empty", "write the field the column becomes");
        }
    }
}

fn generator(checks: &mut Checks<'_>, generator: &GeneratorConfig) {
    for (key, ratio) in
        [("out_of_order_ratio", generator.out_of_order_ratio), ("late_ratio", generator.late_ratio)]
    {
        if !(0.0..=1.0).contains(&ratio) {
            let message = format!("{ratio} is not in 0..=1");
            checks.fault(&format!("source.generator.{key}"), message, "a share of 5 % is 0.05");
        }
    }
    let rate = generator.events_per_sec;
    if !(rate.is_finite() && rate > 0.0 && rate <= 1e9) {
        let message = format!("{rate} is not greater than 0 and at most 1e9");
        checks.fault("source.generator.events_per_sec", message, "");
    }
    if !(generator.speed.is_finite() && generator.speed >= 0.0) {
        let message = format!("{} must not be negative", generator.speed);
        let help = "1 is the pace of the clock, 0 is as fast as possible";
        checks.fault("source.generator.speed", message, help);
    }
    if generator.tenants == 0 {
        checks.fault("source.generator.tenants", "0 must be greater than 0", "");
    }
    incidents(checks, generator);
}

fn incidents(checks: &mut Checks<'_>, generator: &GeneratorConfig) {
    let (every, length) = (generator.incident_every_secs, generator.incident_secs);
    not_negative(checks, "source.generator.max_disorder_secs", generator.max_disorder_secs);
    not_negative(checks, "source.generator.incident_every_secs", every);
    not_negative(checks, "source.generator.incident_secs", length);
    if every.as_millis() > 0 && length > every {
        checks.conflict(
            "source.generator.incident_secs",
            &["source.generator.incident_every_secs"],
            format!("{length} exceeds incident_every_secs {every}"),
            "",
        );
    }
}
