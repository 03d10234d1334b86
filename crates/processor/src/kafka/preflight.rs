//! What must hold before the group is joined: the brokers answer, every topic exists, and no other
//! instance reads with the same group.
//!
//! Runs on a thread of its own, because a question to a broker that is away takes seconds, and a
//! stop must not wait for it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use llm_optimizer_config::settings::{KafkaConsumerConfig, OffsetReset};
use rdkafka::consumer::BaseConsumer;
use tracing::info;

use super::{
    cluster::{self, LogRange, NotYet, OtherMember, TopicPartition},
    config,
    notices::{Notices, Trouble},
    probe::ProbeContext,
    requirements::Requirements,
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    source::StopToken,
};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A broker may not know yet what was granted a moment ago.
const MOST_DENIALS: u32 = 3;
const STOP_CHECK: Duration = Duration::from_millis(20);

/// What is known when reading may begin.
#[derive(Debug, Clone, Default)]
pub(super) struct Start {
    /// Number of partitions of each topic.
    pub(super) counts: BTreeMap<String, i32>,
    /// Where each partition begins.
    pub(super) positions: HashMap<TopicPartition, i64>,
    /// The oldest record of each partition when this was asked.
    pub(super) firsts: HashMap<TopicPartition, i64>,
    /// Where each partition ended when this was asked.
    pub(super) ends: HashMap<TopicPartition, i64>,
}

/// Asks on a thread until all holds. `None`: stopped before.
///
/// # Errors
/// Another instance reads with the same group; the client cannot be made.
pub(super) fn wait(
    settings: &KafkaConsumerConfig,
    member: &str,
    requirements: Option<&Requirements>,
    notices: &Arc<Notices>,
    stop: &StopToken,
) -> ProcessorResult<Option<Start>> {
    let context = ProbeContext::new(Arc::clone(notices));
    let client = config::probe(settings, member).create_with_context(context)?;
    let preflight = Preflight {
        client,
        settings: settings.clone(),
        member: member.to_owned(),
        requirements: requirements.cloned(),
        notices: Arc::clone(notices),
        stop: stop.clone(),
    };
    let (answer, answers) = mpsc::channel();
    thread::Builder::new()
        .name("kafka-preflight".into())
        .spawn(move || {
            // After a stop nobody waits for the answer.
            let _ = answer.send(preflight.run());
        })
        .map_err(|cause| ProcessorError::Internal(format!("cannot start a thread: {cause}")))?;
    loop {
        match answers.recv_timeout(STOP_CHECK) {
            Ok(answer) => return answer,
            Err(mpsc::RecvTimeoutError::Timeout) if !stop.is_stopped() => {}
            Err(_) => return Ok(None),
        }
    }
}

struct Preflight {
    client: BaseConsumer<ProbeContext>,
    settings: KafkaConsumerConfig,
    member: String,
    requirements: Option<Requirements>,
    notices: Arc<Notices>,
    stop: StopToken,
}

impl Preflight {
    fn run(&self) -> ProcessorResult<Option<Start>> {
        let Some(counts) = self.until_answered(|this| {
            cluster::partition_counts(&this.client, &this.settings.topics)
        })?
        else {
            return Ok(None);
        };
        self.notices.over(Trouble::NoTopic, "every topic is there now");
        self.notices.over(Trouble::Denied, "kafka grants access now");
        if !self.wait_for_the_group()? {
            return Ok(None);
        }
        if !self.meet_requirements(&cluster::all_partitions(&counts))? {
            return Ok(None);
        }
        self.until_answered(|this| this.ranges(&counts))
    }

