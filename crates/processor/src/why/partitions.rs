//! Who holds the watermark, and why.

use std::fmt::Write as _;

use super::{
    CauseKind, Facts, Finding, PipelineRules,
    words::{count, duration, instant, partition, partition_id},
};
use crate::runtime::{PartitionView, PipelineView};

/// A partition of which nothing came for so long is silent.
const SILENT_MS: i64 = 2_000;
/// A partition that is not at its end and of which nothing came for so long is not fed.
const STARVED_MS: i64 = 10_000;
/// What is caught up within this time is no lag.
const SHORT_MS: i64 = 2_000;
/// A time so far ahead of the clock is no difference between clocks.
const AHEAD_MS: i64 = 60_000;
/// Refused records count as the present state of a partition for so long.
const RECENT_MS: i64 = 300_000;
/// Findings about partitions; the others are counted.
const MAX_FINDINGS: usize = 5;

/// What partitions have to do with it.
#[derive(Debug, Default)]
pub(super) struct Holders {
    pub(super) findings: Vec<Finding>,
    pub(super) notes: Vec<String>,
    /// In how many milliseconds the last of them should stop holding W, if that can be said of all.
    pub(super) free_in_ms: Option<i64>,
}

/// What holds W below `end_ms`; without it, what holds W where it is.
pub(super) fn holders(
    facts: &Facts<'_>,
    pipeline: &PipelineView,
    rules: &PipelineRules,
    end_ms: Option<i64>,
) -> Holders {
    let now_ms = facts.view.at_ms;
    let context = Context { facts, pipeline, rules, now_ms };
    let mut found = Holders { notes: context.notes(), ..Holders::default() };
    let bound_ms = rules.max_out_of_orderness_ms;
    let is_due = end_ms.is_none_or(|end| now_ms >= end.saturating_add(bound_ms));
    let holds = |p: &&PartitionView| {
        let is_below = p.watermark_ms.is_none_or(|w| end_ms.is_none_or(|end| w < end));
        !p.is_idle && !p.has_ended && is_below && (p.holds_watermark || end_ms.is_some())
    };
    let mut free_in_ms = Some(0);
    let mut others = 0;
    for holder in pipeline.partitions.iter().filter(holds) {
        let Some((finding, frees)) = context.judged(holder) else { continue };
        free_in_ms = free_in_ms.zip(frees).map(|(longest, frees): (i64, i64)| longest.max(frees));
        // Before the window is over by the clock, silence is nobody's fault.
        let is_grave = is_due || finding.cause == CauseKind::FutureTimestamps;
        if !is_grave {
            found.notes.push(format!("{}. {}", finding.what, finding.advice));
        } else if found.findings.len() < MAX_FINDINGS {
            found.findings.push(finding);
        } else {
            others += 1;
        }
    }
    if others > 0 {
        found.notes.push(format!("{others} further partitions hold the watermark, too"));
    }
    found.free_in_ms = free_in_ms;
    found
}

struct Context<'a> {
    facts: &'a Facts<'a>,
    pipeline: &'a PipelineView,
    rules: &'a PipelineRules,
    now_ms: i64,
}

