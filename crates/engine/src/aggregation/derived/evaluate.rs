//! Computes derived statistics of firings.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::{
    super::{
        extras::{Named, Outcome},
        plan::AggregationPlan,
        table::Statistics,
    },
    history::{History, MEMORY, Numbers, Span, Summaries, Summary, next_ema},
    spec::{DerivedFunction, Operand, Resolved},
    state::Tracking,
};
use crate::window::{Firing, Timing};

/// What derived statistics remember between firings of one pipeline.
///
/// Without ema and anomaly that is nothing. With them it is, per key, a few numbers and the windows
/// that end less than twice the allowed lateness before W. A key is forgotten once it had no window for
/// 1,000 window lengths; more keys than `max_keys` are not remembered: their ema and anomaly are
/// errors of the result.
#[derive(Debug)]
pub struct DerivedResults {
    statistics: Vec<Resolved>,
    /// Weight of each statistic with history; 0 where it is no ema.
    pub(super) alphas: Vec<f64>,
    lateness: i64,
    max_keys: u64,
    pub(super) histories: HashMap<Box<str>, History, FxBuildHasher>,
    /// W at which forgotten keys are looked for next.
    next_sweep: i64,
    /// `None` if nobody stores rows.
    pub(super) tracking: Option<Box<Tracking>>,
}

impl DerivedResults {
    /// What the plan's derived statistics need; none if it has no such statistics.
    #[must_use]
    pub fn new(plan: &AggregationPlan, lateness_ms: i64, max_keys: u64) -> Option<Box<Self>> {
        let statistics = plan.derived_resolved().to_vec();
        let alpha = |resolved: &Resolved| match resolved.statistic.function {
            DerivedFunction::Ema { alpha, .. } => Some(alpha),
            DerivedFunction::Anomaly { .. } => Some(0.0),
            DerivedFunction::Ratio { .. } | DerivedFunction::Rate { .. } => None,
        };
        let alphas = statistics.iter().filter_map(alpha).collect();
        (!statistics.is_empty()).then(|| {
            Box::new(Self {
                statistics,
                alphas,
                lateness: lateness_ms,
                max_keys,
                histories: HashMap::default(),
                next_sweep: i64::MIN,
                tracking: None,
            })
        })
    }

    /// Adds the derived results to those of `firings`, which fired at W = `watermark`.
    pub fn apply(&mut self, firings: &mut [Firing], watermark: i64) {
        if self.alphas.is_empty() {
            for firing in firings {
                self.complete(firing, None);
            }
            return;
        }
        // A window's history comes before it, however they fired.
        let mut order: Vec<(Span, usize)> =
            firings.iter().enumerate().map(|(i, firing)| (span_of(firing), i)).collect();
        order.sort_unstable();
        for (span, at) in order {
            if let Some(firing) = firings.get_mut(at) {
                self.with_history(firing, span);
            }
        }
        // Only now: a window of this call may not have the newest ones in its history.
        for firing in firings.iter() {
            if let Some(history) = self.histories.get_mut(&firing.key) {
                let tracking = &mut self.tracking;
                history.settle(watermark, self.lateness, &self.alphas, |span| {
                    if let Some(tracking) = tracking {
                        tracking.gone.push((firing.key.clone(), Some(span)));
                    }
                });
            }
        }
        self.sweep(firings.first().map(span_of), watermark);
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let heap: usize =
            self.histories.iter().map(|(key, history)| key.len() + history.heap_bytes()).sum();
        let tracking = self.tracking.as_ref().map_or(0, |tracking| tracking.size_bytes());
        self.histories.capacity() * size_of::<(Box<str>, History)>() + heap + tracking
    }

    /// Number of keys that are remembered.
    #[must_use]
    pub fn remembered_keys(&self) -> usize {
        self.histories.len()
    }

    fn with_history(&mut self, firing: &mut Firing, span: Span) {
        let has_room = (self.histories.len() as u64) < self.max_keys;
        let known = self.histories.contains_key(&firing.key);
        if !known && !has_room {
            self.complete(firing, None);
            return;
        }
        let before = match self.histories.get(&firing.key) {
            Some(history) => history.before(span, self.lateness, &self.alphas),
            None => History::new(self.alphas.len()).before(span, 0, &self.alphas),
        };
        let numbers = self.complete(firing, Some(&before));
        if firing.timing == Timing::Early {
            return; // What it will be at its end is not known yet.
        }
        let alphas = &self.alphas;
        let history =
            self.histories.entry(firing.key.clone()).or_insert_with(|| History::new(alphas.len()));
        history.record(span, numbers);
        if let Some(tracking) = &mut self.tracking {
            tracking.changed.insert(firing.key.clone());
        }
    }

