//! What an event brings to the accumulators.

use crate::core::FeatureRow;

/// What an event brings: its values, and what further statistics need.
///
/// A slice or array of values is an event that brings nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Measures<'a> {
    /// One finite number per value of the plan.
    pub values: &'a [f64],
    /// What further statistics need; none where the plan has no such statistics.
    pub further: Option<&'a Further<'a>>,
}

/// What further statistics and the user's functions need of an event.
#[derive(Debug, Clone, Copy)]
pub struct Further<'a> {
    /// The encoded key that holds the event's state.
    pub key: &'a str,
    /// Conditions, optional numbers and items.
    pub features: Option<FeatureRow<'a>>,
}

impl<'a> From<&'a [f64]> for Measures<'a> {
    fn from(values: &'a [f64]) -> Self {
        Self { values, further: None }
    }
}

impl<'a, const N: usize> From<&'a [f64; N]> for Measures<'a> {
    fn from(values: &'a [f64; N]) -> Self {
        Self { values, further: None }
    }
}
