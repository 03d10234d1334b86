//! How far a sink is in each of its topics, and what one that keeps its cursor itself is told of them.
//!
//! A delivery's number is the offset behind its row, so it rises and is the same for whoever reads it. It means something only
//! within one *lineage*, which the sink's group keeps beside the offset:
//!
//! | what happened | lineage | so the sink |
//! | --- | --- | --- |
//! | a restart, another instance takes over | the same | leaves out what it has |
//! | the group was deleted, or the topic made anew | another one: offsets may come again with other rows | begins where the group begins |
//! | the state began afresh (`--new-state`) | another one from the first row of that state on: revisions count from 0 again | lets the new results take the place of the old ones |
//!
//! A lineage is stored before the first row of it is delivered.

use uuid::Uuid;

use super::{cursor::SinkCursor, reader::Place};
use crate::sink::{Feed, FeedKey, SinkMark};

/// How far a sink is in one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passage {
    /// The next offset it needs.
    pub(super) next: i64,
    /// Bytes of all rows up to there; `None`: it has got none yet.
    pub(super) total: Option<u64>,
    /// Which history the offsets are of, for a sink that keeps its cursor itself.
    pub(super) lineage: Option<Uuid>,
}

impl Passage {
    /// From where its group stands; a sink that `keeps_cursor` gets a lineage if it has none.
    pub(super) fn of(place: &Place, keeps_cursor: bool) -> Self {
        let lineage = place.cursor.and_then(|cursor| cursor.lineage);
        Self {
            next: place.next,
            total: place.cursor.and_then(|cursor| cursor.total),
            lineage: keeps_cursor.then(|| lineage.unwrap_or_else(Uuid::new_v4)),
        }
    }

    /// The same, as the first row of a state that began afresh is next.
    pub(super) fn begun_afresh(self) -> Self {
        Self { total: Some(0), lineage: self.lineage.map(|_| Uuid::new_v4()), ..self }
    }

    /// What the sink's group commits.
    pub(super) fn cursor(&self, mark: Option<SinkMark>) -> SinkCursor {
        SinkCursor::new(self.total, mark).of(self.lineage)
    }
}

/// Whether the group does not say yet what it has to say before the first delivery.
pub(super) fn says_too_little(place: &Place, keeps_cursor: bool) -> bool {
    place.cursor.is_none_or(|cursor| keeps_cursor && cursor.lineage.is_none())
}

/// What a sink is told of its topics.
pub(super) fn feeds(topics: &[String], passages: &[Passage]) -> Vec<Feed> {
    let feed = |(topic, passage): (&String, &Passage)| Feed {
        key: FeedKey { name: topic.as_str().into(), partition: super::reader::PARTITION },
        lineage: passage.lineage.map(|lineage| lineage.to_string()).unwrap_or_default(),
        delivered: number(passage.next),
        newest: None,
    };
    topics.iter().zip(passages).map(feed).collect()
}

/// The number of the row in front of offset `next`.
pub(super) fn number(next: i64) -> u64 {
    u64::try_from(next).unwrap_or_default()
}
