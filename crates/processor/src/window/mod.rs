//! Windows, as the library's user sees them: spans of time, what assigns events to them, and what
//! makes them fire early.
//!
//! A pipeline's windows are kept by the engine; see [`engine::window`](crate::engine::window).
//! [`assigner_of`] and [`trigger_of`] tell it about what is here. Assigners and triggers compute only:
//! they hold no state and read no clock. [`WindowManager`] is for users who keep values themselves.

mod assigner;
mod manager;
mod metadata;
mod session;
mod sliding;
mod spec;
mod trigger;
mod triggers;
mod tumbling;
mod types;

#[cfg(test)]
mod tests;

pub use assigner::{WindowAssigner, assigner_of};
pub use manager::WindowManager;
pub use metadata::WindowMetadata;
pub use session::SessionWindowAssigner;
pub use sliding::SlidingWindowAssigner;
pub use spec::WindowSpec;
pub use trigger::{WindowTrigger, trigger_of};
pub use triggers::{AllTrigger, AnyTrigger, CountTrigger, EventTimeTrigger, ProcessingTimeTrigger};
pub use tumbling::TumblingWindowAssigner;
pub use types::{Window, WindowType};
