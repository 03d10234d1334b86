//! Events, their times and keys, as the library's user sees them.
//!
//! Times are `chrono::DateTime<Utc>` here at the edge; inside the engine they are [`EventTime`].
//! Nothing here reads a clock.

mod event;
mod key;
pub(crate) mod time;

pub use event::{EventMetadata, EventTimestamp, ProcessorEvent};
pub use key::GroupingKey;
pub use llm_optimizer_engine::core::{EventTime, KeyField, KeyPart, KeyWriter};
