//! State out of a task and into it.

use super::{window_task::WindowTask, windows::Windows};
use crate::{
    aggregation::DerivedResults,
    core::PartitionId,
    state::{Kind, PartitionProgress, Rows, StateChanges, StateDamage, TaskProgress},
    watermark::BEGINNING,
};

impl WindowTask {
    /// From now on remembers which rows change; without it nothing is remembered and nothing costs. To be
    /// called before the first batch and before [`restore`](Self::restore).
    #[must_use]
    pub fn tracking_changes(mut self) -> Self {
        self.windows = self.windows.tracking_changes();
        self.derived = self.derived.map(DerivedResults::tracking_changes);
        self
    }

    /// How many rows the next [`take_changes`](Self::take_changes) will give, about; 0 if nothing is remembered. Costs little:
    /// it is asked after every batch.
    #[must_use]
    pub fn changed_rows(&self) -> usize {
        let derived = self.derived.as_ref().map_or(0, |derived| derived.changed_rows());
        self.windows.changed_rows() + derived
    }

    /// Appends what changed since the last call, to be applied in that order; after
    /// [`fire_dirty`](Self::fire_dirty), at a cut.
    pub fn take_changes(&mut self, changes: &mut StateChanges) {
        self.windows.take_changes(&self.keys, changes);
        if let Some(derived) = &mut self.derived {
            derived.take_changes(&self.keys, changes);
        }
    }

    /// W and what belongs to it, as of now.
    #[must_use]
    pub fn progress(&self) -> TaskProgress {
        self.watermarks.progress()
    }

    /// What W(p) needs to go on after a restart; `None` if the partition is not assigned.
    #[must_use]
    pub fn partition_progress(&self, partition: PartitionId) -> Option<PartitionProgress> {
        self.watermarks.partition_progress(partition)
    }

    /// Before the first batch: all rows of a commit, in any order, and its W. Windows that are purged at W
    /// are dropped (and are deletions in the next [`take_changes`](Self::take_changes)); those that W
    /// has passed and that are not marked fired fire at the next [`advance`](Self::advance).
    ///
    /// # Errors
    /// [`StateDamage`] if a row cannot be what a task of this plan gave out. The task is of no use then.
    pub fn restore<'a>(
        &mut self,
        rows: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        progress: TaskProgress,
        now_ms: i64,
    ) -> Result<(), StateDamage> {
        let rows = Rows::new(rows)?;
        let mut kinds = self.windows.row_kinds().to_vec();
        if self.derived.is_some() {
            kinds.extend([Kind::History, Kind::Recent]);
        }
        rows.only(&kinds)?;
        let watermark = progress.watermark.unwrap_or(BEGINNING);
        let at = (watermark, now_ms);
        let reached = self.windows.restore(&rows, at, &mut self.keys, &self.aggregation)?;
        if let Some(derived) = &mut self.derived {
            derived.restore(&rows, &self.keys)?;
        }
        let watermark = Some(reached).filter(|watermark| *watermark != BEGINNING);
        self.watermarks.restore(TaskProgress { watermark, ..progress }, now_ms);
        Ok(())
    }

    /// As [`assign`](Self::assign), with what was stored for the partition: W(p) goes on from there, at or
    /// after W, and a partition that was idle stays so until it speaks. After [`restore`](Self::restore).
    pub fn assign_with(
        &mut self,
        partition: PartitionId,
        progress: PartitionProgress,
        now_ms: i64,
    ) {
        self.watermarks.assign_with(partition, progress, now_ms);
    }

    /// Why what this plan computes cannot be kept, if so: to be asked before the first batch.
    #[must_use]
    pub fn unkeepable(&self) -> Option<String> {
        self.aggregation.unkeepable()
    }
}

impl Windows {
    fn tracking_changes(self) -> Self {
        match self {
            Self::Sliced(windows) => Self::Sliced(windows.tracking_changes()),
            Self::Session(windows) => Self::Session(windows.tracking_changes()),
            Self::Assigned(windows) => Self::Assigned(windows.tracking_changes()),
        }
    }

    /// Kinds of rows there may be.
    fn row_kinds(&self) -> &'static [Kind] {
        match self {
            Self::Sliced(_) => &[Kind::Pane, Kind::Fired, Kind::Watch],
            Self::Session(_) => &[Kind::Session],
            Self::Assigned(_) => &[Kind::Window],
        }
    }
}
