//! The outbox topic without brokers: sinks that are drained into, and what is refused.

mod file;
mod table;
mod world;

use super::{cursor::SinkCursor, sink_group};
use crate::kafka::cluster::LogRange;
use world::settings;

#[test]
fn a_topic_that_was_made_anew_is_refused() {
    let settings = settings();
    let stored = Some((9, SinkCursor::new(Some(70), None).encode()));
    let wrong = settings.place("topic", LogRange { first: 0, end: 4 }, stored).unwrap_err();
    assert!(wrong.to_string().contains("somebody made the topic anew"), "{wrong}");
    let foreign = Some((2, String::from("of another program")));
    let wrong = settings.place("topic", LogRange { first: 0, end: 4 }, foreign).unwrap_err();
    assert!(wrong.to_string().contains("is not of this release"), "{wrong}");
}

/// Never change it: cursors are kept under these names.
#[test]
fn a_sink_has_a_group_of_its_own_for_ever() {
    assert_eq!(
        sink_group("stats", "results file out/results.ndjson"),
        "stats-outbox-results-file-out-results.ndjson-1072e27c"
    );
    let long = "x".repeat(300);
    let (first, second) = (format!("{long}1"), format!("{long}2"));
    assert_ne!(sink_group("g", &first), sink_group("g", &second));
    assert!(sink_group("g", &first).len() < 90);
}
