//! What a replay did, for people and for programs.

use std::{fmt::Write, io::Write as _, time::Duration};

use llm_optimizer_engine::core::Rfc3339Millis;
use serde_json::{Value, json};

use super::{Results, Span, args::Edges, args::ReplayArgs, compare::Comparison, run::Ended};
use crate::cli::{exit::Exit, paint::Paint};

/// All there is to say at the end.
pub(super) struct Summary<'a> {
    pub(super) args: &'a ReplayArgs,
    pub(super) span: Span,
    pub(super) ended: &'a Ended,
    pub(super) results: &'a Results,
    pub(super) elapsed: Duration,
}

impl Summary<'_> {
    /// Says it: on standard output where that does not have the results, else on standard error.
    pub(super) fn tell(&self) -> Exit {
        let has_results = self.args.into.is_none() && self.args.compare.is_none();
        if !has_results {
            return self.args.output.answer(&self.json(), &self.text(Paint::for_stdout()));
        }
        let text = if self.args.output.is_json() {
            format!("{}\n", self.json())
        } else {
            self.text(Paint::new(false))
        };
        // Nobody reads standard error: the results are written.
        drop(std::io::stderr().lock().write_all(text.as_bytes()));
        Exit::Ok
    }

    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        if let Some(comparison) = &self.results.comparison {
            text += &comparison.text(paint);
        }
        let Results { whole, on_edges, .. } = self.results;
        let secs = self.elapsed.as_secs_f64();
        let _ = writeln!(
            text,
            "replayed {} records in {secs:.1} s: {whole} windows are whole, {on_edges} on the edges {}",
            self.ended.records,
            self.about_edges()
        );
        if self.ended.records > 0 && *whole + *on_edges == 0 {
            text += "no event of these records is in a window of the range; topics are searched by the time at which \
                     records were appended, and where that is not about the time of their events --offsets is the way\n";
        }
        for (name, report) in self.ended.names.iter().zip(&self.ended.reports) {
            if report.late_dropped + report.dead_lettered > 0 {
                let _ = writeln!(
                    text,
                    "pipeline {name}: {} events too late, {} dead letters",
                    report.late_dropped, report.dead_lettered
                );
            }
        }
        text
    }

    fn about_edges(&self) -> &'static str {
        match (self.results.on_edges, self.args.edges, self.args.whole_windows) {
            (0, ..) => "",
            (_, Edges::Mark, _) => "(marked)",
            (_, Edges::LeaveOut, false) => {
                "left out (--edges mark shows them, --whole-windows reads what they lack)"
            }
            (_, Edges::LeaveOut, true) => "left out (--edges mark shows them)",
        }
    }

    fn json(&self) -> Value {
        let time = |at: Option<i64>| at.map(|at| Rfc3339Millis(at).to_string());
        let parts = self.ended.parts.iter().map(|part| {
            json!({
                "name": part.name,
                "partition": part.partition,
                "from": part.from,
                "until": part.until,
            })
        });
        let pipelines = self.ended.names.iter().zip(&self.ended.reports).map(|(name, report)| {
            let report = serde_json::to_value(report).unwrap_or_default();
            (name.clone(), report)
        });
        json!({
            "config": self.args.config.display().to_string(),
            "from": time(self.span.0),
            "to": time(self.span.1),
            "whole_windows": self.args.whole_windows,
            "ended_by": if self.ended.by_signal { "stopped" } else { "end_of_range" },
            "records_read": self.ended.records,
            "elapsed_secs": self.elapsed.as_secs_f64(),
            "windows": { "whole": self.results.whole, "on_edges": self.results.on_edges },
            "input": parts.collect::<Value>(),
            "pipelines": pipelines.collect::<Value>(),
            "compare": self.results.comparison.as_ref().map(Comparison::json),
        })
    }
}
