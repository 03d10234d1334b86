//! The final statistics of a run as JSON.

use std::{collections::BTreeMap, fs, io::Write, path::Path, time::Duration};

use llm_optimizer_types::SideReason;
use serde::{Deserialize, Serialize};
use tracing::info;

use super::{counters::Counters, worker::Pipeline};
use crate::error::{ProcessorError, ProcessorResult};

/// Statistics of one pipeline.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PipelineReport {
    /// Records read; the sum of `accepted`, `filtered`, `late_dropped`, `dead_lettered`, `skipped` and
    /// `shed`.
    pub records_read: u64,
    /// Events in at least one window.
    pub accepted: u64,
    /// Events without the pipeline's key or value.
    pub filtered: u64,
    /// Events too late for every window.
    pub late_dropped: u64,
    /// Accepted records, of which some of several events (`flat_map`) were too late or over a limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_in_part: u64,
    /// Records that cannot be used.
    pub dead_lettered: u64,
    /// The same by reason.
    pub dead_letters: BTreeMap<SideReason, u64>,
    /// Records that cannot be used, left out by `ErrorPolicy::Skip` of a pipeline built in code; 0 for
    /// a configuration in this release.
    pub skipped: u64,
    /// Records left out under pressure; 0 in this release.
    pub shed: u64,
    /// How often a key of a batch was counted under an overflow key (`limits.max_keys`).
    #[serde(default)]
    pub keys_overflowed: u64,
    /// Statistics of results that failed; each is in `errors` of its result.
    #[serde(default)]
    pub aggregation_errors: u64,
    /// (Key, window) pairs that fired.
    pub windows_fired: u64,
    /// Results, revisions included.
    pub results_emitted: u64,
    /// The watermark, RFC 3339; none if no event was read.
    pub watermark: Option<String>,
}

impl PipelineReport {
    /// The report of `counters` at watermark `watermark`.
    #[must_use]
    pub fn new(counters: &Counters, watermark: Option<String>) -> Self {
        Self {
            records_read: counters.records_read,
            accepted: counters.accepted,
            filtered: counters.filtered,
            late_dropped: counters.late_dropped,
            lost_in_part: counters.lost_in_part,
            dead_lettered: counters.dead_lettered(),
            dead_letters: counters.dead_letters.clone(),
            skipped: counters.skipped,
            shed: counters.shed,
            keys_overflowed: counters.keys_overflowed,
            aggregation_errors: counters.aggregation_errors,
            windows_fired: counters.windows_fired,
            results_emitted: counters.results_emitted,
            watermark,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Statistics of a run: of the first pipeline at the top level, of each under `pipelines`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunReport {
    /// The first pipeline.
    #[serde(flatten)]
    pub first: PipelineReport,
    /// Clock when the first record was read, in epoch milliseconds.
    pub first_record_ms: Option<i64>,
    /// Seconds from start to end.
    pub elapsed_secs: f64,
    /// Records read per second since the first record.
    pub events_per_sec: f64,
    /// Why the run ended: `end_of_input`, `stopped` or `error`.
    pub ended_by: String,
    /// What went wrong, if something did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// Bytes of committed output that not every sink had at the end, of a Kafka source; the next run delivers them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waiting_for_sinks_bytes: u64,
    /// Every pipeline by name.
    pub pipelines: BTreeMap<String, PipelineReport>,
}

/// When a run did what.
pub(super) struct RunTimes {
    pub(super) started: Duration,
    pub(super) ended: Duration,
    /// Wall clock and elapsed time at the first record.
    pub(super) first_record: Option<(i64, Duration)>,
    /// Records that earlier runs over the same state have read.
    pub(super) read_before: u64,
}

impl RunReport {
    /// The report of a run of `pipelines`; events per second are those of this run, from its first record on.
    pub(super) fn of(
        pipelines: &[Pipeline],
        times: &RunTimes,
        ended_by: &str,
        error: Option<&ProcessorError>,
    ) -> Self {
        let first = pipelines.first().map(Pipeline::report).unwrap_or_default();
        let since = |at| times.ended.saturating_sub(at).as_secs_f64();
        let reading = times.first_record.map_or(0.0, |(_, at)| since(at));
        let read = first.records_read.saturating_sub(times.read_before);
        let events_per_sec = if reading > 0.0 { read as f64 / reading } else { 0.0 };
        Self {
            first,
            first_record_ms: times.first_record.map(|(wall_ms, _)| wall_ms),
            elapsed_secs: since(times.started),
            events_per_sec,
            ended_by: ended_by.to_owned(),
            error: error.map(ToString::to_string),
            waiting_for_sinks_bytes: 0,
            pipelines: pipelines.iter().map(|p| (p.name().to_owned(), p.report())).collect(),
        }
    }

    /// The report of a run that failed before it began.
    #[must_use]
    pub fn failed(error: &ProcessorError) -> Self {
        let error = Some(error.to_string());
        Self { ended_by: "error".into(), error, ..Self::default() }
    }

    /// Logs how the run ended, in one line.
    pub fn log(&self) {
        let (records_read, results) = (self.first.records_read, self.first.results_emitted);
        info!(records_read, results, ended_by = self.ended_by, "done");
    }

    /// Writes the report beside `path` and renames it into place, so that a reader sees all or nothing.
    ///
    /// # Errors
    /// [`ProcessorError::Io`] if the folder or file cannot be written.
    pub fn write(&self, path: &Path) -> ProcessorResult<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let fail =
            |action| move |cause| ProcessorError::Io { action, path: path.to_owned(), cause };
        let mut json = serde_json::to_vec_pretty(self)
            .map_err(|cause| ProcessorError::Serialization(cause.to_string()))?;
        json.push(b'\n');
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail("create"))?;
        file.write_all(&json).map_err(fail("write"))?;
        file.as_file().sync_all().map_err(fail("sync"))?;
        let file = file.persist(path).map_err(|failed| fail("rename")(failed.error))?;
        make_readable(&file).map_err(fail("set the permissions of"))
    }
}

/// A temporary file is private; a report is read by others.
#[cfg(unix)]
fn make_readable(file: &fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_: &fs::File) -> std::io::Result<()> {
    Ok(())
}
