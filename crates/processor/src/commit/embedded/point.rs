//! What a commit leaves but for its rows: positions, watermarks, counters, as JSON.

use llm_optimizer_engine::state::{PartitionProgress, TaskProgress};
use serde::{Deserialize, Serialize};

use crate::{
    commit::Commit,
    error::{ProcessorError, ProcessorResult},
    record::{PartitionKey, Position},
    runtime::Counters,
};

const VERSION: u32 = 1;

/// The newest commit but for its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitPoint {
    /// Version of this format.
    pub version: u32,
    /// Number of the commit over all runs of the state.
    pub sequence: u64,
    /// Where reading goes on.
    pub positions: Vec<PartitionPosition>,
    /// Progress of each pipeline.
    pub pipelines: Vec<PipelinePoint>,
}

/// Where reading of one partition goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartitionPosition {
    /// The partition.
    pub partition: PartitionKey,
    /// The next position to read.
    pub position: Position,
}

/// Progress of one pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelinePoint {
    /// Name of the pipeline.
    pub name: String,
    /// W and what belongs to it.
    pub progress: TaskProgress,
    /// W(p) and what belongs to it.
    pub partitions: Vec<PartitionPoint>,
    /// What became of every record so far.
    pub counters: Counters,
}

/// Progress of one partition in one pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartitionPoint {
    /// The partition.
    pub partition: PartitionKey,
    /// Its watermark and what belongs to it.
    pub progress: PartitionProgress,
}

/// What every version of the format has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl CommitPoint {
    /// A point of this version.
    #[cfg(feature = "kafka")]
    pub(crate) fn new(
        sequence: u64,
        positions: Vec<PartitionPosition>,
        pipelines: Vec<PipelinePoint>,
    ) -> Self {
        Self { version: VERSION, sequence, positions, pipelines }
    }

    /// What `commit` leaves.
    pub(super) fn of(commit: &Commit) -> Self {
        let pipelines = commit.pipelines.iter().map(|pipeline| PipelinePoint {
            name: pipeline.name.clone(),
            progress: pipeline.progress,
            partitions: pipeline
                .partitions
                .iter()
                .map(|(partition, progress)| PartitionPoint {
                    partition: partition.clone(),
                    progress: *progress,
                })
                .collect(),
            counters: pipeline.counters.clone(),
        });
        let positions = commit.positions.iter().map(|(partition, position)| PartitionPosition {
            partition: partition.clone(),
            position: *position,
        });
        Self {
            version: VERSION,
            sequence: commit.sequence,
            positions: positions.collect(),
            pipelines: pipelines.collect(),
        }
    }

    /// Where reading goes on, as a commit has it.
    pub(crate) fn places(&self) -> Vec<(PartitionKey, Position)> {
        self.positions.iter().map(|stored| (stored.partition.clone(), stored.position)).collect()
    }

    pub(crate) fn to_json(&self) -> ProcessorResult<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| ProcessorError::Serialization(error.to_string()))
    }

    /// The point that `json` holds.
    ///
    /// # Errors
    /// [`ProcessorError::State`] for another version, or if it cannot be read.
    pub fn from_json(json: &[u8]) -> ProcessorResult<Self> {
        let unreadable = |reason: String| {
            ProcessorError::State(format!(
                "the newest commit cannot be read ({reason}); restore a checkpoint, or run with \
                 --new-state"
            ))
        };
        let read: Version =
            serde_json::from_slice(json).map_err(|error| unreadable(error.to_string()))?;
        if read.version != VERSION {
            let version = read.version;
            return Err(unreadable(format!("version {version}; this release reads {VERSION}")));
        }
        serde_json::from_slice(json).map_err(|error| unreadable(error.to_string()))
    }
}
