//! What differs between the configuration and the one that the state of the group is of.

use super::{CommitIo, Explanation};
use crate::{
    commit::{
        Fingerprint,
        kafka::{KafkaEvent, StoredOffset},
    },
    kafka::generation::changelog_name,
};

impl CommitIo {
    /// The settings that differ and what can be done, if the offsets say that there is a difference.
    pub(super) fn explain_difference(&self, event: &KafkaEvent) -> Option<Explanation> {
        let configured = self.settings.fingerprint.as_ref()?;
        let KafkaEvent::OffsetsFetched { offsets, .. } = event else { return None };
        let hash = configured.hash();
        let is_other = |offset: &StoredOffset| match offset {
            StoredOffset::Known { metadata, .. } => metadata.fingerprint != hash,
            _ => false,
        };
        if !offsets.iter().any(|(_, offset)| is_other(offset)) {
            return None;
        }
        let group = &self.settings.group;
        let changes = self.stored_fingerprint().map(|stored| stored.changes_to(configured));
        let changes = changes.filter(|changes| !changes.is_empty()).map_or_else(
            || {
                "  what differs is not known: the changelog does not say what the state is of"
                    .to_owned()
            },
            |changes| {
                let lines: Vec<String> =
                    changes.iter().map(|change| format!("  {change}")).collect();
                lines.join("\n")
            },
        );
        let text = format!(
            "the state of group `{group}` is of another configuration:\n{changes}\n\
             Changing windows, keys, values or statistics changes what the numbers mean, so the state cannot be used for it. \
             Either\n  \
             - keep: take the change back; what does not change the numbers (allowed lateness, out-of-orderness, limits, \
             sinks, commits) may be changed at any time,\n  \
             - begin afresh: run once with --new-state; the new state begins where kafka.consumer.auto_offset_reset says, in \
             topics of its own, and later runs go on with it; the old state stays beside it, or\n  \
             - give this configuration another kafka.consumer.group_id"
        );
        Some(Explanation { text, is_denied: false })
    }

    fn stored_fingerprint(&self) -> Option<Fingerprint> {
        let first = self.settings.changelogs.first()?;
        let topic = changelog_name(first, self.settings.generation.number());
        let json = self.changelog(&topic).about(&self.stop).ok().flatten()?;
        Fingerprint::from_json(&json).ok()
    }
}
