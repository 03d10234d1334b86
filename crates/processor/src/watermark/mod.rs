//! How event time progresses, as the library's user sees it.
//!
//! A [`Watermark`] says up to when events are believed complete; a [`WatermarkGenerator`] makes it of
//! the times of events and never lets it go back. The engine keeps the watermarks of pipelines itself,
//! one per input partition; see [`engine::watermark`](crate::engine::watermark).

mod alignment;
mod ascending;
mod bounded;
mod generator;
mod per_key;
mod periodic;
mod punctuated;

#[cfg(test)]
mod tests;

pub use alignment::{ceil_to, floor_to, next_boundary};
pub use ascending::AscendingWatermark;
pub use bounded::BoundedOutOfOrdernessWatermark;
pub use generator::{NativeWatermarks, Watermark, WatermarkGenerator};
pub use per_key::PerKeyWatermark;
pub use periodic::PeriodicWatermarkGenerator;
pub use punctuated::PunctuatedWatermark;
