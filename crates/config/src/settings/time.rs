//! Seconds as they are written in the file.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A span of time, written in seconds with at most three decimals (`0.25` is 250 ms).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Secs {
    millis: i64,
}

/// Longest span that is accepted: 100 million seconds, about three years.
const MAX_MILLIS: i64 = 100_000_000_000;

impl Secs {
    /// A span of whole seconds.
    #[must_use]
    pub const fn new(secs: i64) -> Self {
        Self { millis: secs * 1_000 }
    }

    /// A span of milliseconds.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self { millis }
    }

    /// The span in milliseconds; negative only where a key allows it.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.millis
    }

    /// The span as a `Duration`; zero if it is negative.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_millis(u64::try_from(self.millis).unwrap_or(0))
    }
}

impl fmt::Display for Secs {
    /// The seconds as they would be written: `60`, `0.25`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.millis as f64 / 1_000.0)
    }
}

impl Serialize for Secs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.millis % 1_000 == 0 {
            serializer.serialize_i64(self.millis / 1_000)
        } else {
            serializer.serialize_f64(self.millis as f64 / 1_000.0)
        }
    }
}

impl<'de> Deserialize<'de> for Secs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secs = f64::deserialize(deserializer)?;
        let millis = (secs * 1_000.0).round();
        if (millis - secs * 1_000.0).abs() > 1e-6 * millis.abs().max(1.0) {
            return Err(D::Error::custom(format!("{secs} has more than three decimals")));
        }
        if millis.abs() > MAX_MILLIS as f64 {
            return Err(D::Error::custom(format!("{secs} seconds is beyond 100,000,000")));
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked above: |millis| ≤ 1e11")]
        Ok(Self { millis: millis as i64 })
    }
}

impl JsonSchema for Secs {
    fn schema_name() -> Cow<'static, str> {
        "Secs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number",
            "minimum": -100_000_000,
            "maximum": 100_000_000,
            "x-decimals": 3,
        })
    }
}
