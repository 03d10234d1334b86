//! A tiny stream processor: keyed sums per window, and runs per partition. Its state is rows.

use std::collections::{BTreeMap, BTreeSet};

use llm_optimizer_processor::commit::kafka::Progress;

use super::input::{ENDS_RUN, Event, LATENESS_MS, OUT_OF_ORDER_MS, window_end};

/// A partition is idle after this silence.
pub const IDLE_MS: i64 = 2_500;
/// Key groups.
pub const GROUPS: u32 = 2;

/// Name of a row of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    Window { end_ms: i64, key: u32 },
    Run { partition: u32, key: u32 },
}

/// Value of a row of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_field_names, reason = "it is a sum")]
pub struct Sum {
    pub count: u64,
    pub sum: i64,
    /// Revisions emitted.
    pub fired: u32,
}

/// What comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Output {
    Window { end_ms: i64, key: u32, revision: u32, count: u64, sum: i64 },
    Run { partition: u32, offset: i64, length: u64 },
    Late { partition: u32, offset: i64 },
}

#[derive(Debug, Clone, Default)]
struct Partition {
    watermark: Option<i64>,
    greatest: Option<i64>,
    is_idle: bool,
    heard_ms: i64,
    is_caught_up: bool,
    has_ended: bool,
}

/// State and what is not cut yet.
#[derive(Debug, Clone, Default)]
pub struct Counting {
    rows: BTreeMap<Row, Sum>,
    dirty: BTreeSet<Row>,
    changed: BTreeSet<Row>,
    partitions: BTreeMap<u32, Partition>,
    pub watermark: Option<i64>,
    /// When the greatest time of all was seen, or restored.
    seen_ms: i64,
    outputs: Vec<Output>,
    is_moved: bool,
}

/// What a cut takes out.
#[derive(Debug, Clone)]
pub struct Changes {
    pub rows: Vec<(Row, Option<Sum>)>,
    pub outputs: Vec<Output>,
}

impl Row {
    pub fn group(&self) -> u32 {
        match self {
            Self::Window { key, .. } | Self::Run { key, .. } => key % GROUPS,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let (kind, first, second) = match self {
            Self::Window { end_ms, key } => (b'w', *end_ms, *key),
            Self::Run { partition, key } => (b'r', i64::from(*partition), *key),
        };
        [&[kind], first.to_be_bytes().as_slice(), second.to_be_bytes().as_slice()].concat()
    }

    pub fn decode(bytes: &[u8]) -> Self {
        let first = i64::from_be_bytes(bytes[1..9].try_into().unwrap());
        let key = u32::from_be_bytes(bytes[9..13].try_into().unwrap());
        match bytes[0] {
            b'w' => Self::Window { end_ms: first, key },
            _ => Self::Run { partition: u32::try_from(first).unwrap(), key },
        }
    }
}

impl Sum {
    pub fn encode(&self) -> Vec<u8> {
        [self.count.to_be_bytes().as_slice(), &self.sum.to_be_bytes(), &self.fired.to_be_bytes()]
            .concat()
    }

    pub fn decode(bytes: &[u8]) -> Self {
        Self {
            count: u64::from_be_bytes(bytes[0..8].try_into().unwrap()),
            sum: i64::from_be_bytes(bytes[8..16].try_into().unwrap()),
            fired: u32::from_be_bytes(bytes[16..20].try_into().unwrap()),
        }
    }
}

impl Counting {
    /// State of a commit; what W has purged goes at once.
    pub fn restore(rows: BTreeMap<Row, Sum>, watermark: Option<i64>, now_ms: i64) -> Self {
        let mut restored = Self { rows, watermark, seen_ms: now_ms, ..Self::default() };
        restored.purge();
        restored
    }

    pub fn assign(&mut self, partition: u32, progress: Option<&Progress>, now_ms: i64) {
        let stored = progress.and_then(|progress| progress.watermarks.first().copied().flatten());
        self.partitions.insert(
            partition,
            Partition {
                watermark: stored.max(self.watermark),
                greatest: progress.and_then(|progress| progress.greatest_time),
                is_idle: progress.is_some_and(|progress| progress.is_idle),
                heard_ms: now_ms,
                ..Partition::default()
            },
        );
    }

