//! When a commit is cut, what it holds, where it goes, and what follows from its fate.
//!
//! [`CommitMachine`] and [`embedded::OutboxMachine`] are sans-I/O protocol machines: events in, commands
//! out. They know no sink, store, broker or clock; the runtime tells them what happened and carries out
//! what they say. At most one commit is in flight; processing goes on meanwhile until the next one has
//! grown to its limit. A commit that failed is appended again with the same bytes, so its number stays
//! the same. A [`CommitLog`] is where commits go.

mod content;
mod crash;
pub mod embedded;
mod fingerprint;
pub mod kafka;
mod log;
mod machine;

#[cfg(test)]
mod tests;

pub use content::{Commit, PipelineCommit, Recovered, RecoveredPipeline};
pub use crash::{CRASH_POINT_VARIABLE, CrashPoint};
pub(crate) use fingerprint::windows_text;
pub use fingerprint::{Fingerprint, FingerprintChange};
pub use log::CommitLog;
pub use machine::{CommitCommand, CommitEvent, CommitMachine, CommitNumber, CommitSettings};
