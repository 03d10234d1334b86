//! What the embedded log keeps, and what a crash takes of it.

use std::collections::BTreeMap;

use llm_optimizer_processor::commit::{CommitNumber, embedded::Cursor, kafka::Progress};

use crate::{
    chance::Chance,
    counting::{Output, Row, Sum},
};

/// What the store holds.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) newest: u64,
    pub(super) positions: BTreeMap<u32, i64>,
    pub(super) progress: BTreeMap<u32, Progress>,
    pub(super) watermark: Option<i64>,
    pub(super) rows: BTreeMap<Row, Sum>,
    pub(super) outbox: BTreeMap<u64, Vec<Output>>,
    pub(super) cursors: BTreeMap<usize, Cursor>,
}

/// Batches are atomic; those that were not synced may be lost, the last ones first.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) durable: State,
    pub(super) unsynced: Vec<State>,
}

impl Store {
    pub(super) fn view(&self) -> &State {
        self.unsynced.last().unwrap_or(&self.durable)
    }

    pub(super) fn write(&mut self, synced: bool, change: impl FnOnce(&mut State)) {
        let mut state = self.view().clone();
        change(&mut state);
        self.unsynced.push(state);
        if synced {
            self.durable = self.unsynced.pop().unwrap_or_default();
            self.unsynced.clear();
        }
    }

    pub(super) fn crash(&mut self, chance: &mut Chance) {
        let kept = chance.below(u32::try_from(self.unsynced.len()).unwrap() + 1) as usize;
        self.unsynced.truncate(kept);
        self.durable = self.view().clone();
        self.unsynced.clear();
    }
}

/// What a sink holds.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) lines: Vec<Output>,
    pub(super) synced: usize,
}

/// A commit that is cut, as it will be in the store.
#[derive(Debug, Clone)]
pub(super) struct Frozen {
    pub(super) number: CommitNumber,
    pub(super) rows: Vec<(Row, Option<Sum>)>,
    pub(super) outputs: Vec<Output>,
    pub(super) positions: BTreeMap<u32, i64>,
    pub(super) progress: BTreeMap<u32, Progress>,
    pub(super) watermark: Option<i64>,
}

pub(super) fn apply(state: &mut State, frozen: Frozen) {
    state.newest += 1;
    for (row, sum) in frozen.rows {
        match sum {
            Some(sum) => state.rows.insert(row, sum),
            None => state.rows.remove(&row),
        };
    }
    (state.positions, state.progress) = (frozen.positions, frozen.progress);
    state.watermark = frozen.watermark;
    if !frozen.outputs.is_empty() {
        state.outbox.insert(state.newest, frozen.outputs);
    }
}
