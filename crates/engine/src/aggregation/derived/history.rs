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
use crate::state::{Fault, Reader, Writer};

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
    kept: Vec<Recent>,
    /// What changed of what is folded, if rows are stored.
    marks: Marks,
}

/// A window that is not folded yet.
#[derive(Debug, Clone)]
struct Recent {
    span: Span,
    numbers: Numbers,
    marks: Marks,
}

/// What of something changed since it was stored.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    is_changed: bool,
    is_stored: bool,
}

impl Summary {
    /// With one more window; `alpha` is 0 for statistics that are no ema.
    fn add(&mut self, number: f64, alpha: f64) {
        self.count += 1;
        self.ema = if self.count == 1 { number } else { next_ema(self.ema, number, alpha) };
        self.moments.add(number, self.count as f64);
    }
}

/// The moving average after `number`.
pub(super) fn next_ema(before: f64, number: f64, alpha: f64) -> f64 {
    alpha * number + (1.0 - alpha) * before
}

impl Marks {
    const STORED: Self = Self { is_changed: false, is_stored: true };
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
        Self {
            folded: blank(statistics),
            folded_up_to: None,
            kept: Vec::new(),
            marks: Marks::default(),
        }
    }

    /// The history of the window `span`.
    pub(super) fn before(&self, span: Span, lateness: i64, alphas: &[f64]) -> Summaries {
        let (mut summaries, mut last) = (self.folded.clone(), self.folded_up_to);
        for Recent { span: other, numbers, .. } in &self.kept {
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
        match self.kept.binary_search_by_key(&span, |recent| recent.span) {
            Ok(at) => {
                if let Some(recent) = self.kept.get_mut(at) {
                    recent.numbers = numbers;
                    recent.marks.is_changed = true;
                }
            }
            Err(at) => {
                let marks = Marks { is_changed: true, is_stored: false };
                self.kept.insert(at, Recent { span, numbers, marks });
            }
        }
    }

    /// Folds windows that belong to the history of every window that can still fire at W = `watermark`.
    /// Tells `gone` of those that were stored.
    pub(super) fn settle(
        &mut self,
        watermark: i64,
        lateness: i64,
        alphas: &[f64],
        mut gone: impl FnMut(Span),
    ) {
        let final_up_to = watermark.saturating_sub(lateness).saturating_sub(lateness);
        let done = self.kept.partition_point(|recent| recent.span.end <= final_up_to);
        self.marks.is_changed |= done > 0;
        for Recent { span, numbers, marks } in self.kept.drain(..done) {
            fold(&mut self.folded, &mut self.folded_up_to, span, &numbers, alphas);
            if marks.is_stored {
                gone(span);
            }
        }
    }

    /// Whether every window that can still fire at W = `watermark` begins anew.
    pub(super) fn is_forgotten(&self, watermark: i64, lateness: i64) -> bool {
        let last = self.kept.last().map(|recent| recent.span).or(self.folded_up_to);
        last.is_none_or(|last| {
            let least_end = watermark.saturating_sub(lateness);
            Span { end: least_end, start: least_end.saturating_sub(last.length()) }
                .is_far_from(last)
        })
    }

    /// Writes what changed since it was last stored: what is folded as [`None`], each window that is not by
    /// its span.
    pub(super) fn save(&mut self, value: &mut Writer, mut put: impl FnMut(Option<Span>, &Writer)) {
        if let Some(last) = self.folded_up_to.filter(|_| self.marks.is_changed) {
            value.begin().instant(last.end);
            value.instant(last.start);
            value.count(self.folded.len() as u64);
            for summary in &self.folded {
                value.count(summary.count);
                value.number(summary.ema);
                value.numbers(&summary.moments.to_cells());
            }
            put(None, value);
            self.marks = Marks::STORED;
        }
        for recent in self.kept.iter_mut().filter(|recent| recent.marks.is_changed) {
            value.begin().count(recent.numbers.len() as u64);
            for number in &recent.numbers {
                value.byte(number.is_some().into());
                value.number(number.unwrap_or(0.0));
            }
            put(Some(recent.span), value);
            recent.marks = Marks::STORED;
        }
    }

    /// All of it is to go: tells `gone` what was stored, as [`save`](Self::save) names it.
    pub(super) fn erase(&self, mut gone: impl FnMut(Option<Span>)) {
        if self.marks.is_stored {
            gone(None);
        }
        let stored = self.kept.iter().filter(|recent| recent.marks.is_stored);
        stored.for_each(|recent| gone(Some(recent.span)));
    }

    /// Takes what [`save`](Self::save) put as [`None`].
    pub(super) fn load_folded(&mut self, value: &[u8]) -> Result<(), Fault> {
        let mut value = Reader::new(value)?;
        let (end, start) = (value.instant()?, value.instant()?);
        if value.count_to(self.folded.len())? != self.folded.len() {
            return Err("it is of other statistics".into());
        }
        for summary in &mut self.folded {
            summary.count = value.count_to(1 << 53)? as u64;
            summary.ema = value.number()?;
            summary.moments = Moments::from_cells([value.number()?, value.number()?]);
        }
        value.end()?;
        (self.folded_up_to, self.marks) = (Some(Span { end, start }), Marks::STORED);
        Ok(())
    }

    /// Takes what [`save`](Self::save) put under a span; they come in the order of these.
    pub(super) fn load_recent(&mut self, span: Span, value: &[u8]) -> Result<(), Fault> {
        let mut value = Reader::new(value)?;
        if value.count_to(self.folded.len())? != self.folded.len() {
            return Err("it is of other statistics".into());
        }
        let mut numbers = Numbers::new();
        for _ in 0..self.folded.len() {
            let is_some = value.byte()? != 0;
            numbers.push(Some(value.number()?).filter(|_| is_some));
        }
        value.end()?;
        self.kept.push(Recent { span, numbers, marks: Marks::STORED });
        Ok(())
    }

    /// Memory held on the heap, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let spilled =
            if self.folded.spilled() { size_of::<Summary>() * self.folded.len() } else { 0 };
        self.kept.capacity() * size_of::<Recent>() + spilled
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
