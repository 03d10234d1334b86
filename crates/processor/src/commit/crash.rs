//! Named points at which a test lets the process die.
//!
//! `PROCESSOR_CRASH_POINT=after_store_write:3` aborts the process when it passes that point for the third
//! time: nothing is flushed, no destructor runs. It is for tests of recovery; without the variable a
//! point costs one load. The simulated worlds crash at random moments, in between too.

use std::{
    env, fmt,
    process::abort,
    str::FromStr,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// The environment variable that names a point.
pub const CRASH_POINT_VARIABLE: &str = "PROCESSOR_CRASH_POINT";

/// A point of commit, delivery or recovery at which a crash must harm nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CrashPoint {
    /// A commit is cut; nothing of it is in the store.
    BeforeStoreWrite,
    /// The commit is in the store; no sink has seen it.
    AfterStoreWrite,
    /// A sink is about to write.
    BeforeSinkWrite,
    /// Half of what a file sink writes is written.
    DuringSinkWrite,
    /// Everything is written and nothing of it synced.
    AfterSinkWrite,
    /// The sink is synced, its cursor is the old one.
    AfterSinkSync,
    /// The new cursor is written, and the rows behind it are deleted.
    AfterCursor,
    /// Recovery has read the store; no sink was touched.
    BeforeTruncation,
    /// A file was cut to its committed length, its cursor was not written anew.
    AfterTruncation,
    /// Everything is recovered; nothing was read from the source.
    AfterRecovery,
    /// Records were received; nothing of them is in the inbox.
    BeforeInboxWrite,
    /// They are in the inbox; nobody was told.
    AfterInboxWrite,
    /// The transactional id is taken; what this instance left open is aborted.
    AfterInit,
    /// The committed offsets are known.
    AfterOffsetFetch,
    /// State is read back from the changelog; nothing was assigned.
    AfterChangelogRead,
    /// A transaction is open and empty.
    AfterBegin,
    /// Its records are acknowledged; it has no offsets.
    AfterProduce,
    /// The offsets are part of it; it is not committed.
    AfterOffsets,
    /// It is committed, and nobody here knows.
    AfterCommit,
}

impl CrashPoint {
    /// The points of runs with a local store.
    pub const EMBEDDED: [Self; 10] = [
        Self::BeforeStoreWrite,
        Self::AfterStoreWrite,
        Self::BeforeSinkWrite,
        Self::DuringSinkWrite,
        Self::AfterSinkWrite,
        Self::AfterSinkSync,
        Self::AfterCursor,
        Self::BeforeTruncation,
        Self::AfterTruncation,
        Self::AfterRecovery,
    ];

    /// The points of runs that are sent records.
    pub const INTAKE: [Self; 2] = [Self::BeforeInboxWrite, Self::AfterInboxWrite];

    /// The points of runs that commit on Kafka.
    pub const KAFKA: [Self; 7] = [
        Self::AfterInit,
        Self::AfterOffsetFetch,
        Self::AfterChangelogRead,
        Self::AfterBegin,
        Self::AfterProduce,
        Self::AfterOffsets,
        Self::AfterCommit,
    ];

    /// Every point.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::EMBEDDED.into_iter().chain(Self::INTAKE).chain(Self::KAFKA)
    }

    /// The name in [`CRASH_POINT_VARIABLE`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeStoreWrite => "before_store_write",
            Self::AfterStoreWrite => "after_store_write",
            Self::BeforeSinkWrite => "before_sink_write",
            Self::DuringSinkWrite => "during_sink_write",
            Self::AfterSinkWrite => "after_sink_write",
            Self::AfterSinkSync => "after_sink_sync",
            Self::AfterCursor => "after_cursor",
            Self::BeforeTruncation => "before_truncation",
            Self::AfterTruncation => "after_truncation",
            Self::AfterRecovery => "after_recovery",
            Self::BeforeInboxWrite => "before_inbox_write",
            Self::AfterInboxWrite => "after_inbox_write",
            Self::AfterInit => "after_init",
            Self::AfterOffsetFetch => "after_offset_fetch",
            Self::AfterChangelogRead => "after_changelog_read",
            Self::AfterBegin => "after_begin",
            Self::AfterProduce => "after_produce",
            Self::AfterOffsets => "after_offsets",
            Self::AfterCommit => "after_commit",
        }
    }

    /// Ends the process here, if that was asked for.
    pub(crate) fn pass(self) {
        if self.is_reached() {
            abort();
        }
    }

    /// Whether the process is to end here, now; for points that leave something half done.
    pub(crate) fn is_reached(self) -> bool {
        let Some(armed) = ARMED.get_or_init(armed) else { return false };
        armed.point == self && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

impl fmt::Display for CrashPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CrashPoint {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::all().find(|point| point.name() == name);
        found.ok_or_else(|| {
            let names = Self::all().map(Self::name).collect::<Vec<_>>().join(", ");
            format!("there is no crash point `{name}`; there are {names}")
        })
    }
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

#[derive(Debug)]
struct Armed {
    point: CrashPoint,
    left: AtomicU64,
}

fn armed() -> Option<Armed> {
    let text = env::var(CRASH_POINT_VARIABLE).ok()?;
    match parse(&text) {
        Ok((point, times)) => Some(Armed { point, left: AtomicU64::new(times) }),
        Err(fault) => {
            tracing::error!("{CRASH_POINT_VARIABLE}: {fault}");
            None
        }
    }
}

fn parse(text: &str) -> Result<(CrashPoint, u64), String> {
    let (name, times) = text.split_once(':').unwrap_or((text, "1"));
    let times = times.parse().map_err(|_| format!("`{times}` is no number of times"))?;
    Ok((name.parse()?, times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_has_a_name_of_its_own() {
        for point in CrashPoint::all() {
            assert_eq!(parse(&format!("{point}:7")), Ok((point, 7)));
            assert_eq!(parse(point.name()), Ok((point, 1)));
        }
        assert!(parse("nowhere").unwrap_err().contains("after_store_write"));
        assert!(parse("after_cursor:x").is_err());
    }
}