    /// Adds the derived results; returns the numbers that later windows will look back at. Without
    /// `before` the key is not remembered.
    fn complete(&self, firing: &mut Firing, before: Option<&Summaries>) -> Numbers {
        let length_ms = firing.end_ms.saturating_sub(firing.start_ms);
        let statistics = &mut firing.statistics;
        let (mut numbers, mut places) = (Numbers::new(), Vec::with_capacity(self.statistics.len()));
        for Resolved { statistic, names, operands } in &self.statistics {
            let operand = |i: usize| number(statistics, &places, *operands.get(i)?);
            let mut summary = None;
            if statistic.function.needs_history() {
                let which = numbers.len();
                numbers.push(operand(0));
                summary = before.map(|all| all.get(which).copied().unwrap_or_default());
            }
            let per = (statistics.count, length_ms);
            let outcomes = compute(&statistic.function, operand, per, summary);
            places.push(statistics.further.len());
            for (name, outcome) in names.iter().zip(outcomes) {
                statistics.further.push(Named { name: name.clone(), outcome, quality: None });
            }
        }
        numbers
    }

    /// Drops keys that begin anew with their next window; looks for them now and then.
    fn sweep(&mut self, newest: Option<Span>, watermark: i64) {
        let Some(span) = newest.filter(|_| watermark >= self.next_sweep) else { return };
        let lateness = self.lateness;
        let tracking = &mut self.tracking;
        self.histories.retain(|key, history| {
            let goes = history.is_forgotten(watermark, lateness);
            if let Some(tracking) = tracking.as_mut().filter(|_| goes) {
                history.erase(|span| tracking.gone.push((key.clone(), span)));
            }
            !goes
        });
        let pause = span.end.saturating_sub(span.start).saturating_mul(MEMORY / 4);
        self.next_sweep = watermark.saturating_add(pause);
    }
}

/// The results of one statistic of a window with `count` events and this length; of two results the
/// second is of no meaning where there is one name.
fn compute(
    function: &DerivedFunction,
    operand: impl Fn(usize) -> Option<f64>,
    (count, length_ms): (u64, i64),
    summary: Option<Summary>,
) -> [Outcome; 2] {
    let one = |number: Option<f64>| [outcome(number), Outcome::Nothing];
    match (function, summary) {
        (DerivedFunction::Ratio { .. }, _) => {
            let divisor = operand(1).filter(|divisor| *divisor != 0.0);
            one(operand(0).zip(divisor).map(|(x, y)| x / y))
        }
        (DerivedFunction::Rate { of }, _) => {
            let number = if of.is_none() { Some(count as f64) } else { operand(0) };
            one(number.map(|x| x * 1_000.0 / length_ms.max(1) as f64))
        }
        (_, None) => [Outcome::Failed("more keys than limits.max_keys".into()), Outcome::Nothing],
        (DerivedFunction::Ema { alpha, .. }, Some(before)) => {
            one(operand(0)
                .map(|x| if before.count == 0 { x } else { next_ema(before.ema, x, *alpha) }))
        }
        (DerivedFunction::Anomaly { threshold, min_windows, .. }, Some(before)) => {
            let enough = before.count >= u64::from(*min_windows).max(2);
            operand(0)
                .filter(|_| enough)
                .map_or_else(|| one(None), |number| anomaly(&before, number, *threshold))
        }
    }
}

fn span_of(firing: &Firing) -> Span {
    Span { end: firing.end_ms, start: firing.start_ms }
}

/// The z-score and whether it is beyond the threshold. Where the windows before did not vary and this
/// one differs there is no z-score, but it is an anomaly.
fn anomaly(before: &Summary, number: f64, threshold: f64) -> [Outcome; 2] {
    let deviation = before.moments.stddev(before.count as f64);
    let distance = number - before.moments.mean();
    if deviation > 0.0 {
        let z = distance / deviation;
        [Outcome::Number(z), Outcome::Whole(u64::from(z.abs() > threshold))]
    } else if distance == 0.0 {
        [Outcome::Number(0.0), Outcome::Whole(0)]
    } else {
        [Outcome::Nothing, Outcome::Whole(1)]
    }
}

fn outcome(number: Option<f64>) -> Outcome {
    number.map_or(Outcome::Nothing, Outcome::Number)
}

/// The number at `operand`, if it is there and finite.
fn number(statistics: &Statistics, places: &[usize], operand: Operand) -> Option<f64> {
    let further = |at: usize| statistics.further.get(at)?.outcome.number();
    match operand {
        Operand::Plain(at) => statistics.numbers.get(at).copied().filter(|x| x.is_finite()),
        Operand::Further(at) => further(at),
        Operand::Derived(which) => further(*places.get(which)?),
    }
}
