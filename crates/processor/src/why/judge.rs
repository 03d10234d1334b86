//! The verdict.

use super::{
    Asked, CauseKind, Facts, Finding, PipelineRules, PipelineWhy, WindowFacts, WindowState,
    WindowWhy,
    partitions::{Holders, holders},
    run, window,
    words::{count, duration, instant},
};
use crate::runtime::PipelineView;

/// W stands still below this speed.
const LEAST_SPEED: f64 = 0.01;

/// Why the window that is asked about has not fired; without one, why the next one has not, or what holds the watermark.
///
/// | law | |
/// | --- | --- |
/// | `cause` | is that of the gravest finding, `nothing_wrong` without any |
/// | a window that is not over by the clock | waits for nobody's fault: silent and slow partitions are notes then |
/// | a window that has fired | is held by nobody; whether its results arrive is told |
#[must_use]
pub fn judge(
    facts: &Facts<'_>,
    rules: &PipelineRules,
    windows: &WindowFacts,
    asked: &Asked,
) -> PipelineWhy {
    let nobody = PipelineView { name: rules.pipeline.clone(), ..PipelineView::default() };
    let known = facts.view.pipelines.iter().find(|view| view.name == rules.pipeline);
    let pipeline = known.unwrap_or(&nobody);
    let window = window::meant(asked, windows, rules, pipeline.watermark_ms);
    let case = Case { facts, pipeline, rules, windows, asked, window };
    let mut findings = run::findings(facts);
    let held = case.held();
    let mut notes = held.notes;
    findings.extend(held.findings);
    findings.extend(case.missing());
    findings.sort_by_key(|finding| gravity(finding, asked));
    notes.extend(case.notes());
    let expected_ms = case.expected(&findings, held.free_in_ms);
    let main = findings.first().cloned().unwrap_or_else(|| case.nothing_wrong(expected_ms));
    if let Some(window) = &case.window
        && window.state == WindowState::Fired
    {
        notes.push(case.fired_note(window));
    }
    PipelineWhy {
        pipeline: rules.pipeline.clone(),
        cause: main.cause,
        verdict: main.what,
        advice: main.advice,
        expected_ms,
        watermark_ms: pipeline.watermark_ms,
        watermark_lag_ms: pipeline.watermark_lag_ms,
        watermark_speed: facts.speed(pipeline),
        window: case.window,
        findings,
        notes,
        partitions: pipeline.partitions.clone(),
    }
}

/// Where a finding stands. Who asks about no certain window wants to know of a sink that is stuck before silence and lag.
fn gravity(finding: &Finding, asked: &Asked) -> CauseKind {
    match finding.cause {
        CauseKind::SinkStuck if !asked.is_certain() => CauseKind::InputHeld,
        cause => cause,
    }
}

struct Case<'a> {
    facts: &'a Facts<'a>,
    pipeline: &'a PipelineView,
    rules: &'a PipelineRules,
    windows: &'a WindowFacts,
    asked: &'a Asked,
    window: Option<WindowWhy>,
}

