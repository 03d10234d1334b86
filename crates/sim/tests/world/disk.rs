//! The local copy of state, on a disk that loses what was not synced.

use std::collections::BTreeMap;

use super::{
    chance::Chance,
    counting::{Row, Sum},
};

/// What a changelog's meta record says: W, the next offset of each partition, and which commit of all it is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Meta {
    pub positions: Vec<(u32, i64)>,
    pub watermark: Option<i64>,
    pub commit: i64,
}

/// One key group.
#[derive(Debug, Clone, Default)]
pub struct LocalGroup {
    /// The next changelog offset to apply.
    pub offset: i64,
    pub written_ms: i64,
    pub rows: BTreeMap<Row, Sum>,
    pub meta: Option<Meta>,
}

type Groups = BTreeMap<u32, LocalGroup>;

/// One atomic write: key groups as they are afterwards.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    durable: Groups,
    unsynced: Vec<Groups>,
}

impl Disk {
    pub fn group(&self, group: u32) -> Option<&LocalGroup> {
        self.unsynced
            .iter()
            .rev()
            .find_map(|batch| batch.get(&group))
            .or_else(|| self.durable.get(&group))
    }

    /// Atomic; may be lost by a crash, with everything after it.
    pub fn write(&mut self, batch: Groups) {
        self.unsynced.push(batch);
        if self.unsynced.len() > 20 {
            self.keep(20);
        }
    }

    /// The copy of a log that looks like this one and is another: other sums, of other commits. Or, ahead, of this log as it was
    /// before it lost its end.
    pub fn spoilt(&self, now_ms: i64, ends: &[i64], is_ahead: bool, chance: &mut Chance) -> Self {
        let mut durable = self.durable.clone();
        for batch in &self.unsynced {
            durable.extend(batch.clone());
        }
        for (group, local) in &mut durable {
            let end = ends.get(*group as usize).copied().unwrap_or(0);
            local.written_ms = now_ms;
            local.rows.values_mut().for_each(|sum| sum.sum += 1_000_000);
            local.offset =
                if is_ahead { end + chance.range(1, 20) } else { chance.range(0, end + 1) };
            if let Some(meta) = local.meta.as_mut().filter(|_| !is_ahead) {
                meta.commit = meta.commit.wrapping_add(1);
            }
        }
        Self { durable, unsynced: Vec::new() }
    }

    /// Power fails: some of what was not synced is gone.
    pub fn crash(&mut self, chance: &mut Chance) {
        let kept = chance.below(u32::try_from(self.unsynced.len()).unwrap() + 1);
        self.keep(kept as usize);
        self.unsynced.clear();
    }

    fn keep(&mut self, count: usize) {
        for batch in self.unsynced.drain(..count) {
            self.durable.extend(batch);
        }
    }
}

impl Meta {
    pub fn encode(&self) -> Vec<u8> {
        let facts = [self.watermark.unwrap_or(i64::MIN), self.commit];
        let positions = self.positions.iter().flat_map(|(p, at)| [i64::from(*p), *at]);
        facts.into_iter().chain(positions).flat_map(i64::to_be_bytes).collect()
    }

    pub fn decode(bytes: &[u8]) -> Self {
        let numbers = bytes.chunks(8).map(|chunk| i64::from_be_bytes(chunk.try_into().unwrap()));
        let numbers: Vec<i64> = numbers.collect();
        let pairs = numbers[2..].chunks(2).map(|pair| (u32::try_from(pair[0]).unwrap(), pair[1]));
        let watermark = Some(numbers[0]).filter(|watermark| *watermark != i64::MIN);
        Self { positions: pairs.collect(), watermark, commit: numbers[1] }
    }
}
