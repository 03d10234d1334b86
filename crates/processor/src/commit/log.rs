//! Where commits go.

use std::sync::Arc;

use super::{Commit, Recovered};
use crate::error::ProcessorResult;

/// Makes commits durable, each in one step, and hands their output on.
///
/// | call | afterwards |
/// | --- | --- |
/// | `recover()` | what the newest appended commit left; `None` if nothing was ever appended. Asked before the first `append`, and again when a source is granted partitions whose state lies with the log |
/// | `append(&commit)` returned `Ok` | all of `commit` survives what the log is meant to survive, and readers see all of it, in time |
/// | `append(&commit)` returned `Err` | nothing of it is taken for committed; it is appended again, the same, or the run ends |
/// | `check()` returned `Err` | what was appended cannot be handed on; the run ends |
/// | `close()` returned `Ok` | everything that was appended has reached its sinks, and they are synced |
///
/// `append` is called with commits in order, one at a time. Dropping the log without `close` loses
/// nothing that was appended, if it keeps state.
pub trait CommitLog: Send {
    /// Whether commits shall hold positions and changes of state.
    fn keeps_state(&self) -> bool;

    /// What the newest commit left.
    ///
    /// # Errors
    /// If it is damaged or cannot be read; never an empty state in its place.
    fn recover(&mut self) -> ProcessorResult<Option<Recovered>>;

    /// Makes `commit` durable.
    ///
    /// # Errors
    /// What a retry may heal; the runtime retries with growing pauses unless
    /// [`is_final`](crate::ProcessorError::is_final).
    fn append(&mut self, commit: &Arc<Commit>) -> ProcessorResult<()>;

    /// Looks whether handing on still works; asked now and then while nothing is appended.
    ///
    /// # Errors
    /// Why it does not.
    fn check(&mut self) -> ProcessorResult<()> {
        Ok(())
    }

    /// Hands on what waits, and closes the sinks.
    ///
    /// # Errors
    /// If something that was appended could not be handed on.
    fn close(&mut self) -> ProcessorResult<()>;
}
