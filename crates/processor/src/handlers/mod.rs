//! What becomes of late events and of events that fail, decided in code.
//!
//! Pipelines judge late events and count failures by themselves; these are for users who process events
//! one by one, and to say what a pipeline shall do in words of the library. A handler holds no events.

mod failure;
mod late;
#[cfg(test)]
mod tests;

#[cfg(feature = "kafka")]
pub use crate::kafka::DeadLetterSink;
pub use failure::{ErrorHandler, ErrorHandlingDecision, ErrorPolicy, FailedEvent};
pub use late::{LateEvent, LateEventDecision, LateEventHandler};
