//! Placeholder.
pub mod progress;
