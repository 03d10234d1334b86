//! Spans, sizes and counts as people say them.

/// `90 s`, `5 min`, `1 h 30 min`, `250 ms`.
pub(super) fn span(millis: i64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    let (mut rest, mut words) = (millis.max(0), Vec::new());
    for (unit_ms, name) in units {
        let count = rest / unit_ms;
        if count > 0 {
            words.push(format!("{count} {name}"));
            rest -= count * unit_ms;
        }
    }
    if words.is_empty() { "0 s".into() } else { words.join(" ") }
}

/// `1.5 MiB`.
pub(super) fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// `4,000,000`.
pub(super) fn count(count: u64) -> String {
    indicatif::HumanCount(count).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_the_units_they_have() {
        for (millis, words) in [
            (0, "0 s"),
            (250, "250 ms"),
            (90_000, "1 min 30 s"),
            (300_000, "5 min"),
            (90_061_001, "1 d 1 h 1 min 1 s 1 ms"),
        ] {
            assert_eq!(span(millis), words);
        }
    }
}
