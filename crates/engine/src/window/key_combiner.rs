//! The accumulators of one key in a window that slides, combined with few merges.
//!
//! Two stacks (folklore; see K. Tangwongsan, M. Hirzel, S. Schneider: "Low-Latency Sliding-Window
//! Aggregation in Worst-Case Constant Time", DEBS 2017): the older accumulators are the front, of
//! which every suffix is wanted as the window moves on; the younger are the back, of which the whole
//! is. When the front is used up, the back becomes the front. Of the front's suffixes only those that
//! begin at every √n-th accumulator are kept, and all of the block in turn, which are made from the
//! suffix behind it: four merges per accumulator over its life, and room for 2·√n of them.

use std::collections::VecDeque;

use super::panes::Panes;
use crate::aggregation::{AccumulatorTable, Row};

/// An accumulator of the key: the start of its pane and its row there.
pub(super) type Part = (i64, Row);

/// One key's accumulators in the window, and what they come to.
#[derive(Debug, Default)]
pub(super) struct KeyCombiner {
    /// Every accumulator in the window, the oldest first.
    parts: VecDeque<Part>,
    /// How many of `parts` are the front.
    front: usize,
    /// Length of the front's blocks.
    block: usize,
    /// Suffixes of the front that begin behind each block but the last, the oldest on top.
    behind: Vec<Row>,
    /// Suffixes of the front that begin in its first block, the oldest on top.
    suffixes: Vec<Row>,
    /// All of the back.
    back: Option<Row>,
}

impl KeyCombiner {
    /// Whether the key has nothing in the window.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Takes an accumulator that is not older than those before it.
    pub(super) fn push(&mut self, part: Part, panes: &Panes, rows: &mut AccumulatorTable) {
        self.parts.push_back(part);
        let back = *self.back.get_or_insert_with(|| rows.push());
        merge(rows, back, part, panes);
    }

    /// Lets go of the accumulators of panes that begin before `start`.
    pub(super) fn evict(&mut self, start: i64, panes: &Panes, rows: &mut AccumulatorTable) {
        let mut back_lost = false;
        while self.parts.pop_front_if(|(pane, _)| *pane < start).is_some() {
            if self.front == 0 {
                back_lost = true;
            } else {
                self.front -= 1;
                self.suffixes.pop().into_iter().for_each(|row| rows.release(row));
            }
        }
        if self.front == 0 {
            self.drop_front(rows);
        }
        if back_lost {
            self.back.take().into_iter().for_each(|row| rows.release(row));
            self.flip(panes, rows);
        } else if self.suffixes.is_empty() {
            self.open_block(panes, rows);
        }
    }

    /// The rows that come to the whole window: of the front and of the back, where there is any.
    pub(super) fn combined(&self) -> (Option<Row>, Option<Row>) {
        (self.suffixes.last().copied(), self.back)
    }

    /// Gives back its rows and holds nothing.
    pub(super) fn clear(&mut self, rows: &mut AccumulatorTable) {
        self.drop_front(rows);
        self.back.take().into_iter().for_each(|row| rows.release(row));
        self.parts.clear();
        self.front = 0;
    }

    /// Memory held apart from the rows, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        self.parts.capacity() * size_of::<Part>()
            + (self.behind.capacity() + self.suffixes.capacity()) * size_of::<Row>()
    }

    /// Makes a front of all there is.
    fn flip(&mut self, panes: &Panes, rows: &mut AccumulatorTable) {
        self.front = self.parts.len();
        self.block = self.front.isqrt().max(1);
        while (self.behind.len() + 1) * self.block < self.front {
            let known = self.behind.len() * self.block;
            let row = copy(self.behind.last().copied(), rows);
            for younger in known..known + self.block {
                self.add_part(younger, row, panes, rows);
            }
            self.behind.push(row);
        }
        self.open_block(panes, rows);
    }

    /// Makes the suffixes of the front's first block, if there is a front.
    fn open_block(&mut self, panes: &Panes, rows: &mut AccumulatorTable) {
        while self.behind.len() * self.block > self.front {
            self.behind.pop().into_iter().for_each(|row| rows.release(row));
        }
        let known = self.behind.len() * self.block;
        self.suffixes.extend(self.behind.pop());
        for younger in known..self.front {
            let row = copy(self.suffixes.last().copied(), rows);
            self.add_part(younger, row, panes, rows);
            self.suffixes.push(row);
        }
    }

    /// Adds to `row` the accumulator of the front that is older than `younger` others.
    fn add_part(&self, younger: usize, row: Row, panes: &Panes, rows: &mut AccumulatorTable) {
        let at = self.front.checked_sub(younger + 1);
        if let Some(part) = at.and_then(|at| self.parts.get(at)) {
            merge(rows, row, *part, panes);
        }
    }

    fn drop_front(&mut self, rows: &mut AccumulatorTable) {
        self.behind.drain(..).chain(self.suffixes.drain(..)).for_each(|row| rows.release(row));
    }
}

fn merge(rows: &mut AccumulatorTable, row: Row, (start, from): Part, panes: &Panes) {
    if let Some(pane) = panes.at(start) {
        rows.merge(row, &pane.table, from);
    }
}

/// A new row with everything in `row`.
fn copy(row: Option<Row>, rows: &mut AccumulatorTable) -> Row {
    let copied = rows.push();
    if let Some(row) = row {
        rows.merge_within(copied, row);
    }
    copied
}
