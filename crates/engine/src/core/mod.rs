//! Time, keys and batches of events.

mod batch;
mod identity;
mod key;
mod registry;
mod time;

pub use batch::{BatchRow, EventBatch, PartitionId};
pub use identity::window_id;
pub use key::{GroupingKey, KeyField, KeyPart, KeyWriter};
pub use registry::{KeyId, KeyRegistry, OVERFLOW_FIELD};
pub use time::{EventTime, Rfc3339Millis, TimeOutOfRange};
