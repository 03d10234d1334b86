//! How far a sink is, as metadata beside the offset that its group commits.
//!
//! `{"version":1,"total":1005,"mark":{"length":4711,"device":65024,"inode":917513}}`: readable with Kafka's own tools, and well
//! below the 4,096 bytes that brokers take.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::sink::SinkMark;

const VERSION: u32 = 1;

/// What a sink's group commits with each offset: written after the sink was synced, never before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SinkCursor {
    version: u32,
    /// Bytes of all rows of the topic up to the offset; `None`: the sink was new and has got none yet.
    pub(super) total: Option<u64>,
    /// Where the sink stood, if it can go back there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mark: Option<SinkMark>,
    /// Which history the offsets are of, for a sink that keeps its cursor itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lineage: Option<Uuid>,
}

impl SinkCursor {
    pub(super) fn new(total: Option<u64>, mark: Option<SinkMark>) -> Self {
        Self { version: VERSION, total, mark, lineage: None }
    }

    /// The same, of a history.
    pub(super) fn of(self, lineage: Option<Uuid>) -> Self {
        Self { lineage, ..self }
    }

    /// The text that is committed.
    pub(super) fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What such a text says; `None`: it is not of this program, or of a later release.
    pub(super) fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|cursor: &Self| cursor.version == VERSION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never change it: it is beside the offsets of users' groups.
    #[test]
    fn the_golden_cursor_of_version_1_is_read_for_ever() {
        let mark = SinkMark { length: 4_711, device: 65_024, inode: 917_513 };
        let cursor = SinkCursor::new(Some(1_005), Some(mark));
        let golden =
            r#"{"version":1,"total":1005,"mark":{"length":4711,"device":65024,"inode":917513}}"#;
        assert_eq!(cursor.encode(), golden);
        assert_eq!(SinkCursor::decode(golden), Some(cursor));
        let new = SinkCursor::new(None, None);
        assert_eq!(SinkCursor::decode(&new.encode()), Some(new));
        let lineage = Some(Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef));
        let of_a_table = SinkCursor { lineage, ..SinkCursor::new(Some(7), None) };
        let golden = r#"{"version":1,"total":7,"lineage":"01234567-89ab-4def-8123-456789abcdef"}"#;
        assert_eq!(of_a_table.encode(), golden);
        assert_eq!(SinkCursor::decode(golden), Some(of_a_table));
    }

    #[test]
    fn what_others_committed_is_no_cursor() {
        for text in ["", "{}", "NULL", r#"{"version":2,"total":1}"#] {
            assert_eq!(SinkCursor::decode(text), None, "{text}");
        }
    }
}
