//! What a commit holds, and what is read back of it.

use std::sync::Arc;

use llm_optimizer_engine::state::{PartitionProgress, StateChanges, TaskProgress};

use crate::{
    record::{PartitionKey, Position},
    runtime::Counters,
    sink::Output,
};

/// A consistent cut of a run: everything of the batches that were processed, nothing of later ones.
///
/// It is frozen when it is cut. A retry appends the same commit.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Number of the commit over all runs of a state, from 1.
    pub sequence: u64,
    /// The next position of every partition that was ever read.
    pub positions: Vec<(PartitionKey, Position)>,
    /// What each pipeline adds.
    pub pipelines: Vec<PipelineCommit>,
}

/// The part of one pipeline in a commit.
#[derive(Debug, Clone, Default)]
pub struct PipelineCommit {
    /// Name of the pipeline.
    pub name: String,
    /// W and what belongs to it.
    pub progress: TaskProgress,
    /// W(p) and what belongs to it, for every partition that was ever read.
    pub partitions: Vec<(PartitionKey, PartitionProgress)>,
    /// Rows of state that changed; empty if the log keeps none.
    pub changes: StateChanges,
    /// Results, late events, dead letters.
    pub output: Arc<Output>,
    /// What became of every record since the state began.
    pub counters: Counters,
}

impl Commit {
    /// Whether there is something to deliver.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.pipelines.iter().any(|pipeline| !pipeline.output.is_empty())
    }

    /// The outputs in the order of the pipelines.
    #[must_use]
    pub fn outputs(&self) -> Vec<Arc<Output>> {
        self.pipelines.iter().map(|pipeline| Arc::clone(&pipeline.output)).collect()
    }
}

/// What the newest commit left.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// Its number.
    pub sequence: u64,
    /// Where to go on reading.
    pub positions: Vec<(PartitionKey, Position)>,
    /// What each pipeline goes on from.
    pub pipelines: Vec<RecoveredPipeline>,
}

/// What one pipeline goes on from.
#[derive(Debug, Clone, Default)]
pub struct RecoveredPipeline {
    /// Name of the pipeline.
    pub name: String,
    /// W and what belongs to it.
    pub progress: TaskProgress,
    /// W(p) and what belongs to it.
    pub partitions: Vec<(PartitionKey, PartitionProgress)>,
    /// All rows of state.
    pub rows: StateChanges,
    /// What became of every record so far.
    pub counters: Counters,
}
