//! The begin of a run: threads for the source, the commits and the sinks outside; state comes later, with partitions.

use std::{mem::take, time::Duration};

use crossbeam_channel::Receiver;
use tracing::info_span;

use super::{
    super::{
        super::{
            counting::{Counting, keeping_state},
            job::Job,
            reader::Reader,
        },
        KafkaCommits, Promise,
        outside::{Outside, apart},
        partitions::Partitions,
        routes::Sinks,
    },
    Worker,
};
use crate::{
    commit::Fingerprint,
    error::ProcessorResult,
    kafka::{KafkaDriver, Outlet},
    source::SourceEvent,
};

impl Worker {
    /// Begins to read; nothing is counted before the group gives partitions.
    pub(super) fn start(
        job: Job,
        commits: KafkaCommits,
        started: Duration,
    ) -> ProcessorResult<(Self, Receiver<SourceEvent>, Reader)> {
        let Job { source, pipelines, settings, stop, give_up, clock, progress, telemetry, .. } =
            job;
        let KafkaCommits { machine, io, desk, news, routes, outside, rebuild } = commits;
        let mut pipelines = keeping_state(pipelines)?;
        let outputs = pipelines.iter_mut().map(|pipeline| take(&mut pipeline.outputs)).collect();
        let time = (started, clock);
        let shared = telemetry.clone();
        let counting = Counting::new(pipelines, source.pauses(), time, progress, shared);
        counting.observer.recovers("the group's partitions and their state are awaited");
        let (durable, live) = apart(outputs);
        // With at_least_once sinks that are owed something are written before the transaction.
        let has_outlet =
            routes.iter().flat_map(|routes| &routes.promises).any(|(_, p)| *p == Promise::Before);
        let (before, durable) =
            if has_outlet { (Some(durable), Vec::new()) } else { (None, durable) };
        let outlet =
            before.map(|sinks| Box::new(Sinks::new(sinks, &telemetry.sinks)) as Box<dyn Outlet>);
        let outside = Outside::start(&outside, durable, live, &telemetry)?;
        let (fingerprint, incarnation) = (machine.fingerprint, machine.incarnation);
        let fingerprint_json = io.fingerprint.as_ref().map(Fingerprint::to_json).transpose()?;
        let driver = KafkaDriver::start(machine, io, outlet, desk, news)?;
        let (reader, events) = Reader::start(source, settings.queue_batches, stop.clone())?;
        let worker = Self {
            counting,
            partitions: Partitions::default(),
            changelogs: Vec::new(),
            routes,
            rebuild,
            is_dropped: false,
            fingerprint,
            incarnation,
            fingerprint_json,
            about: None,
            settings,
            stop,
            give_up,
            driver,
            outside,
            has_outlet,
            sequence: 0,
            moved: false,
            is_paused: true,
            is_finished: false,
            is_draining: false,
            recovering_since: started,
            recovery: Some(info_span!("recovery")),
        };
        Ok((worker, events, reader))
    }
}