impl Context<'_> {
    /// Why a partition holds W, and in how many milliseconds it should not any more, if that can be said. `None`: it is well.
    fn judged(&self, holder: &PartitionView) -> Option<(Finding, Option<i64>)> {
        // Marks of transactions count as records that are left; while input is held, more may have come.
        let is_at_end = holder.is_caught_up
            && (holder.lag_records.unwrap_or(0) == 0 || self.facts.view.held.is_none());
        if is_refused(holder) {
            return Some((self.refused(holder), None));
        }
        if self.is_pushed(holder) {
            return Some((self.pushed(holder), None));
        }
        if is_at_end && holder.silent_ms >= SILENT_MS {
            let idle_in =
                self.rules.idle_timeout_ms.map(|timeout| (timeout - holder.silent_ms).max(0));
            return Some((self.silent(holder, idle_in), idle_in));
        }
        if let Some(lag) = holder.lag_records.filter(|lag| *lag > 0) {
            let rate = self.rate(holder);
            let catches_up = rate.filter(|rate| *rate > 0.0).map(|rate| lag as f64 / rate * 1e3);
            #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
            let catches_up = catches_up.map(|ms| ms as i64);
            if catches_up.is_none_or(|ms| ms > SHORT_MS) {
                return Some((self.behind(holder, lag, rate, catches_up), catches_up));
            }
            return None;
        }
        let is_starved = !holder.is_caught_up && holder.silent_ms >= STARVED_MS;
        is_starved.then(|| (starved(holder), None))
    }

    fn refused(&self, holder: &PartitionView) -> Finding {
        let skew_ms = self.rules.max_future_skew_ms.unwrap_or_default();
        let detail = holder.future_detail.as_deref().unwrap_or_default();
        let name = partition(holder);
        let what = format!(
            "{name} holds the watermark{}: its {} newest records lie further in the future than max_future_skew_secs ({}) \
             allows, so they are dead letters and move no watermark. The last one: {detail}",
            at(holder),
            count(holder.future_records),
            duration(skew_ms),
        );
        let idle = match self.rules.idle_timeout_ms {
            Some(ms) => format!(
                "; once it is read to its end and silent for {}, it holds nothing",
                duration(ms)
            ),
            None => String::new(),
        };
        let advice = format!(
            "correct the clock or the timestamps of what writes to {name} (the dead letters are listed by /api/v1/dead-letters{idle}); \
             if such times are right, raise watermark.max_future_skew_secs"
        );
        finding(CauseKind::FutureTimestamps, what, advice, holder)
            .with("refused_records", holder.future_records)
            .with("max_future_skew_ms", skew_ms)
    }

    /// Whether a partition has events so far ahead of the clock that those of now are late.
    fn is_pushed(&self, view: &PartitionView) -> bool {
        let allowed_ms = AHEAD_MS.max(self.rules.max_future_skew_ms.unwrap_or(0));
        view.greatest_time_ms.is_some_and(|at| at > self.now_ms.saturating_add(allowed_ms))
    }

    fn pushed(&self, holder: &PartitionView) -> Finding {
        let greatest = holder.greatest_time_ms.unwrap_or_default();
        let ahead_ms = greatest.saturating_sub(self.now_ms);
        let name = partition(holder);
        let what = format!(
            "an event of {name} lies {} ahead of the clock ({}) and has pushed the watermark there: windows up to then have \
             fired, and {} events of this pipeline came too late",
            duration(ahead_ms),
            instant(greatest),
            count(self.pipeline.late_dropped)
        );
        let advice = "correct the clock or the timestamps of the sender, and set watermark.max_future_skew_secs, so that such events \
                      become dead letters; the watermark never goes back, so a restore of a checkpoint from before, or --new-state, \
                      is what undoes it";
        finding(CauseKind::FutureTimestamps, what, advice, holder)
            .with("ahead_ms", ahead_ms)
            .with("late_dropped", self.pipeline.late_dropped)
            .maybe("max_future_skew_ms", self.rules.max_future_skew_ms)
    }

    fn silent(&self, holder: &PartitionView, idle_in: Option<i64>) -> Finding {
        let name = partition(holder);
        let silence = if holder.has_spoken {
            format!("has been silent for {}", duration(holder.silent_ms))
        } else {
            format!(
                "has not had a single event since it is read, {} ago",
                duration(holder.silent_ms)
            )
        };
        let mut what =
            format!("{name} {silence}, is read to its end, and holds the watermark{}", at(holder));
        let lead_ms = self.lead_ms(holder);
        if let Some(lead_ms) = lead_ms {
            let _ = write!(what, "; the others are up to {} further", duration(lead_ms));
        }
        let (then, advice) = match (idle_in, self.rules.idle_timeout_ms) {
            (Some(in_ms), Some(timeout)) => (
                format!("; it is idle in {}, and holds nothing then", duration(in_ms)),
                format!(
                    "wait, send an event to {name}, or shorten watermark.idle_timeout_secs ({}) if silence is usual there",
                    duration(timeout)
                ),
            ),
            _ => (
                "; it is never taken for idle, because watermark.idle_timeout_secs is 0".into(),
                format!(
                    "send an event to {name}, or set watermark.idle_timeout_secs to how long a partition may be silent"
                ),
            ),
        };
        what += &then;
        finding(CauseKind::IdlePartition, what, advice, holder)
            .with("silent_ms", holder.silent_ms)
            .maybe("idle_timeout_ms", self.rules.idle_timeout_ms)
            .maybe("idle_in_ms", idle_in)
            .maybe("others_ahead_ms", lead_ms)
    }

    fn behind(
        &self,
        holder: &PartitionView,
        lag: i64,
        rate: Option<f64>,
        catches_up: Option<i64>,
    ) -> Finding {
        let name = partition(holder);
        let time = match holder.watermark_lag_ms {
            Some(ms) => format!(", {} behind the clock", duration(ms)),
            None => String::new(),
        };
        let pace = match (rate, catches_up) {
            (Some(rate), Some(ms)) => format!(
                "; {rate:.0} records per second are read of it, so about {} are left",
                duration(ms)
            ),
            (Some(_), None) => "; nothing was read of it in the last seconds".into(),
            _ => String::new(),
        };
        let what = format!(
            "{name} holds the watermark{}{time}: {} records of it are not read yet{pace}",
            at(holder),
            count(lag)
        );
        let advice = if rate.is_some_and(|rate| rate > 0.0) {
            "wait until it has caught up; if the lag grows, see docs/performance.md, or spread the load"
        } else {
            "see the log and the findings beside this one: input is held, or the broker does not answer"
        };
        finding(CauseKind::Lag, what, advice, holder)
            .with("lag_records", lag)
            .maybe("watermark_lag_ms", holder.watermark_lag_ms)
            .maybe("read_per_sec", rate)
            .maybe("catches_up_in_ms", catches_up)
    }

    /// Records read per second in the last seconds.
    fn rate(&self, now: &PartitionView) -> Option<f64> {
        let (before, passed_ms) = self.facts.before(&self.pipeline.name)?;
        let is_it = |p: &&PartitionView| {
            (&p.source, &p.name, p.partition) == (&now.source, &now.name, now.partition)
        };
        let before = before.partitions.iter().find(is_it)?.position.unwrap_or(0);
        let read = now.position?.saturating_sub(before);
        Some(read.max(0) as f64 * 1e3 / passed_ms as f64)
    }

    /// How far the furthest of the others is ahead.
    fn lead_ms(&self, holder: &PartitionView) -> Option<i64> {
        let others = self.pipeline.partitions.iter().filter_map(|p| p.watermark_ms).max()?;
        let lead = others.saturating_sub(holder.watermark_ms?);
        (lead > 0).then_some(lead)
    }

    /// What is so, and no trouble by itself.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let partitions = &self.pipeline.partitions;
        let paused: Vec<String> =
            partitions.iter().filter(|p| p.is_paused).map(partition_id).collect();
        if !paused.is_empty() {
            notes.push(format!(
                "{} wait{} for slower partitions: more than watermark.max_watermark_drift_secs ({}) ahead",
                listed(&paused),
                if paused.len() == 1 { "s" } else { "" },
                duration(self.rules.max_watermark_drift_ms)
            ));
        }
        let idle: Vec<String> = partitions.iter().filter(|p| p.is_idle).map(partition_id).collect();
        if !idle.is_empty() && idle.len() == partitions.len() {
            notes.push("all partitions are idle: the watermark goes on with the clock".into());
        } else if !idle.is_empty() {
            notes.push(format!("idle, and so not waited for: {}", listed(&idle)));
        }
        let pushed = partitions.iter().filter(|p| self.is_pushed(p) && !p.holds_watermark);
        notes.extend(pushed.map(|p| {
            let ahead = p.greatest_time_ms.unwrap_or_default().saturating_sub(self.now_ms);
            format!(
                "{} is {} ahead of the clock; it does not hold the watermark",
                partition(p),
                duration(ahead)
            )
        }));
        notes
    }
}

