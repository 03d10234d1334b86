//! Rows of a table as values of state, and back.
//!
//! A row that is stored is a value of plain numbers (column 0) and, for each column that may be large,
//! as many parts as it takes. Of exact values only the parts that changed are written again: values
//! are only ever added behind the others, until they become a sketch.

use super::{
    extras::Large,
    quantiles::{EXACT_LIMIT, Quantiles},
    sketch::DdSketch,
    table::{AccumulatorTable, Row},
};
use crate::state::{Fault, PIECE_BYTES, Reader, Scribe, StateChanges, StateDamage, Stored};

/// Exact values in one part.
const VALUES_PER_PART: usize = 32;

/// In place of a number of values: there is a sketch.
const SKETCH: u16 = u16::MAX;

/// Greatest number of events of a row, and of values of a sketch.
const MOST: f64 = 9_007_199_254_740_992.0;

/// What of each row of a table is stored.
#[derive(Debug, Clone)]
pub(super) struct SavedRows {
    columns: usize,
    stored: Vec<bool>,
    /// Per row and column the number of values of a quantile column, or [`SKETCH`]; of other columns the
    /// number of parts.
    counts: Vec<u16>,
}

impl SavedRows {
    pub(super) fn new(columns: usize) -> Self {
        Self { columns, stored: Vec::new(), counts: Vec::new() }
    }

    pub(super) fn push(&mut self) {
        self.stored.push(false);
        self.counts.resize(self.counts.len() + self.columns, 0);
    }

    pub(super) fn release(&mut self, row: usize) {
        self.set_stored(row, false);
        self.counts_mut(row).fill(0);
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.stored.capacity() + self.counts.capacity() * size_of::<u16>()
    }

    fn is_stored(&self, row: usize) -> bool {
        self.stored.get(row).copied().unwrap_or(false)
    }

    fn set_stored(&mut self, row: usize, stored: bool) {
        self.stored.get_mut(row).into_iter().for_each(|mark| *mark = stored);
    }

    fn counts_mut(&mut self, row: usize) -> &mut [u16] {
        self.counts.get_mut(row * self.columns..(row + 1) * self.columns).unwrap_or_default()
    }
}

impl AccumulatorTable {
    /// Writes what changed of a row behind what the scribe has of its key and of its value; of the columns
    /// that may be large only if `values` were added since.
    pub(crate) fn save(
        &mut self,
        row: Row,
        values: bool,
        scribe: &mut Scribe,
        changes: &mut StateChanges,
    ) {
        let Some(mut saved) = self.saved.take() else { return };
        let values = values || !saved.is_stored(row.index());
        scribe.value.numbers(self.cells(row));
        if let Some(extras) = &self.extras {
            extras.save_small(row.index(), &mut scribe.value);
        }
        for (column, count) in (0..).zip(saved.counts_mut(row.index())) {
            if values {
                *count = self.save_column((row, column), *count, scribe, changes);
            }
            scribe.value.count((*count).into());
        }
        saved.set_stored(row.index(), true);
        changes.put(scribe.key.part(0, 0), scribe.value.as_bytes());
        self.saved = Some(saved);
    }

    /// Deletes all that is stored of a row, whose key the scribe has.
    pub(crate) fn erase(&mut self, row: Row, scribe: &mut Scribe, gone: &mut StateChanges) {
        let ranked = self.ranked;
        let Some(saved) = &mut self.saved else { return };
        if !saved.is_stored(row.index()) {
            return;
        }
        gone.delete(scribe.key.part(0, 0));
        for (at, count) in saved.counts_mut(row.index()).iter().enumerate() {
            let is_ranked =
                at < ranked || self.extras.as_ref().is_some_and(|e| e.is_ranked(at - ranked));
            let parts = if is_ranked { parts_of(*count) } else { *count };
            (0..parts).for_each(|part| gone.delete(scribe.key.part(number(at), part)));
        }
        saved.release(row.index());
    }

    /// Whether something of the row is stored.
    pub(crate) fn is_stored(&self, row: Row) -> bool {
        self.saved.as_ref().is_some_and(|saved| saved.is_stored(row.index()))
    }

