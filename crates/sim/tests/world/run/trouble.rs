//! What befalls, and who keeps one process alive.

use super::{Slot, What, World};
use crate::{broker::Topic, bug::Bug, counting::GROUPS, process::TOMBSTONE_RETENTION_MS};

impl World {
    pub(super) fn is_troubled(&self) -> bool {
        self.now_ms < self.trouble_until_ms
    }

    pub(super) fn trouble(&mut self) {
        if !self.is_troubled() {
            self.loss = 0;
            return;
        }
        let slot = self.chance.below(2) as usize;
        match self.chance.below(12) {
            0..=1 => self.crash(slot),
            2..=4 => self.freeze(slot),
            5 => self.start(1 - slot, 0),
            6 => {
                self.note("broker restart");
                let for_ms = self.chance.range(200, 5_000);
                self.broker.restart(self.now_ms, for_ms);
            }
            7..=8 => {
                self.note("bad network");
                self.loss = if self.loss > 2 { 2 } else { 60 };
            }
            9..=10 => {
                self.note("compaction");
                let early = self.bug == Some(Bug::TombstonesEarly);
                let retention_ms = if early { 0 } else { TOMBSTONE_RETENTION_MS };
                self.broker.compact(self.now_ms, retention_ms);
            }
            _ => self.arm(slot),
        }
        let pause_ms = self.chance.range(100, 4_000);
        self.at(self.now_ms + pause_ms, What::Trouble);
    }

    /// A process may come up on another disk: an older one, that of its peer, one of another log, one of a log that has since
    /// lost its end.
    pub(super) fn change_disk(&mut self, slot: usize) {
        // These are to be found by themselves, and not by the disks that such a driver falls for.
        let is_alone = matches!(self.bug, Some(Bug::LocalCopyEarly | Bug::TombstonesEarly));
        if is_alone || !self.is_troubled() || !self.chance.percent(25) {
            return;
        }
        let disk = match self.chance.below(4) {
            0 => {
                self.note("old disk");
                self.slots[slot].old_disk.clone()
            }
            1 => {
                self.note("disk of the peer");
                Some(self.slots[1 - slot].disk.clone())
            }
            kind => {
                let is_ahead = kind == 2;
                self.note(if is_ahead { "disk ahead of the log" } else { "disk of another log" });
                let end = |group| self.broker.log(Topic::Changelog, group).end();
                let ends: Vec<i64> = (0..GROUPS).map(end).collect();
                let disk = &self.slots[slot].disk;
                Some(disk.spoilt(self.now_ms, &ends, is_ahead, &mut self.chance))
            }
        };
        if let Some(disk) = disk {
            self.slots[slot].disk = disk;
        }
    }

    pub(super) fn crash(&mut self, slot: usize) {
        if self.slots[slot].process.is_some() {
            self.note("crash");
            self.kill(slot);
        }
    }

    /// A process stands still, perhaps for so long that the group gives its partitions to another one.
    pub(super) fn freeze(&mut self, slot: usize) {
        let for_long = self.chance.percent(60);
        let for_ms =
            if for_long { self.chance.range(6_500, 14_000) } else { self.chance.range(500, 6_000) };
        let until_ms = self.now_ms + for_ms;
        if let Some(process) = &mut self.slots[slot].process {
            process.paused_until_ms = until_ms;
            self.note("freeze");
            let after_ms = self.chance.range(0, 3_000);
            self.start(1 - slot, after_ms);
        }
    }

    /// Keeps one process alive, not two for long; sees when all is done.
    pub(super) fn supervise(&mut self) -> bool {
        let alive = (0..2).filter(|slot| self.slots[*slot].process.is_some()).count();
        let starting = self.slots.iter().any(|slot| slot.is_starting);
        if alive == 0 && !starting {
            let slot = self.chance.below(2) as usize;
            let after_ms = self.chance.range(50, 3_000);
            self.start(slot, after_ms);
        }
        let is_crowded = alive == 2
            && self.slots.iter().all(|slot| {
                slot.process.as_ref().is_some_and(|process| {
                    process.paused_until_ms <= self.now_ms
                        && self.now_ms - slot.started_ms.max(process.paused_until_ms) > 12_000
                })
            });
        if is_crowded && self.chance.percent(10) {
            let slot = self.chance.below(2) as usize;
            self.crash(slot);
        }
        self.at(self.now_ms + 100, What::Supervise);
        self.is_over(alive)
    }

    pub(super) fn is_over(&mut self, alive: usize) -> bool {
        let (input, broker) = (&self.input, &mut self.broker);
        let is_appended = (0..input.partitions)
            .map(|partition| broker.log(Topic::Input, partition).end())
            .sum::<i64>()
            == i64::try_from(input.planned.len()).unwrap();
        let mut process = self.slots.iter().filter_map(|slot| slot.process.as_ref());
        let at_rest = alive == 1
            && process.all(|process| {
                let mut positions = process.positions.iter();
                process.bounds.is_none()
                    && process.is_at_rest()
                    && positions.all(|(p, at)| *at == broker.log(Topic::Input, *p).end())
            });
        if !self.is_troubled() && is_appended && at_rest {
            let since_ms = *self.rest_since_ms.get_or_insert(self.now_ms);
            // Markers need a while; so does whatever is wrong.
            return self.now_ms - since_ms > 13_000;
        }
        self.rest_since_ms = None;
        false
    }

    pub(super) fn describe(&self) -> String {
        let describe = |slot: &Slot| {
            slot.process.as_ref().map_or("none".to_owned(), |process| {
                format!(
                    "running {} open {} at rest {} windows {} moved {} positions {:?} machine {:?}",
                    process.machine.is_running(),
                    process.input_open,
                    process.is_at_rest(),
                    process.counting.has_windows(),
                    process.counting.is_moved(),
                    process.positions,
                    process.machine,
                )
            })
        };
        self.slots.iter().map(describe).collect::<Vec<_>>().join("; ")
    }
}
