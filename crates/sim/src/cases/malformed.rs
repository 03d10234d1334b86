//! Records that no reader may stumble over, each with what is wrong with it.
//!
//! They are malformed for time path `timestamp` without a unit, key paths `service`, `model` and
//! value path `metrics.latency_ms`.

use llm_optimizer_types::SideReason;

/// A record and the reason for which it is a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Its bytes, without a newline.
    pub bytes: Vec<u8>,
    /// What is wrong with it; nothing else is.
    pub reason: SideReason,
}

const AT: &str = r#""timestamp":"2026-03-01T08:00:00Z""#;
const KEY: &str = r#""service":"chat","model":"gpt-4o""#;
const VALUE: &str = r#""metrics":{"latency_ms":12.5}"#;

/// One record of every kind of fault; the last is larger than `max_record_bytes`.
#[must_use]
pub fn malformed_records(max_record_bytes: usize) -> Vec<Malformed> {
    use SideReason as R;
    let mut all = Vec::new();
    let mut add = |bytes: Vec<u8>, reason| all.push(Malformed { bytes, reason });
    for text in
        ["{", "not json", " ", "\t \r", "[]", "42", "null", "\"text\"", "{}{}", "{\"a\":1}}"]
    {
        add(text.into(), R::InvalidJson);
    }
    add(format!("{{{AT},{KEY},\"metrics\":{{\"latency_ms\":NaN}}}}").into(), R::InvalidJson);
    add(format!("{{{AT},{KEY},\"metrics\":{{\"latency_ms\":12.5}}").into(), R::InvalidJson);
    add(format!("{{{AT},{KEY},{VALUE},}}").into(), R::InvalidJson);
    add(format!("{{{AT},{KEY},{VALUE},'a':1}}").into(), R::InvalidJson);
    add(not_utf8(), R::InvalidJson);
    let part = |at: &str, key: &str, value: &str| {
        let parts: Vec<_> = [at, key, value].into_iter().filter(|part| !part.is_empty()).collect();
        format!("{{{}}}", parts.join(",")).into_bytes()
    };
    for at in ["", r#""timestamp":null"#, r#""Timestamp":"2026-03-01T08:00:00Z""#] {
        add(part(at, KEY, VALUE), R::MissingField);
    }
    for key in ["", r#""service":"chat""#, r#""model":"gpt-4o""#] {
        add(part(AT, key, VALUE), R::MissingField);
    }
    for value in [
        "",
        r#""metrics":null"#,
        r#""metrics":{}"#,
        r#""metrics":7"#,
        r#""metrics":[{"latency_ms":1}]"#,
        r#""metrics":{"latency_ms":null}"#,
        r#""metrics.latency_ms":12.5"#,
    ] {
        add(part(AT, KEY, value), R::MissingField);
    }
    for at in [
        "\"yesterday\"",
        "\"\"",
        "\"2026-03-01\"",
        "\"2026-02-30T08:00:00Z\"",
        "\"2026-03-01T24:00:00Z\"",
        "\"2026-03-01T08:00:00.1234567890Z\"",
        "\"2026-03-01T08:00:00.Z\"",
        "\"2026-03-01T08:00Z\"",
        "1772352000000",
        "\"1772352000000\"",
        "true",
        "{}",
        "[]",
    ] {
        add(part(&format!("\"timestamp\":{at}"), KEY, VALUE), R::InvalidTimestamp);
    }
    for value in ["\"12.5\"", "\"\"", "true", "[1]", "{}", "1e999", "-1e999"] {
        let value = format!("\"metrics\":{{\"latency_ms\":{value}}}");
        add(part(AT, KEY, &value), R::InvalidValue);
    }
    for key in ["null", "1.5", "{}", "[\"a\"]", "1e3"] {
        add(part(AT, &format!("\"service\":\"chat\",\"model\":{key}"), VALUE), R::InvalidKey);
        add(part(AT, &format!("\"service\":{key},\"model\":\"m\""), VALUE), R::InvalidKey);
    }
    let filler = "x".repeat(max_record_bytes);
    add(part(AT, KEY, &format!("{VALUE},\"filler\":\"{filler}\"")), R::RecordTooLarge);
    all
}

fn not_utf8() -> Vec<u8> {
    let mut bytes = format!("{{{AT},\"service\":\"").into_bytes();
    bytes.extend([0xff, 0xfe]);
    bytes.extend(format!("\",\"model\":\"m\",{VALUE}}}").into_bytes());
    bytes
}
