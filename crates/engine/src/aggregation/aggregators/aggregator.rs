//! The extension point: how values are added, put together and turned into a result.

use serde::Serialize;
use serde_json::Value;

/// Computes an `R` of values of type `T`.
///
/// | law | |
/// | --- | --- |
/// | `merge` | is associative and commutative; merging a new accumulator changes nothing |
/// | `add` then `merge` | values split among accumulators anywhere and merged give what one accumulator gives |
/// | `get_result` | changes nothing and may be asked again |
///
/// The five methods without a body are needed; the others have a meaning that fits most.
///
/// ```
/// use llm_optimizer_engine::aggregation::Aggregator;
///
/// /// The product of all values.
/// struct Product;
///
/// impl Aggregator<f64, f64> for Product {
///     fn create_accumulator(&self) -> f64 {
///         1.0
///     }
///     fn add(&self, product: &mut f64, value: &f64) {
///         *product *= value;
///     }
///     fn merge(&self, one: &f64, other: &f64) -> f64 {
///         one * other
///     }
///     fn get_result(&self, product: &f64) -> f64 {
///         *product
///     }
///     fn name(&self) -> &str {
///         "product"
///     }
/// }
///
/// let mut product = Product.create_accumulator();
/// Product.add(&mut product, &3.0);
/// Product.add(&mut product, &4.0);
/// assert_eq!(Product.results(&product).unwrap(), [("product".to_owned(), 12.0.into())]);
/// ```
pub trait Aggregator<T, R>: Send + Sync {
    /// An accumulator without values.
    fn create_accumulator(&self) -> R;

    /// Adds a value.
    fn add(&self, accumulator: &mut R, value: &T);

    /// An accumulator with the values of both.
    fn merge(&self, acc1: &R, acc2: &R) -> R;

    /// What the values amount to.
    fn get_result(&self, accumulator: &R) -> R;

    /// The name under which its result is known.
    fn name(&self) -> &str;

    /// Adds a value, or says why it cannot be added. Pipelines call this one; it is [`add`](Self::add)
    /// unless it is overridden.
    ///
    /// # Errors
    /// Why the value cannot be added. The window's result then has this text under `errors` instead
    /// of a number.
    fn try_add(&self, accumulator: &mut R, value: &T) -> Result<(), String> {
        self.add(accumulator, value);
        Ok(())
    }

    /// Adds everything in `other` to `accumulator`: what [`merge`](Self::merge) does, in place.
    fn merge_into(&self, accumulator: &mut R, other: &R) {
        *accumulator = self.merge(accumulator, other);
    }

    /// The numbers of a result by name. A result with fields gives `name.field` for each of them, any
    /// other result its value under [`name`](Self::name).
    ///
    /// # Errors
    /// If the result cannot be written as JSON.
    fn results(&self, accumulator: &R) -> Result<Vec<(String, Value)>, String>
    where
        R: Serialize,
    {
        let value = serde_json::to_value(self.get_result(accumulator));
        let mut results = Vec::new();
        flatten(self.name(), value.map_err(|cause| cause.to_string())?, &mut results);
        Ok(results)
    }

    /// Memory that an accumulator holds, in bytes, as far as it is known.
    fn size_bytes(&self, accumulator: &R) -> usize {
        size_of_val(accumulator)
    }
}

fn flatten(name: &str, value: Value, results: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(&format!("{name}.{field}"), value, results);
            }
        }
        value => results.push((name.to_owned(), value)),
    }
}
