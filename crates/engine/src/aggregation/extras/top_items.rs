//! The most frequent items, by a frequent-items sketch.

use datasketches::frequencies::{ErrorType, FrequentItemsSketch};
use serde_json::{Value, json};

use crate::core::{MAX_ITEM_BYTES, item_value};

/// Frequencies of items, exact while few differ.
///
/// While at most three quarters of its slots are in use all counts are exact. Beyond, seldom items are
/// given up, and a count may be too high by at most 3.5 / slots of all events. There are 256 slots for
/// up to 32 items asked for, else 512 or 1,024.
///
/// ```
/// use llm_optimizer_engine::aggregation::TopItems;
/// let mut errors = TopItems::new(2);
/// ["ttimeout", "tquota", "ttimeout", "i500"].map(|item| errors.add(item));
/// assert_eq!(errors.top(2).to_string(), r#"[{"item":"timeout","count":2},{"item":500,"count":1}]"#);
/// ```
#[derive(Debug, Clone)]
pub struct TopItems {
    sketch: FrequentItemsSketch<String>,
}

impl TopItems {
    /// No items, with slots for the `k` most frequent.
    #[must_use]
    pub fn new(k: u16) -> Self {
        let sketch = FrequentItemsSketch::new(slots(k));
        Self { sketch: sketch.unwrap_or_else(|error| panic!("a power of two: {error}")) }
    }

    /// The sketch in the form of Apache `DataSketches`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.sketch.serialize()
    }

    /// What [`to_bytes`](Self::to_bytes) of one for `k` items gave.
    ///
    /// # Errors
    /// What is wrong, if it cannot have given these bytes.
    pub fn from_bytes(k: u16, bytes: &[u8]) -> Result<Self, String> {
        if bytes.get(3).copied().map(u32::from) != Some(slots(k).ilog2()) {
            return Err(format!("a sketch of frequent items has not the slots for {k}"));
        }
        let sketch = FrequentItemsSketch::deserialize(bytes).map_err(|fault| fault.to_string())?;
        if sketch.total_weight() > 1 << 53 || sketch.maximum_error() > sketch.total_weight() {
            return Err("a sketch of frequent items has counted too much".to_owned());
        }
        Ok(Self { sketch })
    }

    /// Adds one [encoded](crate::core::Item) item.
    pub fn add(&mut self, item: &str) {
        self.sketch.update_ref(item);
    }

    /// Adds all items of `other`, which was made for as many.
    pub fn merge(&mut self, other: &Self) {
        self.sketch.merge(&other.sketch);
    }

    /// The `k` most frequent items as `[{"item": …, "count": …}, …]`, by falling count, then by the
    /// text of the item.
    #[must_use]
    pub fn top(&self, k: u16) -> Value {
        let rows = self.sketch.frequent_items_with_threshold(ErrorType::NoFalseNegatives, 0);
        let mut counted: Vec<(u64, String, Value)> = rows
            .iter()
            .map(|row| (row.estimate(), item_value(row.item())))
            .map(|(count, item)| (count, shown(&item), item))
            .collect();
        counted.sort_by(|a, b| (b.0, &a.1).cmp(&(a.0, &b.1)));
        let top = counted.into_iter().take(usize::from(k));
        top.map(|(count, _, item)| json!({"item": item, "count": count})).collect()
    }

    /// Whether no item was given up, so that all counts are exact.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.sketch.maximum_error() == 0
    }

    /// How much a count may be too high.
    #[must_use]
    pub fn max_error(&self) -> u64 {
        self.sketch.maximum_error()
    }

    /// Memory held on the heap, in bytes; texts are reckoned at a quarter of their greatest length.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.sketch.estimated_size() + self.sketch.num_active_items() * MAX_ITEM_BYTES / 4
    }
}

/// What items of one count are ordered by: text without quotes, else the JSON.
fn shown(item: &Value) -> String {
    item.as_str().map_or_else(|| item.to_string(), str::to_owned)
}

/// Slots for the `k` most frequent items.
fn slots(k: u16) -> usize {
    (usize::from(k) * 8).next_power_of_two().clamp(256, 1_024)
}
