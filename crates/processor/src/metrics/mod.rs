//! What the processor says of itself in numbers.
//!
//! Updated once per batch or commit, never per event. `docs/metrics.md` is the reference.
//!
//! | file | subject |
//! | --- | --- |
//! | [`catalogue`] | every metric, once |
//! | `registry` | the metrics of a process |
//! | `histogram` | durations and their quantiles |
//! | `exposition` | the texts Prometheus reads |
//! | `collector` | what a program records by itself |
//! | `process` | processor time and memory |
//! | `keeper` | the thread that looks at the clock |
//! | `reference` | `docs/metrics.md` |

pub mod catalogue;
mod collector;
mod exposition;
mod histogram;
mod keeper;
mod process;
mod reference;
mod registry;

pub use catalogue::{Metric, MetricKind, MetricUnit};
pub use collector::ProcessorMetrics;
pub use exposition::Exposition;
pub use histogram::{BOUNDS_MICROS, DurationHistogram, QUANTILES};
pub use keeper::{MetricsKeeper, MetricsKeeperSettings};
pub(crate) use process::memory_limit;
pub use reference::reference;
pub use registry::{Counter, Gauge, Metrics, SecondsCounter};