    /// Checks what commits need, with all faults in one error. `false`: stopped before.
    fn meet_requirements(&self, inputs: &[TopicPartition]) -> ProcessorResult<bool> {
        let Some(requirements) = &self.requirements else { return Ok(true) };
        let findings =
            self.until_answered(|_| match requirements.check_for(inputs, &self.stop) {
                // Nobody answered.
                Err(ProcessorError::Unavailable { reason, .. }) => {
                    Err(NotYet { trouble: Trouble::Unreachable, text: reason })
                }
                answer => Ok(answer),
            })?;
        match findings {
            Some(findings) => {
                findings?.into_result(&self.settings.bootstrap_servers)?;
                Ok(!self.stop.is_stopped())
            }
            None => Ok(false),
        }
    }

    fn ranges(&self, counts: &BTreeMap<String, i32>) -> Result<Start, NotYet> {
        let mut start = Start { counts: counts.clone(), ..Start::default() };
        for partition in cluster::all_partitions(counts) {
            let LogRange { first, end } = cluster::log_range(&self.client, &partition)?;
            let begin = match self.settings.auto_offset_reset {
                OffsetReset::Earliest => first,
                OffsetReset::Latest => end,
            };
            start.positions.insert(partition.clone(), begin);
            start.firsts.insert(partition.clone(), first);
            start.ends.insert(partition, end);
        }
        Ok(start)
    }

    /// Gives another member one session timeout to go. `false`: stopped before.
    fn wait_for_the_group(&self) -> ProcessorResult<bool> {
        let session = Duration::from_millis(self.settings.session_timeout_ms);
        let mut deadline = None;
        loop {
            let Some(others) = self.until_answered(|this| {
                cluster::other_members(&this.client, &this.settings.group_id, &this.member)
            })?
            else {
                return Ok(false);
            };
            let Some(other) = others.first() else { return Ok(true) };
            let deadline = *deadline.get_or_insert_with(|| {
                info!(
                    group = %self.settings.group_id, other = %other.name, host = %other.host,
                    "the group has another member; waiting one session timeout for it to go"
                );
                // The broker removes a member up to a heartbeat after its timeout.
                Instant::now() + session + session / 3
            });
            if Instant::now() >= deadline {
                return Err(self.group_is_taken(other));
            }
            if !self.pause(Duration::from_millis(200)) {
                return Ok(false);
            }
        }
    }

    fn group_is_taken(&self, other: &OtherMember) -> ProcessorError {
        ProcessorError::Unavailable {
            name: self.settings.topics.join(","),
            reason: format!(
                "group `{}` is being read by another instance, `{}` on {}: each would count a part \
                 of the events; stop it, or give this one another group_id",
                self.settings.group_id, other.name, other.host
            ),
        }
    }

    /// Asks with growing pauses until there is an answer. `None`: stopped before.
    ///
    /// # Errors
    /// [`ProcessorError::Denied`] if access is denied again and again: that somebody grants it meanwhile is not waited for.
    fn until_answered<T>(
        &self,
        ask: impl Fn(&Self) -> Result<T, NotYet>,
    ) -> ProcessorResult<Option<T>> {
        let mut pause = FIRST_PAUSE;
        let mut denied = 0;
        while !self.stop.is_stopped() {
            match ask(self) {
                Ok(answer) => {
                    self.notices.answered();
                    return Ok(Some(answer));
                }
                Err(NotYet { trouble: Trouble::Denied, text }) if denied == MOST_DENIALS => {
                    return Err(ProcessorError::Denied {
                        name: format!("kafka at {}", self.settings.bootstrap_servers),
                        reason: text.replace("; trying again", ""),
                    });
                }
                Err(not_yet) => {
                    denied += u32::from(not_yet.trouble == Trouble::Denied);
                    self.notices.warn(not_yet.trouble, &not_yet.text);
                }
            }
            // Serves what the client has to say.
            while self.client.poll(Duration::ZERO).is_some() {}
            if !self.pause(pause) {
                return Ok(None);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(None)
    }

    /// `false`: stopped meanwhile.
    fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while !self.stop.is_stopped() && Instant::now() < until {
            thread::sleep(STOP_CHECK);
        }
        !self.stop.is_stopped()
    }
}
