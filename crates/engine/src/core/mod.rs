//! Time, keys and batches of events.

mod batch;
mod features;
mod identity;
mod items;
mod key;
mod registry;
mod time;

pub use batch::{BatchRow, EventBatch, PartitionId};
pub use features::{FeatureColumns, FeatureRow, FeatureShape, MAX_CONDITIONS};
pub use identity::window_id;
pub use items::{EncodedItem, Item, MAX_ITEM_BYTES, item_value};
pub use key::{GroupingKey, KeyField, KeyPart, KeyWriter};
pub use registry::{KeyId, KeyRegistry, OVERFLOW_FIELD};
pub use time::{EventTime, Rfc3339Millis, TimeOutOfRange};
