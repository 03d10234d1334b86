//! What further statistics need of an event beside its values: conditions, optional numbers, items.
//!
//! A batch has these columns only where the pipeline computes such statistics. An event that is not
//! described has no condition, no number and no item.

use std::fmt::Write;

use super::items::{EncodedItem, Item, ItemPool};

/// Most conditions of one pipeline: one bit each.
pub const MAX_CONDITIONS: usize = 64;

/// Which columns a batch has beside the values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeatureShape {
    /// Number of conditions, at most [`MAX_CONDITIONS`].
    pub conditions: usize,
    /// Number of optional numbers.
    pub numbers: usize,
    /// Number of items.
    pub items: usize,
}

/// Conditions, optional numbers and items of the events of a batch.
#[derive(Debug, Clone)]
pub struct FeatureColumns {
    shape: FeatureShape,
    conditions: Vec<u64>,
    /// NaN where there is none.
    numbers: Vec<f64>,
    items: Vec<Option<u32>>,
    pool: ItemPool,
    scratch: String,
}

/// The features of one event.
#[derive(Debug, Clone, Copy)]
pub struct FeatureRow<'a> {
    columns: &'a FeatureColumns,
    row: usize,
}

impl FeatureShape {
    /// Whether there is no column.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl FeatureColumns {
    pub(super) fn new(shape: FeatureShape) -> Self {
        Self {
            shape,
            conditions: Vec::new(),
            numbers: Vec::new(),
            items: Vec::new(),
            pool: ItemPool::default(),
            scratch: String::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.conditions.clear();
        self.numbers.clear();
        self.items.clear();
        self.pool.clear();
    }

    /// Describes the event at `row`; the events before it that were not described have no features.
    pub(super) fn describe(
        &mut self,
        row: usize,
        conditions: u64,
        numbers: &[f64],
        items: &[Option<Item<'_>>],
    ) {
        let FeatureShape { numbers: width, items: count, .. } = self.shape;
        assert_eq!((numbers.len(), items.len()), (width, count), "one entry per column");
        self.conditions.resize(row, 0);
        self.conditions.push(conditions);
        self.numbers.resize(row * width, f64::NAN);
        self.numbers.extend(numbers.iter().map(|number| number + 0.0));
        self.items.resize(row * count, None);
        for item in items {
            let number = item.as_ref().map(|item| {
                self.scratch.clear();
                // Writing to a text does not fail.
                let _ = write!(self.scratch, "{item}");
                self.pool.intern(&self.scratch)
            });
            self.items.push(number);
        }
    }

    pub(super) fn row(&self, row: usize) -> FeatureRow<'_> {
        FeatureRow { columns: self, row }
    }
}

impl<'a> FeatureRow<'a> {
    /// Whether the condition with this number holds.
    #[inline]
    #[must_use]
    pub fn holds(&self, condition: u8) -> bool {
        self.columns.conditions.get(self.row).is_some_and(|mask| mask >> condition & 1 == 1)
    }

    /// The number in this column, finite; none if the event has none.
    #[inline]
    #[must_use]
    pub fn number(&self, column: usize) -> Option<f64> {
        let at = self.row * self.columns.shape.numbers + column;
        self.columns.numbers.get(at).copied().filter(|number| number.is_finite())
    }

    /// The item in this column; none if the event has none.
    #[inline]
    #[must_use]
    pub fn item(&self, column: usize) -> Option<EncodedItem<'a>> {
        let at = self.row * self.columns.shape.items + column;
        let number = self.columns.items.get(at).copied().flatten()?;
        self.columns.pool.get(number)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EventBatch, EventTime};
    use super::*;

    fn batch() -> EventBatch {
        EventBatch::with_features(1, FeatureShape { conditions: 2, numbers: 1, items: 1 })
    }

    #[test]
    fn features_stay_with_their_event() {
        let mut batch = batch();
        let at = EventTime::new(0).unwrap();
        batch.push(0, at, "a", &[1.0]);
        batch.push_time_only(1, at);
        batch.push(2, at, "a", &[1.0]);
        batch.describe(0b10, &[-0.0], &[Some(Item::Text("x"))]);
        batch.push(3, at, "b", &[1.0]);
        batch.describe(0b01, &[f64::NAN], &[None]);
        batch.push(4, at, "b", &[1.0]);
        let row = |row| batch.features(row).unwrap();
        assert_eq!(
            (row(0).holds(1), row(0).number(0), row(0).item(0).is_none()),
            (false, None, true)
        );
        assert_eq!((row(2).holds(0), row(2).holds(1)), (false, true));
        assert_eq!(row(2).number(0).map(f64::to_bits), Some(0));
        assert_eq!(row(2).item(0).unwrap().to_value(), "x");
        assert_eq!(
            (row(3).holds(0), row(3).number(0), row(3).item(0).is_none()),
            (true, None, true)
        );
        assert!(!row(4).holds(0) && row(4).item(0).is_none(), "beyond the last that was described");
    }

    #[test]
    fn a_batch_without_features_has_no_columns() {
        let mut plain = EventBatch::with_features(1, FeatureShape::default());
        plain.push(0, EventTime::new(0).unwrap(), "a", &[1.0]);
        assert!(plain.features(0).is_none());
    }

    #[test]
    fn a_cleared_batch_forgets_its_features() {
        let mut batch = batch();
        batch.push(0, EventTime::new(0).unwrap(), "a", &[1.0]);
        batch.describe(1, &[2.0], &[Some(Item::Bool(true))]);
        batch.clear();
        batch.push(0, EventTime::new(0).unwrap(), "a", &[1.0]);
        let row = batch.features(0).unwrap();
        assert!(!row.holds(0) && row.number(0).is_none() && row.item(0).is_none());
    }
}
