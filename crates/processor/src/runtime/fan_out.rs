//! What became of records that are several events.
//!
//! The engine judges event by event; what is counted is records.

use std::collections::BTreeMap;

use llm_optimizer_engine::{
    core::EventBatch,
    task::{LateEvent, TaskOutput},
};

/// What became of the events of one record.
#[derive(Default)]
struct Fate {
    events: u64,
    late: u64,
    over_limit: u64,
    /// How late the least late of them is.
    lateness_ms: Option<i64>,
}

/// Records whose events did not all get into a window, while some did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct InPart {
    /// One per record with late events, and how many of how many they are.
    pub(super) late: Vec<(LateEvent, u64, u64)>,
    /// Records with events that would open too many windows.
    pub(super) over_limit: Vec<u32>,
}

/// Turns what `fired` says about events into what is true of their records: accepted if one of the
/// events is in a window, else over the limit if one of them is, else late. What accepted records
/// lost is given back.
pub(super) fn by_record(events: &EventBatch, fired: &mut TaskOutput) -> InPart {
    let mut fates: BTreeMap<u32, Fate> = BTreeMap::new();
    for row in events.rows().iter().filter(|row| row.key.is_some()) {
        fates.entry(row.record).or_default().events += 1;
    }
    for late in fired.late.drain(..) {
        let fate = fates.entry(late.record).or_default();
        fate.late += 1;
        let least = fate.lateness_ms.map_or(late.lateness_ms, |ms| ms.min(late.lateness_ms));
        fate.lateness_ms = Some(least);
    }
    for record in fired.over_limit.drain(..) {
        fates.entry(record).or_default().over_limit += 1;
    }
    fired.accepted = 0;
    let mut in_part = InPart::default();
    for (record, fate) in fates {
        let late = fate.lateness_ms.map(|lateness_ms| LateEvent { record, lateness_ms });
        if fate.events > fate.late + fate.over_limit {
            fired.accepted += 1;
            in_part.late.extend(late.map(|late| (late, fate.late, fate.events)));
            in_part.over_limit.extend((fate.over_limit > 0).then_some(record));
        } else if fate.over_limit > 0 {
            fired.over_limit.push(record);
        } else {
            fired.late.extend(late);
        }
    }
    in_part
}

#[cfg(test)]
mod tests {
    use llm_optimizer_engine::core::EventTime;

    use super::*;

    /// Records 0, 1, … with this many events each.
    fn batch(events: &[u32]) -> EventBatch {
        let mut batch = EventBatch::new(0);
        let at = EventTime::new(0).unwrap();
        for (record, count) in (0..).zip(events) {
            (0..*count).for_each(|_| batch.push(record, at, "", &[]));
            batch.push_time_only(record, at);
        }
        batch
    }

    fn late(record: u32, lateness_ms: i64) -> LateEvent {
        LateEvent { record, lateness_ms }
    }

    #[test]
    fn record_is_accepted_if_one_of_its_events_is_and_late_if_all_are() {
        let mut fired = TaskOutput {
            late: vec![late(1, 7), late(1, 5), late(2, 3), late(3, 9), late(3, 8)],
            over_limit: vec![2, 4, 5],
            accepted: 5,
            ..TaskOutput::default()
        };
        let in_part = by_record(&batch(&[2, 2, 2, 3, 2, 1]), &mut fired);
        assert_eq!(fired.accepted, 3, "0, 3 and 4");
        assert_eq!(fired.late, [late(1, 5)]);
        assert_eq!(fired.over_limit, [2, 5]);
        let expected = InPart { late: vec![(late(3, 8), 2, 3)], over_limit: vec![4] };
        assert_eq!(in_part, expected);
    }
}
