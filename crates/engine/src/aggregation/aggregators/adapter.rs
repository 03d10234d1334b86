//! Aggregators as functions of a window task.

use std::{any::Any, fmt, marker::PhantomData, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::aggregator::Aggregator;
use crate::aggregation::function::{Accumulate, AggregateFunction};

/// The function that computes `aggregator` in every window.
///
/// ```
/// use llm_optimizer_engine::aggregation::{CountAggregator, function_of};
/// let count = function_of(CountAggregator);
/// let mut accumulator = count.create("model=a");
/// accumulator.add(812.5).unwrap();
/// assert_eq!(accumulator.evaluate().unwrap(), [("count".to_owned(), 1.into())]);
/// ```
pub fn function_of<A, R>(aggregator: A) -> Arc<dyn AggregateFunction>
where
    A: Aggregator<f64, R> + 'static,
    R: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    let name = aggregator.name().to_owned();
    let aggregator = Arc::new(aggregator);
    Arc::new(Function { name, create: move |_: &str| Arc::clone(&aggregator), result: PhantomData })
}

/// The function that computes, for each key, what `factory` makes for that key.
///
/// The factory is asked whenever a key opens state for a window; its answer depends on the key alone.
///
/// ```
/// use llm_optimizer_engine::aggregation::{CompositeAggregator, function_per_key};
/// let function = function_per_key("latency", |key| {
///     let mut wanted = CompositeAggregator::new();
///     wanted.add_count("requests");
///     if key == "chat" {
///         wanted.add_max("slowest");
///     }
///     wanted
/// });
/// assert_eq!(function.create("chat").evaluate().unwrap().len(), 2);
/// assert_eq!(function.create("other").evaluate().unwrap().len(), 1);
/// ```
pub fn function_per_key<A, R>(
    name: impl Into<String>,
    factory: impl Fn(&str) -> A + Send + Sync + 'static,
) -> Arc<dyn AggregateFunction>
where
    A: Aggregator<f64, R> + 'static,
    R: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    let create = move |key: &str| Arc::new(factory(key));
    Arc::new(Function { name: name.into(), create, result: PhantomData })
}

struct Function<F, R> {
    name: String,
    create: F,
    result: PhantomData<fn() -> R>,
}

impl<F, R> fmt::Debug for Function<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Function").field(&self.name).finish()
    }
}

impl<A, F, R> AggregateFunction for Function<F, R>
where
    A: Aggregator<f64, R> + 'static,
    F: Fn(&str) -> Arc<A> + Send + Sync,
    R: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn create(&self, key: &str) -> Box<dyn Accumulate> {
        let aggregator = (self.create)(key);
        let accumulator = aggregator.create_accumulator();
        Box::new(Accumulator { aggregator, accumulator })
    }

    fn load(&self, key: &str, saved: &[u8]) -> Result<Box<dyn Accumulate>, String> {
        let accumulator: R = postcard::from_bytes(saved).map_err(|cause| cause.to_string())?;
        Ok(Box::new(Accumulator { aggregator: (self.create)(key), accumulator }))
    }
}

struct Accumulator<A, R> {
    aggregator: Arc<A>,
    accumulator: R,
}

impl<A, R> fmt::Debug for Accumulator<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accumulator").finish_non_exhaustive()
    }
}

impl<A, R> Accumulate for Accumulator<A, R>
where
    A: Aggregator<f64, R> + 'static,
    R: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    #[inline]
    fn add(&mut self, value: f64) -> Result<(), String> {
        self.aggregator.try_add(&mut self.accumulator, &value)
    }

    fn merge(&mut self, other: &dyn Accumulate) -> Result<(), String> {
        let other = other.as_any().downcast_ref::<Self>();
        let other = other.ok_or("an accumulator of another function cannot be merged")?;
        self.aggregator.merge_into(&mut self.accumulator, &other.accumulator);
        Ok(())
    }

    fn evaluate(&self) -> Result<Vec<(String, Value)>, String> {
        self.aggregator.results(&self.accumulator)
    }

    fn size_bytes(&self) -> usize {
        size_of::<Arc<A>>() + self.aggregator.size_bytes(&self.accumulator)
    }

    fn save(&self) -> Option<Vec<u8>> {
        postcard::to_allocvec(&self.accumulator).ok()
    }

    fn boxed_clone(&self) -> Box<dyn Accumulate> {
        let (aggregator, accumulator) = (Arc::clone(&self.aggregator), self.accumulator.clone());
        Box::new(Self { aggregator, accumulator })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
