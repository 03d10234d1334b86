//! Topics of our own in the state that is used: made if they are missing, checked if they are there.

use super::{
    admin::Admin,
    cluster::NotYet,
    generation::Generation,
    internal_topics::{self, InternalTopic, InternalTopicKind, TopicFault},
    requirements::Findings,
};
use crate::error::{ProcessorError, ProcessorResult};

/// The topics of a group, and which of its states is used.
pub(super) struct OwnTopics<'a> {
    /// Brokers, for errors.
    pub(super) brokers: &'a str,
    /// The topics under the names of the first state.
    pub(super) topics: &'a [InternalTopic],
    /// Which state is used; a new one passes over the changelogs that were ever written to.
    pub(super) generation: &'a Generation,
}

impl OwnTopics<'_> {
    /// Makes and checks each of them; faults go to `findings`.
    ///
    /// # Errors
    /// [`ProcessorError::Unavailable`] if brokers do not answer: ask again.
    pub(super) fn check(&self, admin: &Admin, findings: &mut Findings) -> ProcessorResult<()> {
        if self.generation.is_new() {
            self.pass_over_used(admin, findings)?;
        }
        for topic in self.topics {
            let topic = topic.of_generation(self.generation.number());
            self.judged(internal_topics::ensure(admin, &topic).map(|_| ()), findings)?;
            if topic.kind == InternalTopicKind::Changelog
                && let Some(ms) = internal_topics::tombstone_retention_ms(admin, &topic)
            {
                self.generation.keeps_tombstones_for(ms);
            }
        }
        Ok(())
    }

    /// A new state begins in changelogs that were never written to.
    fn pass_over_used(&self, admin: &Admin, findings: &mut Findings) -> ProcessorResult<()> {
        let of_state = || self.topics.iter().filter(|t| t.kind == InternalTopicKind::Changelog);
        loop {
            let number = self.generation.number();
            let mut is_used = false;
            for topic in of_state() {
                let used = internal_topics::is_used(admin, &topic.of_generation(number));
                is_used |= self.judged(used, findings)?.unwrap_or(false);
            }
            if !is_used {
                return Ok(());
            }
            self.generation.pass_over();
        }
    }

    /// Takes note of a fault that somebody must mend.
    fn judged<T>(
        &self,
        found: Result<T, TopicFault>,
        findings: &mut Findings,
    ) -> ProcessorResult<Option<T>> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(TopicFault::Refused(text)) => {
                findings.fault(text);
                Ok(None)
            }
            Err(TopicFault::Denied(text)) => {
                findings.denial(text);
                Ok(None)
            }
            Err(TopicFault::NotYet(NotYet { text, .. })) => Err(ProcessorError::Unavailable {
                name: format!("kafka at {}", self.brokers),
                reason: text,
            }),
        }
    }
}
