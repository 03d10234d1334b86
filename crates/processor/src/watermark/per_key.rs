//! A watermark for each key.

use std::{collections::HashMap, fmt};

use chrono::{DateTime, Utc};

use super::generator::{Watermark, WatermarkGenerator};
use crate::core::GroupingKey;

/// Keeps a generator per key, for keys whose time runs at different speeds.
///
/// It stands on its own: pipelines have one watermark per input partition, because a key that falls
/// silent would never close its windows.
///
/// ```
/// use chrono::DateTime;
/// use llm_optimizer_processor::{AscendingWatermark, GroupingKey, PerKeyWatermark, Watermark};
///
/// let mut watermarks = PerKeyWatermark::new(AscendingWatermark::new);
/// let (fast, slow) = (GroupingKey::new("fast"), GroupingKey::new("slow"));
/// let second = |secs| DateTime::from_timestamp(secs, 0).unwrap();
/// watermarks.generate(&fast, second(100));
/// watermarks.generate(&slow, second(10));
/// assert_eq!(watermarks.current_watermark(&fast).timestamp, second(100));
/// assert_eq!(watermarks.least().timestamp, second(10));
/// watermarks.remove(&slow);
/// assert_eq!(watermarks.least().timestamp, second(100));
/// ```
pub struct PerKeyWatermark<G> {
    make: Box<dyn Fn() -> G + Send + Sync>,
    generators: HashMap<GroupingKey, G>,
}

impl<G: WatermarkGenerator> PerKeyWatermark<G> {
    /// No keys; each that comes gets what `make` makes.
    #[must_use]
    pub fn new(make: impl Fn() -> G + Send + Sync + 'static) -> Self {
        Self { make: Box::new(make), generators: HashMap::new() }
    }

    /// Takes note of an event of `key`; the key's new watermark, if it moved.
    pub fn generate(&mut self, key: &GroupingKey, timestamp: DateTime<Utc>) -> Option<Watermark> {
        if let Some(generator) = self.generators.get_mut(key) {
            return generator.generate(timestamp);
        }
        let generator = self.generators.entry(key.clone()).or_insert_with(&self.make);
        generator.generate(timestamp)
    }

    /// The watermark of `key`; [`Watermark::min`] for one that never came.
    #[must_use]
    pub fn current_watermark(&self, key: &GroupingKey) -> Watermark {
        self.generators.get(key).map_or(Watermark::min(), WatermarkGenerator::current_watermark)
    }

    /// The least watermark of all keys; [`Watermark::min`] without keys.
    #[must_use]
    pub fn least(&self) -> Watermark {
        let all = self.generators.values().map(WatermarkGenerator::current_watermark);
        all.min().unwrap_or(Watermark::min())
    }

    /// Forgets `key`; whether it was there. A key that comes again begins anew.
    pub fn remove(&mut self, key: &GroupingKey) -> bool {
        self.generators.remove(key).is_some()
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.generators.len()
    }

    /// Whether no key has come yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.generators.is_empty()
    }
}

impl<G> fmt::Debug for PerKeyWatermark<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKeyWatermark")
            .field("keys", &self.generators.len())
            .finish_non_exhaustive()
    }
}