impl Case<'_> {
    /// What partitions have to do with it; nothing, if the window is over.
    fn held(&self) -> Holders {
        let end_ms = match &self.window {
            Some(window) if matches!(window.state, WindowState::Fired | WindowState::Closed) => {
                return Holders::default();
            }
            // Without data nobody waits for the end.
            Some(window) => Some(window.end_ms),
            None if self.asked.is_certain() => return Holders::default(),
            None => None,
        };
        holders(self.facts, self.pipeline, self.rules, end_ms)
    }

    /// That there is no data in what is asked about.
    fn missing(&self) -> Option<Finding> {
        if !self.asked.is_certain() || self.windows.open.is_none() {
            return None;
        }
        let of = match &self.asked.key {
            Some(key) => format!(" of key {key}"),
            None => String::new(),
        };
        let (what, advice) = match &self.window {
            None => (
                format!("there is no open window{of}, and no result of it was committed lately"),
                NO_KEY_ADVICE,
            ),
            Some(window) if window.state == WindowState::Empty => (
                format!(
                    "the window [{}, {}) holds no event{of}: empty windows do not fire",
                    window.start, window.end
                ),
                NO_KEY_ADVICE,
            ),
            Some(window) if window.state == WindowState::Closed && window.fired_at.is_none() => (
                format!(
                    "the window [{}, {}){of} is closed: the watermark is beyond its end and allowed lateness. If it held data, it \
                     fired then; its result is not among the last ones this process remembers",
                    window.start, window.end
                ),
                "look for it where results go; events that came for it afterwards are among the late ones (/api/v1/late)",
            ),
            Some(_) => return None,
        };
        let counts = self.pipeline;
        Some(
            Finding::new(CauseKind::NoSuchWindow, what, advice)
                .with("late_dropped", counts.late_dropped)
                .with("dead_lettered", counts.dead_lettered)
                .with("filtered", counts.filtered),
        )
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.windows.open.is_none() {
            notes.push("what windows hold is not known: the worker did not answer in time".into());
        }
        if let Some(ms) = self.rules.emit_interval_ms {
            notes.push(format!(
                "the watermark propagates every {} only (watermark.strategy: periodic)",
                duration(ms)
            ));
        }
        if let Some(window) = &self.window
            && window.state == WindowState::Open
            && window.results_emitted > 0
        {
            notes.push(format!(
                "{} early results of it were emitted already; the one at its end follows",
                count(window.results_emitted)
            ));
        } else if self.rules.fires_early && self.window.is_some() {
            notes.push("windows.trigger gives early results besides".into());
        }
        notes
    }

    fn fired_note(&self, window: &WindowWhy) -> String {
        let more = match self.rules.allowed_lateness_ms {
            0 => String::new(),
            ms => format!(" (allowed lateness {})", duration(ms)),
        };
        format!(
            "late events change it until the watermark reaches {}{more}",
            instant(window.closed_at_ms)
        )
    }

    /// When the window should fire, if that can be said.
    fn expected(&self, findings: &[Finding], free_in_ms: Option<i64>) -> Option<i64> {
        let window = self
            .window
            .as_ref()
            .filter(|window| matches!(window.state, WindowState::Open | WindowState::Empty))?;
        let now_ms = self.facts.view.at_ms;
        let by_partitions =
            |finding: &Finding| matches!(finding.cause, CauseKind::IdlePartition | CauseKind::Lag);
        // What is only about delivery does not change when it fires.
        let by_delivery = |finding: &Finding| {
            matches!(finding.cause, CauseKind::SinkStuck | CauseKind::CommitWaits)
        };
        if !findings.iter().all(|finding| by_partitions(finding) || by_delivery(finding)) {
            return None;
        }
        let over_ms = window.end_ms.saturating_add(self.rules.max_out_of_orderness_ms);
        if findings.iter().any(by_partitions) {
            return Some(now_ms.saturating_add(free_in_ms?).max(over_ms));
        }
        let speed = self.facts.speed(self.pipeline);
        let paced = speed.filter(|speed| *speed > LEAST_SPEED).zip(window.watermark_gap_ms);
        #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
        let paced = paced.map(|(speed, gap_ms)| (gap_ms as f64 / speed) as i64);
        match paced {
            Some(in_ms) => Some(now_ms.saturating_add(in_ms.max(free_in_ms.unwrap_or(0)))),
            None if over_ms > now_ms => Some(over_ms.max(now_ms.saturating_add(free_in_ms?))),
            None => None,
        }
    }

    fn nothing_wrong(&self, expected_ms: Option<i64>) -> Finding {
        let (what, advice) = match &self.window {
            None => (self.nothing_waits(), "nothing is to be done"),
            Some(window) if matches!(window.state, WindowState::Open | WindowState::Empty) => {
                (self.not_over(window, expected_ms), "wait; nothing is to be done")
            }
            Some(window) => (over(window), "nothing is to be done"),
        };
        let speed = self.facts.speed(self.pipeline);
        let gap_ms = self.window.as_ref().and_then(|window| window.watermark_gap_ms);
        Finding::new(CauseKind::NothingWrong, what, advice)
            .maybe("watermark_gap_ms", gap_ms)
            .maybe("watermark_speed", speed)
            .maybe("expected_ms", expected_ms)
    }

    fn nothing_waits(&self) -> String {
        match self.pipeline.watermark_ms {
            None => "nothing is wrong: no event has come yet, so there is no window".into(),
            Some(w) => format!(
                "nothing is wrong: no window that holds data waits for its end; the watermark is {}",
                instant(w)
            ),
        }
    }

    fn not_over(&self, window: &WindowWhy, expected_ms: Option<i64>) -> String {
        let now_ms = self.facts.view.at_ms;
        let key = window.key.as_ref().map(|key| format!(" of {key}")).unwrap_or_default();
        let bound_ms = self.rules.max_out_of_orderness_ms;
        let head = format!("nothing is wrong: the window [{}, {}){key}", window.start, window.end);
        let gap = match window.watermark_gap_ms {
            Some(gap_ms) => format!(
                "fires when the watermark, which stays {} behind the newest event, has gained another {}",
                duration(bound_ms),
                duration(gap_ms)
            ),
            None => "fires when the watermark reaches its end".into(),
        };
        let when = match expected_ms {
            Some(at_ms) => {
                format!("; expected in about {}", duration(at_ms.saturating_sub(now_ms).max(0)))
            }
            None => "; when that is depends on the events that come".into(),
        };
        format!("{head} {gap}{when}")
    }
}

/// That the window has fired.
fn over(window: &WindowWhy) -> String {
    let key = window.key.as_ref().map(|key| format!(" of {key}")).unwrap_or_default();
    let head =
        format!("nothing is wrong: the window [{}, {}){key} has fired", window.start, window.end);
    let results = match window.results_emitted {
        0 => String::new(),
        1 => ", with one result".into(),
        more => format!(", with {} results, the last one counts", count(more)),
    };
    match &window.fired_at {
        Some(at) => format!("{head}{results}; the newest was made at {at} and is committed"),
        None => {
            format!("{head}{results}; it waits for its commit, or was committed some time ago")
        }
    }
}

const NO_KEY_ADVICE: &str = "check the spelling of the key (as `window.key` in results) and the times of the events; `processor tap events \
                             --key …` shows whether any come, and /api/v1/late and /api/v1/dead-letters what became of others";
