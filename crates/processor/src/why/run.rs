//! What concerns the whole run: health, commits, sinks.

use std::fmt::Write as _;

use super::{
    CauseKind, Facts, Finding,
    words::{bytes, count, duration},
};
use crate::runtime::{Held, Part, Reason, SinkView};

/// A sink that has been writing for so long does not answer.
const STUCK_MS: u64 = 2_000;
/// A commit that has been on its way for so long is worth a word.
const SLOW_COMMIT_MS: i64 = 5_000;

/// Everything that is wrong with the run as a whole.
pub(super) fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = facts.health.reasons.iter().filter_map(of_health).collect();
    found.extend(held(facts));
    let stuck: Vec<Finding> = facts
        .sinks
        .sinks
        .iter()
        .filter(|sink| is_stuck(sink))
        .map(|sink| of_sink(facts, sink))
        .collect();
    let is_explained = !stuck.is_empty() || found.iter().any(is_about_commits);
    found.extend(stuck);
    found.extend(
        facts
            .view
            .commit_waits_ms
            .filter(|ms| *ms >= SLOW_COMMIT_MS && !is_explained)
            .map(slow_commit),
    );
    found.extend(sink_without_name(facts, &found));
    found
}

fn is_about_commits(finding: &Finding) -> bool {
    matches!(finding.cause, CauseKind::CommitFailing | CauseKind::NotReady | CauseKind::Stopping)
}

fn of_health(reason: &Reason) -> Option<Finding> {
    let lasts = duration(millis(reason.since_secs));
    let what = |begins: &str| format!("{begins}, for {lasts}: {}", reason.reason);
    let finding = match reason.part {
        Part::Shutdown => Finding::new(
            CauseKind::Stopping,
            what("the run ends"),
            "windows that are open are kept with the state, and go on with the next run",
        ),
        Part::Recovery => Finding::new(
            CauseKind::NotReady,
            what("the run is not ready"),
            "wait until state is read back; if that does not end, the log says what it waits for. On Kafka the group may not \
             have given all partitions: another member may hold some of them",
        ),
        Part::Source => Finding::new(
            CauseKind::SourceUnreachable,
            what("the source cannot be reached"),
            "bring the brokers back, or correct kafka.consumer.bootstrap_servers; nothing is lost meanwhile",
        ),
        Part::Commit => Finding::new(
            CauseKind::CommitFailing,
            what("commits fail, so that nothing which fires becomes visible"),
            "see the reason: free space on the disk of the state, or bring the brokers back; it is tried again",
        ),
        Part::Intake => Finding::new(
            CauseKind::CommitFailing,
            what("records that are sent cannot be stored"),
            "see the reason: most often the disk of the state is full; senders are told to try again",
        ),
        // Said of each sink, with numbers.
        Part::Sink => return None,
    };
    Some(finding.with("since_secs", reason.since_secs))
}

/// Trouble of a sink that is not on the board.
fn sink_without_name(facts: &Facts<'_>, found: &[Finding]) -> Option<Finding> {
    let reason = facts.health.reasons.iter().find(|reason| reason.part == Part::Sink)?;
    if found.iter().any(|finding| finding.cause == CauseKind::SinkStuck) {
        return None;
    }
    let lasts = duration(millis(reason.since_secs));
    let what = format!("a sink has not taken anything for {lasts}: {}", reason.reason);
    Some(
        Finding::new(CauseKind::SinkStuck, what, SINK_ADVICE).with("since_secs", reason.since_secs),
    )
}

fn millis(secs: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
    let ms = (secs * 1e3) as i64;
    ms
}

fn held(facts: &Facts<'_>) -> Option<Finding> {
    let held = facts.view.held?;
    let recovers = facts.health.reasons.iter().any(|reason| reason.part == Part::Recovery);
    let sinks = facts.sinks;
    let outbox = || {
        Finding::new(
            CauseKind::OutboxFull,
            format!(
                "input waits, because {} wait for the sinks (max_outbox_bytes is {})",
                bytes(sinks.waiting_bytes),
                bytes(sinks.max_bytes)
            ),
            "bring the sink back that does not take its results; a larger max_outbox_bytes only buys time",
        )
        .with("waiting_bytes", sinks.waiting_bytes)
        .with("max_outbox_bytes", sinks.max_bytes)
    };
    match held {
        Held::Group if recovers => None,
        Held::Group => Some(Finding::new(
            CauseKind::PartitionsMissing,
            "the group has not given all partitions to this process, and it counts only with all of them: a rebalance is \
             going on, or another member has some",
            "end the other member of the group (kafka-consumer-groups.sh --describe --members names it), or wait for its \
             session to time out",
        )),
        Held::OutboxFull => Some(outbox()),
        Held::CommitFull if sinks.is_full() => Some(outbox()),
        Held::CommitFull => Some(
            Finding::new(
                CauseKind::InputHeld,
                "input waits: the next commit is full (max_commit_bytes), and the one before it is not acknowledged",
                "see what holds the commit: a sink that does not answer, a slow disk, brokers that are away",
            )
            .maybe("commit_waits_ms", facts.view.commit_waits_ms),
        ),
    }
}

const SINK_ADVICE: &str = "bring the server of the sink back, or correct its address; what is committed is kept for it, and delivered \
                           then";

fn is_stuck(sink: &SinkView) -> bool {
    sink.failures > 0 || sink.busy_ms.is_some_and(|ms| ms >= STUCK_MS)
}

fn of_sink(facts: &Facts<'_>, sink: &SinkView) -> Finding {
    let name = &sink.name;
    let for_ms = |ms: u64| duration(i64::try_from(ms).unwrap_or(i64::MAX));
    let lasts = sink.failing_ms.max(sink.busy_ms).unwrap_or_default();
    let mut what = match &sink.error {
        Some(error) => format!(
            "windows fire, but sink {name} has taken nothing for {}, after {} attempts: {error}",
            for_ms(lasts),
            count(sink.failures)
        ),
        None => format!(
            "windows fire, but sink {name} has been at one delivery for {} and does not answer",
            for_ms(lasts)
        ),
    };
    let sinks = facts.sinks;
    if sinks.waiting_bytes > 0 {
        let _ = write!(
            what,
            "; {} wait in the outbox, of {} that may (max_outbox_bytes)",
            bytes(sinks.waiting_bytes),
            bytes(sinks.max_bytes)
        );
    } else if facts.view.commit_waits_ms.is_some() {
        what +=
            &format!("; a commit with {} results waits for it", count(facts.view.commit_results));
    }
    Finding::new(CauseKind::SinkStuck, what, SINK_ADVICE)
        .with("sink", name.clone())
        .with("failures", sink.failures)
        .with("since_ms", lasts)
        .with("waiting_bytes", sinks.waiting_bytes)
        .with("max_outbox_bytes", sinks.max_bytes)
        .maybe("error", sink.error.clone())
        .maybe("commit_waits_ms", facts.view.commit_waits_ms)
}

fn slow_commit(ms: i64) -> Finding {
    Finding::new(
        CauseKind::CommitWaits,
        format!("a commit has been on its way for {}: what fired since becomes visible after it", duration(ms)),
        "see how long commits take (processor_commit_duration_seconds); a slow disk or slow brokers are the usual reasons",
    )
    .with("commit_waits_ms", ms)
}
