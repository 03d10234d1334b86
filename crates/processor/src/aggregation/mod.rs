//! What is computed per key and window, and its results, as the library's user sees them.
//!
//! Which statistics there are and what they mean: [`Function`]. Aggregators, the extension point
//! among them, are the engine's; see [`engine::aggregation`](crate::engine::aggregation).

mod engine;
mod result;
mod state;

pub use engine::AggregationEngine;
pub use llm_optimizer_engine::aggregation::{Function, aggregators::*, statistics};
pub use result::AggregationResult;
pub use state::AggregationState;
