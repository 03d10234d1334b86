//! Time, keys and batches of events.

mod batch;
mod key;
mod time;

pub use batch::{BatchRow, EventBatch, PartitionId};
pub use key::{GroupingKey, KeyField, KeyPart, KeyWriter};
pub use time::{EventTime, TimeOutOfRange};
