//! The engine: events, watermarks and ticks in; window results out.
//!
//! A pure, synchronous state machine. It knows no clock, no I/O, no thread, no randomness: what it
//! does is a function of what it was given, so every run can be replayed.

pub mod aggregation;
pub mod core;
pub mod state;
pub mod task;
pub mod watermark;
pub mod window;