    /// An event of a partition, at an offset.
    pub fn add(&mut self, partition: u32, offset: i64, event: Event, now_ms: i64) {
        self.is_moved = true;
        let known = self.partitions.get_mut(&partition).unwrap();
        if known.is_idle {
            known.is_idle = false;
            known.watermark = known.watermark.max(self.watermark);
        }
        let judged_by = known.watermark;
        known.heard_ms = now_ms;
        known.greatest = known.greatest.max(Some(event.time_ms));
        known.watermark = known.watermark.max(Some(event.time_ms - OUT_OF_ORDER_MS));
        self.seen_ms = now_ms;
        self.count_run(partition, offset, event);
        let row = Row::Window { end_ms: window_end(event.time_ms), key: event.key };
        if judged_by.is_some_and(|w| window_end(event.time_ms) + LATENESS_MS <= w) {
            self.outputs.push(Output::Late { partition, offset });
            return;
        }
        let sum = self.rows.entry(row).or_default();
        (sum.count, sum.sum) = (sum.count + 1, sum.sum + event.value);
        if sum.fired > 0 {
            self.dirty.insert(row);
        }
        self.changed.insert(row);
    }

    fn count_run(&mut self, partition: u32, offset: i64, event: Event) {
        let row = Row::Run { partition, key: event.key };
        let run = self.rows.entry(row).or_default();
        run.count += 1;
        if event.value == ENDS_RUN {
            self.outputs.push(Output::Run { partition, offset, length: run.count });
            self.rows.remove(&row);
        }
        self.changed.insert(row);
    }

    /// Whether all there is of a partition was read, and whether nothing more will come.
    pub fn caught_up(&mut self, partition: u32, is_caught_up: bool, has_ended: bool) {
        let known = self.partitions.get_mut(&partition).unwrap();
        if is_caught_up && !known.is_caught_up {
            // Silence is counted from here.
            known.heard_ms = known.heard_ms.max(self.seen_ms);
        }
        (known.is_caught_up, known.has_ended) = (is_caught_up, has_ended);
    }

    /// Moves W, fires what is due, purges what is over.
    pub fn advance(&mut self, now_ms: i64, is_bounded: bool) {
        if is_bounded {
            if self.partitions.values().all(|partition| partition.has_ended) {
                self.end();
            } else {
                self.move_watermark(self.lowest(|partition| partition.has_ended));
            }
            return;
        }
        for partition in self.partitions.values_mut() {
            let is_silent = partition.is_caught_up && now_ms - partition.heard_ms >= IDLE_MS;
            if is_silent && !partition.is_idle {
                (partition.is_idle, self.is_moved) = (true, true);
            }
        }
        let by_clock = || {
            let greatest =
                self.partitions.values().filter_map(|partition| partition.greatest).max()?;
            Some(greatest - OUT_OF_ORDER_MS + (now_ms - self.seen_ms).max(0))
        };
        let is_silent = self.partitions.values().all(|partition| partition.is_idle);
        let next = if is_silent { by_clock() } else { self.lowest(|partition| partition.is_idle) };
        self.move_watermark(next);
    }

    fn lowest(&self, is_left_out: impl Fn(&Partition) -> bool) -> Option<i64> {
        let counted = self.partitions.values().filter(|partition| !is_left_out(partition));
        counted.map(|partition| partition.watermark).min().flatten()
    }

    fn move_watermark(&mut self, next: Option<i64>) {
        if next > self.watermark {
            self.watermark = next;
            self.is_moved = true;
        }
        self.fire();
        self.purge();
    }

    /// The end of bounded input: everything fires. W becomes what was purged by that, not +∞.
    fn end(&mut self) {
        let greatest = self.rows.keys().filter_map(|row| match row {
            Row::Window { end_ms, .. } => Some(end_ms + LATENESS_MS),
            Row::Run { .. } => None,
        });
        let purged = greatest.max();
        self.move_watermark(purged);
    }

