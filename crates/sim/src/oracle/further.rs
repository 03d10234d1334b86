//! Further statistics of the windows, recomputed from their events: conditions, weights, items, and
//! statistics of statistics.

use std::collections::BTreeMap;

use super::{Event, OracleConfig, WindowId, percentile_of, window_events};

/// Counts of so many items are exact.
const MAX_EXACT_ITEMS: usize = 192;

/// So many window lengths of silence end what is remembered of a key.
const MEMORY: i64 = 1_000;

/// What an event brings beside its values.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// Which conditions it meets.
    pub conditions: Vec<bool>,
    /// Numbers it may have.
    pub numbers: Vec<Option<f64>>,
    /// Texts it may have.
    pub items: Vec<Option<String>>,
}

/// Which number of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Its value with this index.
    Value(usize),
    /// The number in [`Facts::numbers`] with this index.
    Fact(usize),
}

/// A further statistic.
#[derive(Debug, Clone, PartialEq)]
pub struct FurtherStatistic {
    /// Its name.
    pub name: String,
    /// The condition that an event must meet.
    pub condition: Option<usize>,
    /// What it is.
    pub function: Further,
}

/// What a further statistic is.
#[derive(Debug, Clone, PartialEq)]
pub enum Further {
    /// Number of events.
    Count,
    /// Sum of a number.
    Sum(Of),
    /// Mean of a number.
    Average(Of),
    /// Mean of the first, each weighing the second; negative weights are left out.
    Weighted(Of, Of),
    /// Least number.
    Min(Of),
    /// Greatest number.
    Max(Of),
    /// Population standard deviation.
    Stddev(Of),
    /// Percentile in thousandths of a percent.
    Percentile(Of, u32),
    /// Number of different items.
    Distinct(usize),
    /// The most frequent items.
    Top(usize, usize),
    /// The first statistic divided by the second.
    Ratio(String, String),
    /// Events per second of window length.
    Rate,
    /// Moving average of a statistic with the weight of the newest window.
    Ema(String, f64),
    /// Distance of a statistic from its mean in so many windows before, at least.
    Anomaly(String, u64),
}

/// What a further statistic must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// It is not there.
    Nothing,
    /// A number, up to rounding.
    Number(f64),
    /// A percentile from more values than are kept, within 1 %.
    Sketched(f64),
    /// So many different items, up to the error of a sketch of them.
    Distinct(usize),
    /// The first so many of these items, which are all, with their counts.
    Top(usize, Vec<(String, u64)>),
}

/// Further statistics of one window by name.
pub type FurtherResults = BTreeMap<String, Expected>;

/// Computes `statistics` for every window of `partitions`; `facts` are those of the events at the same
/// places.
#[must_use]
pub fn recompute_further(
    config: &OracleConfig,
    partitions: &[Vec<Event>],
    facts: &[Vec<Facts>],
    statistics: &[FurtherStatistic],
) -> BTreeMap<WindowId, FurtherResults> {
    let mut by_key: BTreeMap<String, Vec<(WindowId, FurtherResults)>> = BTreeMap::new();
    for (id, events) in window_events(config, partitions) {
        let of = |place: &super::EventId| facts.get(place.partition)?.get(place.index);
        let events: Vec<(&Event, &Facts)> =
            events.iter().filter_map(|(place, event)| Some((*event, of(place)?))).collect();
        let plain = statistics.iter().filter_map(|statistic| {
            Some((statistic.name.clone(), own_events(&events, statistic)?))
        });
        by_key.entry(id.key.clone()).or_default().push((id, plain.collect()));
    }
    let mut all = BTreeMap::new();
    for mut windows in by_key.into_values() {
        windows.sort_by_key(|(id, _)| (id.end_ms, id.start_ms));
        for statistic in statistics {
            of_statistics(&mut windows, statistic, config.allowed_lateness_ms);
        }
        all.extend(windows);
    }
    all
}

