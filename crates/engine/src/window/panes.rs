//! The panes of a pipeline in the order of time.

use std::collections::VecDeque;

use super::{pane::Pane, slices::Slices};

/// Panes that hold accumulators. They mostly lie side by side, so a pane is usually found by
/// counting from its neighbour.
#[derive(Debug)]
pub(super) struct Panes {
    list: VecDeque<Pane>,
    width: i64,
    /// Index of the pane that was used last.
    hot: usize,
}

impl Panes {
    pub(super) fn new(slices: &Slices) -> Self {
        Self { list: VecDeque::new(), width: slices.pane(), hot: 0 }
    }

    #[inline]
    fn hot(&self) -> Option<(usize, &Pane)> {
        self.list.get(self.hot).map(|pane| (self.hot, pane))
    }

    /// The pane that was used last.
    #[inline]
    pub(super) fn hot_mut(&mut self) -> Option<&mut Pane> {
        self.list.get_mut(self.hot)
    }

    /// Takes note that the pane at `at` is used.
    #[inline]
    pub(super) fn heat(&mut self, at: usize) {
        self.hot = at;
    }

    /// Index of the pane that begins at `start`, or where it would be.
    pub(super) fn position(&self, start: i64) -> Result<usize, usize> {
        if let Some((at, hot)) = self.hot()
            && let Ok(apart) = isize::try_from((start - hot.start) / self.width)
            && let Some(guess) = at.checked_add_signed(apart)
            && self.list.get(guess).is_some_and(|pane| pane.start == start)
        {
            return Ok(guess);
        }
        self.list.binary_search_by_key(&start, |pane| pane.start)
    }

    pub(super) fn get(&self, at: usize) -> Option<&Pane> {
        self.list.get(at)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Pane> {
        self.list.get_mut(at)
    }

    /// The pane that begins at `start`.
    pub(super) fn at(&self, start: i64) -> Option<&Pane> {
        self.list.get(self.position(start).ok()?)
    }

    pub(super) fn insert(&mut self, at: usize, pane: Pane) {
        self.list.insert(at, pane);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Pane> {
        self.list.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Pane> {
        self.list.iter_mut()
    }

    /// The panes that begin in `[from, to)`.
    pub(super) fn between(&self, from: i64, to: i64) -> impl Iterator<Item = &Pane> {
        let begin = self.position(from).unwrap_or_else(|at| at);
        let end = self.position(to).unwrap_or_else(|at| at);
        self.list.range(begin.min(end)..end)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes the panes whose last window is at or before `window`, if they may go.
    pub(super) fn remove_through(
        &mut self,
        window: i64,
        goes: impl Fn(&Pane) -> bool,
    ) -> Vec<Pane> {
        let over = self.list.partition_point(|pane| pane.last_window <= window);
        let (mut gone, mut kept) = (Vec::new(), 0);
        for _ in 0..over {
            if self.list.get(kept).is_some_and(&goes) {
                gone.extend(self.list.remove(kept));
            } else {
                kept += 1;
            }
        }
        self.hot = self.hot.saturating_sub(gone.len());
        gone
    }

    /// Gives back room that a burst of panes took.
    pub(super) fn shrink(&mut self) {
        if self.list.capacity() > 4 * self.list.len().max(4) {
            self.list.shrink_to(2 * self.list.len());
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.list.iter().map(Pane::size_bytes).sum::<usize>()
            + self.list.capacity() * size_of::<Pane>()
    }
}