    fn fire(&mut self) {
        let Some(watermark) = self.watermark else { return };
        let from = Row::Window { end_ms: i64::MIN, key: 0 };
        let to = Row::Window { end_ms: watermark, key: u32::MAX };
        for (row, sum) in self.rows.range_mut(from..=to) {
            if sum.fired == 0 {
                self.outputs.extend(emit(row, sum));
                self.changed.insert(*row);
            }
        }
    }

    fn fire_dirty(&mut self) {
        for row in std::mem::take(&mut self.dirty) {
            if let Some(sum) = self.rows.get_mut(&row) {
                self.outputs.extend(emit(&row, sum));
                self.changed.insert(row);
            }
        }
    }

    fn purge(&mut self) {
        let Some(watermark) = self.watermark else { return };
        let over = |row: &Row| matches!(row, Row::Window { end_ms, .. } if end_ms + LATENESS_MS <= watermark);
        let gone: Vec<Row> = self.rows.keys().copied().filter(over).collect();
        if gone.iter().any(|row| self.dirty.contains(row)) {
            self.fire_dirty();
        }
        for row in gone {
            self.rows.remove(&row);
            self.changed.insert(row);
            self.is_moved = true;
        }
    }

    /// Whether a commit would change anything.
    pub fn is_moved(&self) -> bool {
        self.is_moved || !self.outputs.is_empty()
    }

    /// Bytes of results that wait.
    pub fn waiting_bytes(&self) -> u64 {
        self.outputs.len() as u64 * 100
    }

    /// Whether a window is open.
    pub fn has_windows(&self) -> bool {
        self.rows.keys().any(|row| matches!(row, Row::Window { .. }))
    }

    pub fn progress(&self, partition: u32) -> Progress {
        let known = &self.partitions[&partition];
        Progress {
            watermarks: vec![known.watermark],
            greatest_time: known.greatest,
            is_idle: known.is_idle,
        }
    }

    /// Everything since the last cut.
    pub fn cut(&mut self) -> Changes {
        self.fire_dirty();
        self.is_moved = false;
        let changed = std::mem::take(&mut self.changed);
        let rows = changed.into_iter().map(|row| (row, self.rows.get(&row).copied())).collect();
        Changes { rows, outputs: std::mem::take(&mut self.outputs) }
    }
}

fn emit(row: &Row, sum: &mut Sum) -> Option<Output> {
    let Row::Window { end_ms, key } = *row else { return None };
    sum.fired += 1;
    Some(Output::Window { end_ms, key, revision: sum.fired - 1, count: sum.count, sum: sum.sum })
}

impl Output {
    pub fn encode(&self) -> Vec<u8> {
        let numbers: Vec<i64> = match *self {
            Self::Window { end_ms, key, revision, count, sum } => {
                vec![
                    0,
                    end_ms,
                    i64::from(key),
                    i64::from(revision),
                    i64::try_from(count).unwrap(),
                    sum,
                ]
            }
            Self::Run { partition, offset, length } => {
                vec![1, i64::from(partition), offset, i64::try_from(length).unwrap()]
            }
            Self::Late { partition, offset } => vec![2, i64::from(partition), offset],
        };
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    pub fn decode(bytes: &[u8]) -> Self {
        let number = |at: usize| i64::from_be_bytes(bytes[8 * at..8 * at + 8].try_into().unwrap());
        let small = |at: usize| u32::try_from(number(at)).unwrap();
        let count = |at: usize| u64::try_from(number(at)).unwrap();
        match number(0) {
            0 => Self::Window {
                end_ms: number(1),
                key: small(2),
                revision: small(3),
                count: count(4),
                sum: number(5),
            },
            1 => Self::Run { partition: small(1), offset: number(2), length: count(3) },
            _ => Self::Late { partition: small(1), offset: number(2) },
        }
    }
}