/// A statistic of the window's events; `None` if it is one of statistics. A rate is of events too.
fn own_events(events: &[(&Event, &Facts)], statistic: &FurtherStatistic) -> Option<Expected> {
    let meets = |facts: &Facts| match statistic.condition {
        Some(condition) => facts.conditions.get(condition).copied().unwrap_or(false),
        None => true,
    };
    let met: Vec<&(&Event, &Facts)> = events.iter().filter(|(_, facts)| meets(facts)).collect();
    let number = |(event, facts): &(&Event, &Facts), of: Of| match of {
        Of::Value(index) => event.values.get(index).copied(),
        Of::Fact(index) => facts.numbers.get(index).copied().flatten(),
    };
    let numbers = |of| -> Vec<f64> { met.iter().filter_map(|event| number(event, of)).collect() };
    let some = |numbers: &[f64], compute: fn(&[f64]) -> f64| match numbers {
        [] => Expected::Nothing,
        some => Expected::Number(compute(some)),
    };
    let items = |index: usize| {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let found = met.iter().filter_map(|(_, facts)| facts.items.get(index)?.as_deref());
        found.for_each(|item| *counts.entry(item).or_default() += 1);
        counts
    };
    Some(match &statistic.function {
        Further::Count => Expected::Number(met.len() as f64),
        Further::Sum(of) => Expected::Number(numbers(*of).iter().sum()),
        Further::Average(of) => some(&numbers(*of), mean),
        Further::Weighted(of, weight) => {
            let pairs = met.iter().filter_map(|e| Some((number(e, *of)?, number(e, *weight)?)));
            let pairs: Vec<(f64, f64)> = pairs.filter(|(_, weight)| *weight >= 0.0).collect();
            let weights: f64 = pairs.iter().map(|(_, weight)| weight).sum();
            let sum: f64 = pairs.iter().map(|(x, weight)| x * weight).sum();
            if weights > 0.0 { Expected::Number(sum / weights) } else { Expected::Nothing }
        }
        Further::Min(of) => some(&numbers(*of), |all| all.iter().copied().fold(f64::MAX, f64::min)),
        Further::Max(of) => some(&numbers(*of), |all| all.iter().copied().fold(f64::MIN, f64::max)),
        Further::Stddev(of) => some(&numbers(*of), deviation),
        Further::Percentile(of, thousandths) => {
            let mut sorted = numbers(*of);
            sorted.sort_by(f64::total_cmp);
            let exact = percentile_of(&sorted, *thousandths);
            match sorted.len() {
                0 => Expected::Nothing,
                1..=256 => Expected::Number(exact),
                _ => Expected::Sketched(exact),
            }
        }
        Further::Distinct(index) => Expected::Distinct(items(*index).len()),
        Further::Top(index, k) => {
            let mut counted: Vec<(String, u64)> =
                items(*index).into_iter().map(|(item, count)| (item.to_owned(), count)).collect();
            counted.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
            Expected::Top(*k, counted)
        }
        // Divided by the length below.
        Further::Rate => Expected::Number(events.len() as f64),
        Further::Ratio(..) | Further::Ema(..) | Further::Anomaly(..) => return None,
    })
}

/// Completes the windows of one key, which are in the order of end, with a statistic of statistics.
fn of_statistics(
    windows: &mut [(WindowId, FurtherResults)],
    statistic: &FurtherStatistic,
    lateness: i64,
) {
    let number = |results: &FurtherResults, name: &str| match results.get(name) {
        Some(Expected::Number(number)) => Some(*number),
        _ => None,
    };
    let mut found = Vec::new();
    for (at, (id, results)) in windows.iter().enumerate() {
        let mut add = |name: String, number: Option<f64>| {
            found.push((at, name, number.map_or(Expected::Nothing, Expected::Number)));
        };
        let before = |name: &str| -> Vec<f64> {
            let seen = history(windows, at, lateness);
            seen.into_iter().filter_map(|results| number(results, name)).collect()
        };
        match &statistic.function {
            Further::Ratio(dividend, divisor) => {
                let divisor = number(results, divisor).filter(|divisor| *divisor != 0.0);
                let ratio = number(results, dividend).zip(divisor).map(|(x, y)| x / y);
                add(statistic.name.clone(), ratio);
            }
            Further::Rate => {
                let secs = (id.end_ms - id.start_ms) as f64 / 1_000.0;
                add(statistic.name.clone(), number(results, &statistic.name).map(|n| n / secs));
            }
            Further::Ema(of, alpha) => {
                let ema = number(results, of).map(|now| {
                    let all = before(of).into_iter().chain([now]);
                    all.reduce(|ema, x| alpha * x + (1.0 - alpha) * ema).unwrap_or(now)
                });
                add(statistic.name.clone(), ema);
            }
            Further::Anomaly(of, least) => {
                let before = before(of);
                let enough = before.len() as u64 >= *least;
                let now = number(results, of).filter(|_| enough);
                let z = now.map(|now| (now - mean(&before)) / deviation(&before));
                // 0/0 is as ever, x/0 has no distance.
                let z = z.map(|z| if z.is_nan() { 0.0 } else { z });
                add(statistic.name.clone(), z.filter(|z| z.is_finite()));
            }
            _ => {}
        }
    }
    for (at, name, expected) in found {
        if let Some((_, results)) = windows.get_mut(at) {
            results.insert(name, expected);
        }
    }
}

