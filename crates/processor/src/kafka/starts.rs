//! From where partitions are read when their positions come from commits.

use std::{collections::HashMap, sync::Arc, thread, time::Duration};

use super::{
    assignment::GroupConsumer,
    cluster::{self, TopicPartition},
    desk::GroupDesk,
};
use crate::{commit::kafka::StartAt, source::StopToken};

/// How soon a broker that does not answer is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What a start needs to know.
#[derive(Debug, Default)]
pub(super) struct Starts {
    /// Where the commit side says from where to read; without it partitions begin where they were in memory.
    pub(super) desk: Option<Arc<GroupDesk>>,
    /// Where each partition begins on the group's first start.
    pub(super) configured: HashMap<TopicPartition, i64>,
    /// Ends questions that are not answered.
    pub(super) stop: StopToken,
}

/// Where a partition is to be read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// Here.
    At(i64),
    /// The log begins later.
    Gone { position: i64, log_start: i64 },
    /// Stopped before the broker answered.
    Unknown,
}

impl Starts {
    /// The offset to read first, checked against the log.
    pub(super) fn position(
        &self,
        consumer: &GroupConsumer,
        partition: &TopicPartition,
        start: StartAt,
    ) -> Position {
        let log_start = loop {
            match cluster::log_range(consumer, partition) {
                Ok(range) => break range.first,
                Err(_) if self.stop.is_stopped() => return Position::Unknown,
                Err(not_yet) => {
                    tracing::warn!(topic = %partition.0, partition = partition.1, "{}", not_yet.text);
                    thread::sleep(AGAIN_AFTER);
                }
            }
        };
        match start {
            StartAt::Offset(position) if position < log_start => {
                Position::Gone { position, log_start }
            }
            StartAt::Offset(position) => Position::At(position),
            // What was deleted before the first start was never promised.
            StartAt::Configured => Position::At(
                self.configured.get(partition).map_or(log_start, |at| (*at).max(log_start)),
            ),
            StartAt::Beginning => Position::At(log_start),
        }
    }
}
