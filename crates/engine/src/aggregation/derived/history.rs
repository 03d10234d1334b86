//! What is remembered of a key's windows, for statistics over several of them.
//!
//! The history of a window are the windows of its key that were closed by its end: those with end +
//! allowed lateness ≤ its end, in the order of end. What they hold is final when the window fires, so
//! what is computed from them does not depend on when. Without lateness these are all windows before.
//!
//! A window that may still change, or may still belong to nobody's history but a late one's, is kept
//! with its numbers; older ones are folded into one [`Summary`] per statistic. A key without a window
//! for more than [`MEMORY`] window lengths begins anew.

use smallvec::SmallVec;

use super::super::moments::Moments;

/// So many window lengths of silence end the history of a key.
pub(super) const MEMORY: i64 = 1_000;

/// A window, ordered by its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) end: i64,
    pub(super) start: i64,
}

/// What one statistic over several windows remembers of a window sequence.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Summary {
    /// Windows that had the number.
    pub(super) count: u64,
    /// Exponential moving average; of no meaning where `count` is 0.
    pub(super) ema: f64,
    pub(super) moments: Moments,
}

/// One entry per statistic that needs history.
pub(super) type Summaries = SmallVec<[Summary; 2]>;
/// One number per statistic that needs history; none where the window has no such number.
pub(super) type Numbers = SmallVec<[Option<f64>; 2]>;

/// The windows of one key.
#[derive(Debug, Clone)]
pub(super) struct History {
    folded: Summaries,
    /// The newest window in `folded`.
    folded_up_to: Option<Span>,
    /// In the order of end.
    kept: Vec<(Span, Numbers)>,
}

impl Summary {
    /// With one more window; `alpha` is 0 for statistics that are no ema.
    fn add(&mut self, number: f64, alpha: f64) {
        self.count += 1;
        self.ema = if self.count == 1 { number } else { next_ema(self.ema, number, alpha) };
        self.moments.add(number, self.count);
    }
}

/// The moving average after `number`.
pub(super) fn next_ema(before: f64, number: f64, alpha: f64) -> f64 {
    alpha * number + (1.0 - alpha) * before
}

impl Span {
    fn length(self) -> i64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether a key with `last` as its last window before this one begins anew.
    fn is_far_from(self, last: Self) -> bool {
        self.end.saturating_sub(last.end) > self.length().saturating_mul(MEMORY)
    }
}

impl History {
    pub(super) fn new(statistics: usize) -> Self {
        Self { folded: blank(statistics), folded_up_to: None, kept: Vec::new() }
    }

    /// The history of the window `span`.
    pub(super) fn before(&self, span: Span, lateness: i64, alphas: &[f64]) -> Summaries {
        let (mut summaries, mut last) = (self.folded.clone(), self.folded_up_to);
        for (other, numbers) in &self.kept {
            if *other < span && other.end.saturating_add(lateness) <= span.end {
                fold(&mut summaries, &mut last, *other, numbers, alphas);
            }
        }
        match last {
            Some(last) if span.is_far_from(last) => blank(alphas.len()),
            _ => summaries,
        }
    }

    /// Remembers the numbers of a window, or what they have become.
    pub(super) fn record(&mut self, span: Span, numbers: Numbers) {
        match self.kept.binary_search_by_key(&span, |(kept, _)| *kept) {
            Ok(at) => {
                if let Some(entry) = self.kept.get_mut(at) {
                    entry.1 = numbers;
                }
            }
            Err(at) => self.kept.insert(at, (span, numbers)),
        }
    }

    /// Folds windows that belong to the history of every window that can still fire at W = `watermark`.
    pub(super) fn settle(&mut self, watermark: i64, lateness: i64, alphas: &[f64]) {
        let final_up_to = watermark.saturating_sub(lateness).saturating_sub(lateness);
        let done = self.kept.partition_point(|(span, _)| span.end <= final_up_to);
        for (span, numbers) in self.kept.drain(..done) {
            fold(&mut self.folded, &mut self.folded_up_to, span, &numbers, alphas);
        }
    }

    /// Whether every window that can still fire at W = `watermark` begins anew.
    pub(super) fn is_forgotten(&self, watermark: i64, lateness: i64) -> bool {
        let last = self.kept.last().map(|(span, _)| *span).or(self.folded_up_to);
        last.is_none_or(|last| {
            let least_end = watermark.saturating_sub(lateness);
            Span { end: least_end, start: least_end.saturating_sub(last.length()) }
                .is_far_from(last)
        })
    }

    /// Memory held on the heap, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let spilled =
            if self.folded.spilled() { size_of::<Summary>() * self.folded.len() } else { 0 };
        self.kept.capacity() * size_of::<(Span, Numbers)>() + spilled
    }
}

fn blank(statistics: usize) -> Summaries {
    SmallVec::from_elem(Summary::default(), statistics)
}

/// Adds the window to the summaries of those before it.
fn fold(
    summaries: &mut Summaries,
    last: &mut Option<Span>,
    span: Span,
    numbers: &[Option<f64>],
    alphas: &[f64],
) {
    if last.is_some_and(|last| span.is_far_from(last)) {
        *summaries = blank(alphas.len());
    }
    *last = Some(span);
    for ((summary, number), alpha) in summaries.iter_mut().zip(numbers).zip(alphas) {
        if let Some(number) = number {
            summary.add(*number, *alpha);
        }
    }
}
