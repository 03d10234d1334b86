//! The texts of a batch's keys, for functions of the user's.

use crate::{
    aggregation::AggregationPlan,
    core::{EventBatch, KeyId, KeyRegistry, OVERFLOW_FIELD},
};

/// The encoded key that holds the state of each key of a batch: its own, or the overflow key of its
/// group.
pub(super) struct KeyTexts<'a> {
    own: Vec<&'a str>,
    /// By index in the batch, where it is not the key's own.
    overflow: Vec<(usize, Box<str>)>,
}

impl<'a> KeyTexts<'a> {
    /// The texts, if the plan has further statistics; empty if it has no functions of the user's.
    pub(super) fn of(
        batch: &'a EventBatch,
        ids: &[KeyId],
        keys: &KeyRegistry,
        plan: &AggregationPlan,
    ) -> Option<Self> {
        if plan.functions().is_empty() {
            return plan.needs_further().then(|| Self { own: Vec::new(), overflow: Vec::new() });
        }
        let own: Vec<&str> = batch.keys().map(|(_, key)| key).collect();
        let held = ids.iter().map(|id| keys.text(*id)).enumerate();
        let overflow = held
            .filter(|(_, held)| held.starts_with(OVERFLOW_FIELD))
            .map(|(index, held)| (index, held.into()))
            .collect();
        Some(Self { own, overflow })
    }

    /// The text of the batch's key with this index.
    pub(super) fn get(&self, index: Option<u32>) -> &str {
        let Some(index) = index.map(|index| index as usize) else { return "" };
        let overflow = self.overflow.iter().find(|(at, _)| *at == index).map(|(_, text)| &**text);
        overflow.or_else(|| self.own.get(index).copied()).unwrap_or("")
    }
}
