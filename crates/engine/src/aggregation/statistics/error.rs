//! Parameters and questions that make no sense.

/// A statistic that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StatisticsError {
    /// A smoothing factor outside (0, 1].
    #[error("alpha {alpha} is not above 0 and at most 1")]
    Alpha {
        /// What was given.
        alpha: f64,
    },
    /// A span below 1.
    #[error("span {span} is not at least 1")]
    Span {
        /// What was given.
        span: f64,
    },
    /// A window of no values.
    #[error("a window holds at least one value")]
    NoRoom,
    /// A percentile outside `0..=100`.
    #[error("percentile {percentile} is not in 0..=100")]
    Percentile {
        /// What was asked for.
        percentile: f64,
    },
    /// A question about values before the first one.
    #[error("there is no value yet")]
    NoValues,
}
