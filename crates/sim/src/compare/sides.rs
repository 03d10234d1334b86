//! Late and dead-letter records against the fates of the oracle.

use std::collections::BTreeMap;

use llm_optimizer_types::{SideKind, SideReason, SideRecord};

use super::{documents, typed};
use crate::records::{Fate, LogRecord, RecordsOutcome};

/// What of the late and dead-letter outputs, lines in any order, is not as expected.
///
/// A record is found by the partition and offset of its origin. Its kind, reason (any of those the
/// oracle gives), lateness, line and text must be right; of a record that is too large a beginning is
/// enough.
#[must_use]
pub fn compare_sides(late: &str, dead_letters: &str, expected: &RecordsOutcome) -> Vec<String> {
    let mut differences = Vec::new();
    let mut missing = BTreeMap::new();
    for (partition, (log, fates)) in expected.logs.iter().zip(&expected.fates).enumerate() {
        for (record, fate) in log.iter().zip(fates) {
            if *fate != Fate::Accepted {
                missing.insert((partition, record.offset), (record, fate));
            }
        }
    }
    for (text, what, kind) in
        [(late, "late", SideKind::Late), (dead_letters, "dead letters", SideKind::DeadLetter)]
    {
        let lines = documents(text, what, &mut differences);
        for side in typed::<SideRecord>(lines, what, &mut differences) {
            let partition = usize::try_from(side.origin.partition).unwrap_or(usize::MAX);
            let place = format!("{what}: record {partition}/{}", side.origin.offset);
            match missing.remove(&(partition, side.origin.offset)) {
                None => differences.push(format!("{place} is unexpected or twice: {side:?}")),
                Some((record, fate)) => differences.extend(
                    faults(&side, kind, record, fate).into_iter().map(|f| format!("{place}: {f}")),
                ),
            }
        }
    }
    let missing = missing.into_iter().map(|((partition, offset), (record, fate))| {
        let text = String::from_utf8_lossy(&record.bytes).chars().take(200).collect::<String>();
        format!("missing: record {partition}/{offset} {fate:?}: {text}")
    });
    differences.extend(missing);
    differences
}

fn faults(side: &SideRecord, kind: SideKind, record: &LogRecord, fate: &Fate) -> Vec<String> {
    let mut faults = Vec::new();
    let (expected_kind, reason_fits, lateness_ms) = match fate {
        Fate::Late { lateness_ms } => {
            (SideKind::Late, side.reason == SideReason::TooLate, Some(*lateness_ms))
        }
        Fate::DeadLetter { reasons } => {
            (SideKind::DeadLetter, reasons.contains(&side.reason), None)
        }
        Fate::Accepted => (kind, false, None),
    };
    if side.kind != kind || kind != expected_kind || !reason_fits {
        faults.push(format!("is {:?} {}, expected {fate:?}", side.kind, side.reason.as_str()));
    }
    if side.lateness_ms != lateness_ms {
        faults.push(format!("lateness_ms is {:?}, expected {lateness_ms:?}", side.lateness_ms));
    }
    if side.origin.line != record.line {
        faults.push(format!("line is {:?}, expected {:?}", side.origin.line, record.line));
    }
    let cut = side.reason == SideReason::RecordTooLarge;
    let right = match (std::str::from_utf8(&record.bytes), &side.record, &side.record_base64) {
        (Ok(text), Some(found), None) if cut => text.starts_with(found.as_str()),
        (Ok(text), Some(found), None) => {
            found.trim_end_matches('\r') == text.trim_end_matches('\r')
        }
        // The cut may go through a character.
        (Ok(_), None, Some(_)) => cut,
        (Err(_), None, Some(found)) => cut || is_base64_of(found, &record.bytes),
        _ => false,
    };
    if !right {
        faults.push("has not the record's bytes".to_owned());
    }
    faults
}

/// Whether `text` is standard base64 of `bytes`, with padding.
fn is_base64_of(text: &str, bytes: &[u8]) -> bool {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut expected = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            let digit = DIGITS.get(index as usize).filter(|_| digit <= three.len());
            expected.push(digit.map_or('=', |digit| char::from(*digit)));
        }
    }
    text == expected
}