/// The windows of the key that were closed by the end of the one at `at`, since the last long silence.
fn history(
    windows: &[(WindowId, FurtherResults)],
    at: usize,
    lateness: i64,
) -> Vec<&FurtherResults> {
    let Some((this, _)) = windows.get(at) else { return Vec::new() };
    let closed = windows.iter().take(at).filter(|(id, _)| id.end_ms + lateness <= this.end_ms);
    let mut seen: Vec<&FurtherResults> = Vec::new();
    let mut last_end: Option<i64> = None;
    let mut is_anew = |id: &WindowId| {
        let last = last_end.replace(id.end_ms);
        last.is_some_and(|last| id.end_ms - last > MEMORY * (id.end_ms - id.start_ms))
    };
    for (id, results) in closed {
        if is_anew(id) {
            seen.clear();
        }
        seen.push(results);
    }
    if is_anew(this) { Vec::new() } else { seen }
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

fn deviation(numbers: &[f64]) -> f64 {
    let mean = mean(numbers);
    let squares: f64 = numbers.iter().map(|x| (x - mean) * (x - mean)).sum();
    (squares / numbers.len() as f64).sqrt()
}

impl Expected {
    /// Whether `found` is right: equal up to rounding; a number of different items within 5 % (exact
    /// up to a hundred); the counts of more than 192 items may be too high by 3.5/256 of all.
    ///
    /// # Errors
    /// A sentence that says what differs.
    pub fn check(&self, found: Option<&serde_json::Value>) -> Result<(), String> {
        let number = found.and_then(serde_json::Value::as_f64);
        let right = match self {
            Self::Nothing => found.is_none(),
            Self::Number(expected) => number
                .is_some_and(|found| (found - expected).abs() <= 1e-9 * (1.0 + expected.abs())),
            Self::Sketched(expected) => {
                number.is_some_and(|found| (found - expected).abs() <= 0.010_000_1 * expected.abs())
            }
            Self::Distinct(expected) => {
                let tolerance = if *expected <= 100 { 0.0 } else { *expected as f64 * 0.05 };
                number.is_some_and(|found| (found - *expected as f64).abs() <= tolerance)
            }
            Self::Top(k, all) if all.len() > MAX_EXACT_ITEMS => near_top(found, *k, all),
            Self::Top(k, all) => {
                let rows = all
                    .iter()
                    .take(*k)
                    .map(|(item, count)| serde_json::json!({"item": item, "count": count}));
                found == Some(&rows.collect())
            }
        };
        if right { Ok(()) } else { Err(format!("found {found:?}, expected {self:?}")) }
    }
}

/// Whether `k` items are listed by falling count, each count at least the true one and not too high.
fn near_top(found: Option<&serde_json::Value>, k: usize, all: &[(String, u64)]) -> bool {
    let Some(rows) = found.and_then(serde_json::Value::as_array) else { return false };
    let events: u64 = all.iter().map(|(_, count)| count).sum();
    let too_high = events as f64 * 3.5 / 256.0;
    let count = |row: &serde_json::Value| row["count"].as_u64().unwrap_or(0);
    let is_near = |row: &serde_json::Value| {
        let truth = all.iter().find(|(item, _)| row["item"] == **item).map_or(0, |(_, n)| *n);
        truth > 0 && count(row) >= truth && (count(row) - truth) as f64 <= too_high
    };
    rows.len() == k && rows.iter().all(is_near) && rows.is_sorted_by(|a, b| count(a) >= count(b))
}