    /// Fills an empty row of `key` with what was stored: `base` is what is left of column 0, the first of
    /// `parts`.
    pub(crate) fn load(
        &mut self,
        row: Row,
        mut base: Reader<'_>,
        parts: &[Stored<'_>],
    ) -> Result<(), StateDamage> {
        let Some((first, mut rest)) = parts.split_first() else { return Ok(()) };
        let mut saved = self.saved.take();
        let mut load = || -> Result<(), StateDamage> {
            self.load_small(row, &mut base).map_err(|fault| first.damaged(fault))?;
            for at in 0..self.columns() {
                let count = self.load_column((row, at), &mut base, first, &mut rest)?;
                let counts = saved.as_mut().map(|saved| saved.counts_mut(row.index()));
                if let Some(saved) = counts.and_then(|counts| counts.get_mut(at)) {
                    *saved = count;
                }
            }
            base.end().map_err(|fault| first.damaged(fault))?;
            match rest.first() {
                Some(more) => Err(more.damaged("the row has no such part".into())),
                None => Ok(()),
            }
        };
        let loaded = load();
        if let Some(saved) = &mut saved {
            saved.set_stored(row.index(), true);
        }
        self.saved = saved;
        loaded
    }

    /// Columns that may be large.
    pub(super) fn columns(&self) -> usize {
        self.ranked + self.extras.as_ref().map_or(0, |extras| extras.large_columns())
    }

    /// Writes the parts of a column that changed since `saved` were stored; returns what is stored now.
    fn save_column(
        &mut self,
        (row, at): (Row, usize),
        saved: u16,
        scribe: &mut Scribe,
        changes: &mut StateChanges,
    ) -> u16 {
        match self.column(row, at) {
            Some(Large::Quantiles(quantiles)) => {
                save_quantiles(quantiles, number(at), saved, scribe, changes)
            }
            Some(other) => save_pieces(&other.to_bytes(), number(at), saved, scribe, changes),
            None => 0,
        }
    }

    fn load_small(&mut self, row: Row, base: &mut Reader<'_>) -> Result<(), Fault> {
        for cell in self.cells_mut(row) {
            *cell = base.number()?;
        }
        let count = self.cells(row).first().copied().unwrap_or(0.0);
        if !(1.0..=MOST).contains(&count) || count.fract() != 0.0 {
            return Err(format!("it has {count} events").into());
        }
        match &mut self.extras {
            Some(extras) => extras.load_small(row.index(), base),
            None => Ok(()),
        }
    }

    /// Takes the parts of a column off `rest`; returns how much is stored.
    fn load_column(
        &mut self,
        (row, at): (Row, usize),
        base: &mut Reader<'_>,
        first: &Stored<'_>,
        rest: &mut &[Stored<'_>],
    ) -> Result<u16, StateDamage> {
        let count = base.count_to(SKETCH.into()).map_err(|fault| first.damaged(fault))?;
        let count = u16::try_from(count).unwrap_or(SKETCH);
        let events = self.cells(row).first().copied().unwrap_or(0.0);
        let ranked = self.ranked;
        let Some(column) = self.column(row, at) else { return Ok(0) };
        let is_ranked = matches!(column, Large::Quantiles(_));
        let parts = if is_ranked { parts_of(count) } else { count };
        let missing = || first.damaged(format!("column {} lacks a part", number(at)).into());
        let (mine, others) = rest.split_at_checked(parts.into()).ok_or_else(missing)?;
        for (part, stored) in (0..).zip(mine) {
            if (stored.key.column, stored.key.part) != (number(at), part) {
                return Err(missing());
            }
        }
        *rest = others;
        if mine.is_empty() {
            return Ok(0);
        }
        match column {
            Large::Quantiles(quantiles) => {
                *quantiles = load_quantiles(count, mine)?;
                // Of a value of the plan every event has a number.
                if at < ranked && (quantiles.count() as f64).total_cmp(&events).is_ne() {
                    let there = quantiles.count();
                    return Err(first.damaged(format!("{there} values of {events} events").into()));
                }
            }
            other => {
                let bytes = load_pieces(mine)?;
                let loaded = other.load(first.key.key, &bytes);
                loaded.map_err(|reason| first.damaged(reason.into()))?;
            }
        }
        Ok(count)
    }

    /// A column that may be large.
    fn column(&mut self, row: Row, at: usize) -> Option<Large<'_>> {
        if at < self.ranked {
            return self.quantiles_mut(row, at).map(Large::Quantiles);
        }
        self.extras.as_mut()?.large(row.index(), at - self.ranked)
    }
}

/// Parts of a quantile column with this count.
fn parts_of(count: u16) -> u16 {
    if count == SKETCH { 1 } else { count.div_ceil(32) }
}

/// Number of a column in keys.
fn number(at: usize) -> u16 {
    u16::try_from(at + 1).unwrap_or(u16::MAX)
}

fn save_quantiles(
    quantiles: &Quantiles,
    column: u16,
    saved: u16,
    scribe: &mut Scribe,
    changes: &mut StateChanges,
) -> u16 {
    match quantiles {
        Quantiles::Exact(values) => {
            let first = usize::from(saved) / VALUES_PER_PART;
            let chunks = (0..).zip(values.chunks(VALUES_PER_PART));
            if values.len() > saved.into() {
                for (part, chunk) in chunks.skip(first) {
                    scribe.part.begin().byte(0);
                    scribe.part.numbers(chunk);
                    changes.put(scribe.key.part(column, part), scribe.part.as_bytes());
                }
            }
            u16::try_from(values.len()).unwrap_or(SKETCH)
        }
        Quantiles::Sketch(sketch) => {
            (1..parts_of(saved)).for_each(|part| changes.delete(scribe.key.part(column, part)));
            scribe.part.begin().byte(1);
            sketch.write(&mut scribe.part);
            changes.put(scribe.key.part(column, 0), scribe.part.as_bytes());
            SKETCH
        }
    }
}

fn load_quantiles(count: u16, parts: &[Stored<'_>]) -> Result<Quantiles, StateDamage> {
    let mut values = Vec::with_capacity(usize::from(count).min(EXACT_LIMIT));
    for stored in parts {
        let mut read = || -> Result<Option<DdSketch>, Fault> {
            let mut reader = Reader::new(stored.value)?;
            match (reader.byte()?, count) {
                (1, SKETCH) => return DdSketch::read(reader).map(Some),
                (0, _) if count != SKETCH => {}
                _ => return Err("it is a sketch or is none against what the row says".into()),
            }
            while !reader.is_empty() {
                values.push(reader.finite()?);
            }
            Ok(None)
        };
        if let Some(sketch) = read().map_err(|fault| stored.damaged(fault))? {
            return Ok(Quantiles::Sketch(Box::new(sketch)));
        }
    }
    match parts.last() {
        Some(last) if values.len() != usize::from(count) || values.len() > EXACT_LIMIT => {
            Err(last.damaged(format!("{} values instead of {count}", values.len()).into()))
        }
        _ => Ok(Quantiles::Exact(values)),
    }
}

fn save_pieces(
    bytes: &[u8],
    column: u16,
    saved: u16,
    scribe: &mut Scribe,
    changes: &mut StateChanges,
) -> u16 {
    let pieces = (0_u16..).zip(bytes.chunks(PIECE_BYTES));
    let mut count = 0;
    for (part, piece) in pieces {
        scribe.part.begin().rest(piece);
        changes.put(scribe.key.part(column, part), scribe.part.as_bytes());
        count = part + 1;
    }
    (count..saved).for_each(|part| changes.delete(scribe.key.part(column, part)));
    count
}

fn load_pieces(parts: &[Stored<'_>]) -> Result<Vec<u8>, StateDamage> {
    let mut bytes = Vec::new();
    for stored in parts {
        let mut reader = Reader::new(stored.value).map_err(|fault| stored.damaged(fault))?;
        bytes.extend_from_slice(reader.rest());
    }
    Ok(bytes)
}
