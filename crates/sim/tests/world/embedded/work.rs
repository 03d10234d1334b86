//! Counting, cutting, and handing what is stored to the sinks.

use std::collections::BTreeMap;

use llm_optimizer_processor::{
    commit::{
        CommitCommand, CommitEvent, CommitNumber,
        embedded::{OutboxCommand, OutboxEvent, PlantedFault, SinkAbility, SinkNumber},
    },
    sink::SinkMark,
};

use super::{
    ABILITIES, BATCH, Crashed, EmbeddedBug, Process, World,
    store::{Frozen, apply},
};

impl World {
    pub(super) fn step(&mut self, process: &mut Process) -> Result<(), Crashed> {
        self.crashes()?;
        if !process.is_paused && !process.asked_to_stop {
            self.work(process);
        }
        let (now_ms, moved) = (self.now_ms, process.counting.is_moved());
        let waiting_bytes = process.counting.waiting_bytes();
        self.tell(process, CommitEvent::Progress { now_ms, waiting_bytes, moved });
        let is_read =
            |bounds: &BTreeMap<u32, i64>| process.positions.iter().all(|(p, at)| *at >= bounds[p]);
        if process.bounds.as_ref().is_some_and(is_read) && !process.asked_to_stop {
            process.asked_to_stop = true;
            self.tell(process, CommitEvent::Shutdown);
        }
        if process.frozen.is_some() && self.chance.percent(60) {
            self.append(process)?;
        }
        for _ in 0..self.chance.below(4) {
            self.deliver(process)?;
        }
        Ok(())
    }

    pub(super) fn end(&self, partition: u32) -> i64 {
        i64::try_from(self.logs.get(&partition).map_or(0, Vec::len)).unwrap()
    }

    pub(super) fn work(&self, process: &mut Process) {
        for (partition, position) in &mut process.positions {
            let bound = process.bounds.as_ref().map_or(i64::MAX, |bounds| bounds[partition]);
            let events = self.logs.get(partition).map_or(&[][..], Vec::as_slice);
            let from = usize::try_from(*position).unwrap();
            for event in events.iter().skip(from).take(BATCH) {
                if *position >= bound {
                    break;
                }
                process.counting.add(*partition, *position, *event, self.now_ms);
                *position += 1;
            }
            let is_caught_up = *position >= self.end(*partition);
            process.counting.caught_up(*partition, is_caught_up, *position >= bound);
        }
        process.counting.advance(self.now_ms, process.bounds.is_some());
    }

    pub(super) fn tell(&mut self, process: &mut Process, event: CommitEvent) {
        for command in process.cuts.handle(event) {
            match command {
                CommitCommand::Cut(number) => self.cut(process, number),
                // The frozen commit is there still.
                CommitCommand::Retry(_) => {}
                CommitCommand::PauseInput => process.is_paused = true,
                CommitCommand::ResumeInput => process.is_paused = false,
                CommitCommand::Finished => process.is_finished = true,
            }
        }
    }

    pub(super) fn cut(&self, process: &mut Process, number: CommitNumber) {
        let changes = process.counting.cut();
        let progress = |partition: &u32| (*partition, process.counting.progress(*partition));
        let mut frozen = Frozen {
            number,
            rows: changes.rows,
            outputs: changes.outputs,
            positions: process.positions.clone(),
            progress: process.positions.keys().map(progress).collect(),
            watermark: process.counting.watermark,
        };
        if self.bug == Some(EmbeddedBug::WatermarkForgotten) {
            for progress in frozen.progress.values_mut() {
                progress.watermarks = vec![None];
            }
        }
        if self.bug == Some(EmbeddedBug::InfinityStored) && process.asked_to_stop {
            frozen.watermark = Some(i64::MAX);
        }
        process.frozen = Some(frozen);
    }

    /// Everything of a commit in one synced batch.
    pub(super) fn append(&mut self, process: &mut Process) -> Result<(), Crashed> {
        let Some(frozen) = process.frozen.clone() else { return Ok(()) };
        self.crashes()?;
        if self.now_ms < self.trouble_until_ms && self.chance.percent(3) {
            self.tell(process, CommitEvent::Aborted { number: frozen.number });
            return Ok(());
        }
        let (number, count) = (frozen.number, frozen.outputs.len() as u64);
        if self.bug == Some(EmbeddedBug::PositionsApart) {
            let positions = frozen.positions.clone();
            self.store.write(true, |state| state.positions = positions);
            self.crashes()?;
        }
        let synced = self.bug != Some(EmbeddedBug::StoreUnsynced);
        self.store.write(synced, |state| apply(state, frozen));
        process.frozen = None;
        self.crashes()?;
        let sequence = self.store.view().newest;
        if count > 0 {
            let stored = OutboxEvent::Stored { sequence, bytes: count };
            process.commands.extend(process.outbox.handle(stored));
        }
        self.tell(process, CommitEvent::Acknowledged { number });
        Ok(())
    }

    pub(super) fn mark(&self, sink: usize) -> Option<SinkMark> {
        let length = self.files[sink].lines.len() as u64;
        (ABILITIES[sink] == SinkAbility::Rewinds).then_some(SinkMark {
            length,
            device: 0,
            inode: 0,
        })
    }

    pub(super) fn deliver(&mut self, process: &mut Process) -> Result<(), Crashed> {
        let Some(command) = process.commands.pop_front() else { return Ok(()) };
        let is_troubled = self.now_ms < self.trouble_until_ms;
        let fails = is_troubled && self.chance.percent(5);
        let event = match command {
            OutboxCommand::Write { sink, after, up_to } => self.write(sink, after, up_to, fails)?,
            OutboxCommand::Sync { sink } if fails => OutboxEvent::Failed { sink, written: 0 },
            OutboxCommand::Sync { sink } => {
                self.files[sink.0].synced = self.files[sink.0].lines.len();
                OutboxEvent::Synced { sink }
            }
            OutboxCommand::Rewind { sink, to } => {
                let length = to.mark.map_or(0, |mark| usize::try_from(mark.length).unwrap());
                self.files[sink.0].lines.truncate(length);
                self.files[sink.0].synced = length;
                OutboxEvent::Rewound { sink }
            }
            OutboxCommand::StoreCursor { sink, cursor, remove_up_to } => {
                // The planted fault is that the cursor reaches the disk first.
                let synced = self.is_planted(PlantedFault::CursorBeforeWrite);
                self.store.write(synced, |state| {
                    state.cursors.insert(sink.0, cursor);
                    let last = remove_up_to.unwrap_or(0);
                    state.outbox.retain(|sequence, _| *sequence > last);
                });
                OutboxEvent::CursorStored { sink, cursor }
            }
        };
        process.commands.extend(process.outbox.handle(event));
        self.crashes()
    }

    pub(super) fn write(
        &mut self,
        sink: SinkNumber,
        after: u64,
        up_to: u64,
        fails: bool,
    ) -> Result<OutboxEvent, Crashed> {
        let mut written = after;
        let rows: Vec<_> = self
            .store
            .view()
            .outbox
            .range(after + 1..=up_to)
            .map(|(n, o)| (*n, o.clone()))
            .collect();
        for (sequence, outputs) in rows {
            self.crashes()?;
            if fails && self.chance.percent(50) {
                return Ok(OutboxEvent::Failed { sink, written });
            }
            self.files[sink.0].lines.extend(outputs);
            written = sequence;
        }
        Ok(OutboxEvent::Written { sink, mark: self.mark(sink.0) })
    }
}
