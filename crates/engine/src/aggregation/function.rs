//! Functions of the user's own, beside the built-in ones.

use std::{any::Any, fmt};

use serde_json::Value;

/// A function that is computed per key and window.
///
/// Laws: those of the [module](super), as far as the function keeps them itself. A call that fails
/// or panics marks the function in that window; the other statistics stand.
pub trait AggregateFunction: fmt::Debug + Send + Sync {
    /// Under which name it is enabled, and what it is called where it fails.
    fn name(&self) -> &str;

    /// An empty accumulator for a window of `key`.
    fn create(&self, key: &str) -> Box<dyn Accumulate>;

    /// The accumulator of a window of `key` that [`save`](Accumulate::save) gave as `saved`, perhaps in
    /// an earlier run. Law: it adds, merges and evaluates as the one that was saved.
    ///
    /// # Errors
    /// Why it cannot be read. Without a function of its own none can, and a pipeline whose state outlives
    /// the process does not start.
    fn load(&self, key: &str, saved: &[u8]) -> Result<Box<dyn Accumulate>, String> {
        let _ = (key, saved);
        Err("the function has no `load`".to_owned())
    }
}

/// State of an [`AggregateFunction`] for one key and pane.
pub trait Accumulate: fmt::Debug + Send + Sync {
    /// Adds a finite number.
    ///
    /// # Errors
    /// Why it cannot be added, for the result's `errors`.
    fn add(&mut self, value: f64) -> Result<(), String>;

    /// Adds everything in `other`, which the same function created for the same key.
    ///
    /// # Errors
    /// Why it cannot be merged, for the result's `errors`.
    fn merge(&mut self, other: &dyn Accumulate) -> Result<(), String>;

    /// What it amounts to, by name; changes nothing.
    ///
    /// # Errors
    /// Why it cannot be computed, for the result's `errors`.
    fn evaluate(&self) -> Result<Vec<(String, Value)>, String>;

    /// Memory held, in bytes.
    fn size_bytes(&self) -> usize;

    /// Its state for [`AggregateFunction::load`]; `None` if it cannot be saved.
    fn save(&self) -> Option<Vec<u8>> {
        None
    }

    /// A copy.
    fn boxed_clone(&self) -> Box<dyn Accumulate>;

    /// Itself, so that `merge` can find the type it knows.
    fn as_any(&self) -> &dyn Any;
}