/// Whether the newest records of a partition were refused because they lie in the future.
fn is_refused(holder: &PartitionView) -> bool {
    let is_newest = |ago_ms: i64| !holder.has_spoken || ago_ms <= holder.silent_ms;
    let is_recent = |ago_ms: &i64| *ago_ms <= RECENT_MS;
    holder.future_records > 0 && holder.future_ago_ms.filter(is_recent).is_some_and(is_newest)
}

fn starved(holder: &PartitionView) -> Finding {
    let name = partition(holder);
    let what = format!(
        "{name} holds the watermark{}: nothing has come of it for {}, and it is not known to be read to its end",
        at(holder),
        duration(holder.silent_ms)
    );
    let advice = "see the log: a broker that does not answer, a file that cannot be read, or a record that is being written";
    finding(CauseKind::SourceSilent, what, advice, holder).with("silent_ms", holder.silent_ms)
}

fn finding(
    cause: CauseKind,
    what: String,
    advice: impl Into<String>,
    holder: &PartitionView,
) -> Finding {
    Finding::new(cause, what, advice)
        .of(partition_id(holder))
        .maybe("watermark_ms", holder.watermark_ms)
        .maybe("position", holder.position)
}

/// ` at 2026-…`.
fn at(holder: &PartitionView) -> String {
    holder
        .watermark_ms
        .map_or_else(|| " at the beginning".into(), |w| format!(" at {}", instant(w)))
}

/// Up to five names.
fn listed(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(MAX_FINDINGS).map(String::as_str).collect();
    let more = names.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
