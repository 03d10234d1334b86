//! Where in an outbox deliveries stand, for sinks that are durable only once they were synced.

use std::sync::Arc;

/// Names an outbox that feeds a sink.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedKey {
    /// Unlike that of every other outbox that may feed the same sink: the instance that has a local
    /// store, or a topic.
    pub name: Arc<str>,
    /// Partition of the topic; 0 for a local store.
    pub partition: i32,
}

/// An outbox that feeds a sink from now on.
///
/// Its deliveries have numbers that rise, but need not be without gaps. They begin at 1: of a local
/// store they are those of commits, of a topic the offset plus one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// Which one.
    pub key: FeedKey,
    /// Which history the numbers are of: another one as soon as the state behind the outbox was set
    /// back, because then a number may come again with other content.
    pub lineage: String,
    /// The sink has everything up to and with this number, as far as the outbox knows.
    pub delivered: u64,
    /// The newest number there is in this history; `None` if that is not known.
    pub newest: Option<u64>,
}
