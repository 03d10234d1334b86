//! Which state of a group is used: each `--new-state` begins another one, in changelogs of its own, beside those before.
//!
//! The number is committed beside every offset, so whoever starts next, on any machine, goes on with the newest state. Offsets
//! of an older state count as none: the new one begins as configured for a first start.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::info;

use super::committed::Committed;

/// The number of the state, known once the group's offsets were looked at; and what is known of its topics by then.
#[derive(Debug, Default)]
pub struct Generation {
    wants_new: bool,
    known: Mutex<Known>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Known {
    number: u32,
    tombstone_retention_ms: Option<i64>,
}

impl Generation {
    /// The newest state, or one after it.
    #[must_use]
    pub fn new(wants_new: bool) -> Self {
        Self { wants_new, known: Mutex::default() }
    }

    /// Whether a state is begun beside those that are there.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.wants_new
    }

    /// The number; 0 for the first state of a group.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.lock().number
    }

    /// Takes note of what the group has committed; true if the number is another one now.
    pub(super) fn settle(&self, committed: &[Committed]) -> bool {
        let generation = |committed: &Committed| match committed {
            Committed::Known { metadata, .. } => Some(metadata.generation),
            _ => None,
        };
        let newest = committed.iter().filter_map(generation).max();
        let is_used = committed.iter().any(|one| !matches!(one, Committed::Absent));
        let number = match newest {
            Some(newest) if self.wants_new => newest + 1,
            Some(newest) => newest,
            // Offsets of another program, or whose state is not decided: there may be a state.
            None => u32::from(self.wants_new && is_used),
        };
        let mut known = self.lock();
        // What was found once is not forgotten because an offset is undecided now.
        let is_other = number > known.number;
        known.number = known.number.max(number);
        is_other
    }

    /// The next number: changelogs of this one have been written to.
    pub(super) fn pass_over(&self) {
        self.lock().number += 1;
    }

    /// Takes note of how long a changelog keeps deletions.
    pub(super) fn keeps_tombstones_for(&self, ms: i64) {
        let mut known = self.lock();
        known.tombstone_retention_ms =
            Some(known.tombstone_retention_ms.map_or(ms, |before| before.min(ms)));
    }

    /// How long every changelog keeps deletions, if that is known.
    pub(super) fn tombstone_retention_ms(&self) -> Option<i64> {
        self.lock().tombstone_retention_ms
    }

    /// Says which state it is, unless it is the first and only one.
    pub(super) fn announce(&self, group: &str) {
        let state = self.number();
        if self.wants_new {
            info!(%group, state, "a new state begins; what was there before stays beside it");
        } else if state > 0 {
            info!(%group, state, "goes on with the newest state of the group");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The changelog of this name in the state of this number.
#[must_use]
pub fn changelog_name(base: &str, generation: u32) -> String {
    if generation == 0 { base.to_owned() } else { format!("{base}-{generation}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{InstanceTag, OffsetMetadata, OffsetMetadataError};

    fn known(generation: u32) -> Committed {
        let metadata = OffsetMetadata {
            commit_seq: 1,
            fingerprint: 0,
            instance: InstanceTag::of("a"),
            incarnation: 0,
            generation,
            pipelines: vec![],
        };
        Committed::Known { position: 0, metadata }
    }

    fn foreign() -> Committed {
        let reason = OffsetMetadataError::Foreign { found: String::new() };
        Committed::Foreign { position: 5, reason }
    }

    #[test]
    fn the_newest_state_is_used_and_a_new_one_comes_after_it() {
        for (committed, goes_on, anew) in [
            (vec![], 0, 0),
            (vec![Committed::Absent], 0, 0),
            (vec![known(0), known(0)], 0, 1),
            (vec![known(0), known(3), Committed::Absent], 3, 4),
            (vec![foreign()], 0, 1),
            (vec![Committed::Unstable], 0, 1),
        ] {
            for (wants_new, expected) in [(false, goes_on), (true, anew)] {
                let generation = Generation::new(wants_new);
                generation.settle(&committed);
                assert_eq!(generation.number(), expected, "{wants_new} {committed:?}");
            }
        }
    }

    #[test]
    fn a_second_look_sees_what_was_committed_meanwhile_and_forgets_nothing() {
        let generation = Generation::new(true);
        assert!(generation.settle(&[known(0)]));
        assert!(!generation.settle(&[Committed::Unstable]));
        assert!(generation.settle(&[known(1)]), "another process began a state");
        assert_eq!(generation.number(), 2);
    }

    #[test]
    fn the_first_state_has_the_plain_name() {
        assert_eq!(changelog_name("g-p-changelog", 0), "g-p-changelog");
        assert_eq!(changelog_name("g-p-changelog", 2), "g-p-changelog-2");
    }
}
