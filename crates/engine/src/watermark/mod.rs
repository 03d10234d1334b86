//! Progress of event time: a watermark per input partition, and the least of them.
//!
//! A watermark `w` says: events before `w` are believed complete. W(p) belongs to one partition, W to
//! everything those partitions feed. Neither ever goes back, and W(p) ≥ W for every partition.

mod alignment;
mod clock;
mod look;
mod tracker;

pub use alignment::Alignment;
pub use clock::PartitionClock;
pub use look::{PartitionActivity, PartitionLook};
pub use tracker::{WatermarkSettings, WatermarkStrategy, WatermarkTracker};

/// The watermark before anything is known: no event is late, no window fires.
pub const BEGINNING: i64 = i64::MIN;

/// The watermark after the end of all input: every window fires. It is never stored.
pub const END: i64 = i64::MAX;
