//! When a commit is cut, and what follows from its fate: a sans-I/O protocol machine.
//!
//! Events in, commands out. The machine knows no sink, store, broker or clock; the runtime tells it
//! what happened and carries out what it says. At most one commit is in flight; processing goes on
//! meanwhile until the next one has grown to its limit. A commit that failed is delivered again with
//! the same bytes, so its number stays the same.

pub mod kafka;
mod machine;

#[cfg(test)]
mod tests;

pub use machine::{CommitCommand, CommitEvent, CommitMachine, CommitNumber, CommitSettings};
