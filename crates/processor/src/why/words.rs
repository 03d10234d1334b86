//! Durations, sizes and names for people.

use llm_optimizer_engine::core::Rfc3339Millis;

use crate::runtime::PartitionView;

/// `850 ms`, `4.2 s`, `3 min 5 s`, `2 h 7 min`, `5 d 3 h`.
pub(crate) fn duration(ms: i64) -> String {
    let sign = if ms < 0 { "−" } else { "" };
    let ms = ms.unsigned_abs();
    let secs = ms / 1_000;
    let text = match secs {
        0 => format!("{ms} ms"),
        1..60 => {
            let tenths = ms / 100;
            if tenths.is_multiple_of(10) {
                format!("{secs} s")
            } else {
                format!("{secs}.{} s", tenths % 10)
            }
        }
        60..3_600 => two(secs / 60, "min", secs % 60, "s"),
        3_600..86_400 => two(secs / 3_600, "h", secs % 3_600 / 60, "min"),
        _ => two(secs / 86_400, "d", secs % 86_400 / 3_600, "h"),
    };
    format!("{sign}{text}")
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

/// `512 B`, `4.2 KiB`, `17.0 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1_024.0;
    let mut unit = UNITS[0];
    for next in UNITS.iter().skip(1) {
        if size < 1_024.0 {
            break;
        }
        (size, unit) = (size / 1_024.0, next);
    }
    format!("{size:.1} {unit}")
}

/// `7`, `1,204`, `3,500,000`.
pub(crate) fn count(number: impl Into<i128>) -> String {
    let number: i128 = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("−{text}") } else { text }
}

/// An instant, RFC 3339.
pub(crate) fn instant(ms: i64) -> String {
    Rfc3339Millis(ms).to_string()
}

/// `partition 3 of topic events`, `file a.ndjson`, `the generator`.
pub(crate) fn partition(partition: &PartitionView) -> String {
    match partition.source.as_str() {
        "kafka" => format!("partition {} of topic {}", partition.partition, partition.name),
        "file" => format!("file {}", partition.name),
        "stdin" => "standard input".into(),
        "generator" => "the generator".into(),
        "http" | "otlp" => format!("the {} intake", partition.source),
        _ => format!("source {}", partition.name),
    }
}

/// `events/3`, a path, or the kind of source.
pub(crate) fn partition_id(partition: &PartitionView) -> String {
    match partition.source.as_str() {
        "kafka" => format!("{}/{}", partition.name, partition.partition),
        _ if partition.name.is_empty() => partition.source.clone(),
        _ => partition.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        let said = [850, 4_200, 61_000, 7_620_000, 442_800_000, -1_500].map(duration);
        assert_eq!(said, ["850 ms", "4.2 s", "1 min 1 s", "2 h 7 min", "5 d 3 h", "−1.5 s"]);
    }

    #[test]
    fn sizes_and_counts_are_easy_to_read() {
        assert_eq!([512, 4_301, 17 << 20].map(bytes), ["512 B", "4.2 KiB", "17.0 MiB"]);
        assert_eq!([7, 1_204, -3_500_000].map(|n: i64| count(n)), ["7", "1,204", "−3,500,000"]);
    }
}
