//! How many different items there are, by a `HyperLogLog` sketch.

use datasketches::hll::{HllSketch, HllType, HllUnion};

/// Base-2 logarithm of the number of registers: the standard error is 1.04 / √4096, about 1.6 %.
const LOG_REGISTERS: u8 = 12;

/// A `HyperLogLog` sketch of items, given by their hashes.
///
/// [`estimate`](Self::estimate) is a function of the set of items: order, repetition and merges do not
/// show. A few hundred items are told apart almost exactly; the sketch takes at most about 4 KiB.
///
/// ```
/// use llm_optimizer_engine::aggregation::DistinctItems;
/// let mut users = DistinctItems::default();
/// [11, 12, 13, 11].map(|hash| users.add(hash));
/// assert_eq!(users.estimate(), 3);
/// ```
#[derive(Debug, Clone, Default)]
pub struct DistinctItems {
    sketch: Option<Box<HllUnion>>,
}

impl DistinctItems {
    /// Adds the item with this hash.
    pub fn add(&mut self, hash: u64) {
        self.sketch().update_value(hash);
    }

    /// Adds all items of `other`.
    pub fn merge(&mut self, other: &Self) {
        match (&mut self.sketch, &other.sketch) {
            (_, None) => {}
            (Some(ours), Some(theirs)) => ours.update(&theirs.to_sketch(HllType::Hll8)),
            (None, Some(theirs)) => self.sketch = Some(theirs.clone()),
        }
    }

    /// About how many different items were added.
    #[must_use]
    pub fn estimate(&self) -> u64 {
        let estimate = self.sketch.as_ref().map_or(0.0, |sketch| sketch.composite_estimate());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let whole = estimate.round() as u64;
        whole
    }

    /// The sketch in the form of Apache `DataSketches`; empty without items.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let sketch = self.sketch.as_ref();
        sketch.map_or_else(Vec::new, |sketch| sketch.to_sketch(HllType::Hll8).serialize())
    }

    /// What [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    /// What is wrong, if it cannot have given these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let mut items = Self::default();
        if !bytes.is_empty() {
            check(bytes).ok_or("a sketch of distinct items is damaged")?;
            let sketch = HllSketch::deserialize(bytes).map_err(|fault| fault.to_string())?;
            items.sketch().update(&sketch);
        }
        Ok(items)
    }

    /// Memory held on the heap, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.sketch.as_ref().map_or(0, |sketch| size_of::<HllUnion>() + sketch.estimated_size())
    }

    fn sketch(&mut self) -> &mut HllUnion {
        self.sketch.get_or_insert_with(|| {
            let sketch = HllUnion::new(LOG_REGISTERS);
            Box::new(sketch.unwrap_or_else(|error| panic!("12 is in 4..=21: {error}")))
        })
    }
}

/// Whether bytes have the length and the numbers of a sketch of [`LOG_REGISTERS`]: the library reads
/// what other implementations wrote, too, and relies on some numbers without looking.
fn check(bytes: &[u8]) -> Option<()> {
    /// A hash, as far as the sketch keeps it: six bits of it are never 0.
    fn are_hashes(bytes: &[u8], count: usize) -> bool {
        bytes.len() == 4 * count && bytes.chunks_exact(4).all(|hash| hash.last() >= Some(&4))
    }
    let (header, rest) = bytes.split_first_chunk::<8>()?;
    let [_, _, _, log_registers, _, flags, count, mode] = *header;
    let is_compact = flags & 8 != 0;
    let fits = match mode {
        // A list, a set, and registers of eight bits.
        0b1000 => is_compact && (1..=8).contains(&count) && are_hashes(rest, count.into()),
        0b1001 => {
            let (count, rest) = rest.split_first_chunk()?;
            is_compact && are_hashes(rest, usize::try_from(u32::from_le_bytes(*count)).ok()?)
        }
        0b1010 => {
            let registers = rest.get(32..)?;
            registers.len() == 1 << LOG_REGISTERS && registers.iter().all(|value| *value < 64)
        }
        _ => false,
    };
    (fits && log_registers == LOG_REGISTERS).then_some(())
}
