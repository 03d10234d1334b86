//! Why a window has not fired, or what holds the watermark back: a verdict with its numbers and what to do.
//!
//! Pure functions: from a picture of the run ([`RunView`], health, sinks), what windows hold, and the
//! settings, to an [answer](Why). Nothing here reads a clock, waits or asks. The server collects the [facts](Facts) for `GET
//! /api/v1/why`, which `processor why` prints.
//!
//! | file | subject |
//! | --- | --- |
//! | `rules` | the settings that decide when a window fires |
//! | `answer` | what is answered |
//! | `window` | which window is meant, and what state it is in |
//! | `run` | what concerns the whole run: health, commits, sinks |
//! | `partitions` | who holds the watermark, and why |
//! | `judge` | the verdict |
//! | `words` | durations, sizes and names for people |

mod answer;
mod judge;
mod partitions;
mod rules;
mod run;
#[cfg(test)]
mod tests;
mod window;
pub(crate) mod words;

pub use answer::{CauseKind, Finding, PipelineWhy, Why, WindowState, WindowWhy};
pub use judge::judge;
pub use rules::{PipelineRules, WindowRules};
pub use window::{Asked, FiredWindow, WindowFacts};

use crate::runtime::{HealthReport, PipelineView, RunView, SinksView};

/// Everything a verdict follows from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The run as it is.
    pub view: &'a RunView,
    /// The run as it was some seconds before; the same or an empty one if that is not known.
    pub earlier: &'a RunView,
    /// Whether it is well.
    pub health: &'a HealthReport,
    /// How the sinks fare.
    pub sinks: &'a SinksView,
}

impl Facts<'_> {
    /// The pipeline as it was before, and how many milliseconds ago, if that is known.
    fn before(&self, pipeline: &str) -> Option<(&PipelineView, i64)> {
        let passed_ms = self.view.at_ms.saturating_sub(self.earlier.at_ms);
        let is_usable = self.earlier.at_ms > 0 && passed_ms > 0;
        let before = self.earlier.pipelines.iter().find(|before| before.name == pipeline)?;
        is_usable.then_some((before, passed_ms))
    }

    /// Event time that W gains per time of the clock, if it is known.
    fn speed(&self, pipeline: &PipelineView) -> Option<f64> {
        let (before, passed_ms) = self.before(&pipeline.name)?;
        let gained = pipeline.watermark_ms?.saturating_sub(before.watermark_ms?);
        Some(gained as f64 / passed_ms as f64)
    }
}
