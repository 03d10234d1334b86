//! Seconds as they are written in the file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A span of time, written in seconds with at most three decimals (`0.25` is 250 ms).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Secs {
    millis: i64,
}
