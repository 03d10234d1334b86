//! `--compare`: what came now against what was recorded.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use llm_optimizer_types::{ResultRecord, ResultWindow};
use serde_json::{Value, json};

use super::{
    coverage::{Coverage, Standing},
    run::span_of,
};
use crate::{
    cli::{paint::Paint, test::compare::agrees},
    error::{ProcessorError, ProcessorResult},
};

/// Numbers that are summed in another order may differ by so much, relatively.
const TOLERANCE: f64 = 1e-9;
/// Differences that are shown; all are counted.
const MAX_SHOWN: usize = 100;

/// Recorded results, and what came of comparing with them.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// The last recorded result of every window that was not replayed yet.
    recorded: HashMap<String, ResultRecord>,
    same: u64,
    different: u64,
    missing: u64,
    extra: u64,
    /// Recorded windows the replay cannot speak for.
    not_covered: u64,
    shown: Vec<WindowDifference>,
}

/// A window that is not the same.
#[derive(Debug)]
struct WindowDifference {
    pipeline: String,
    window: ResultWindow,
    kind: &'static str,
    /// Name, recorded value, value now.
    fields: Vec<(String, Option<Value>, Option<Value>)>,
}

impl Comparison {
    /// Reads recorded results (NDJSON); of each window the last one counts.
    ///
    /// # Errors
    /// [`ProcessorError::Io`]; [`ProcessorError::Source`] for a line that is no result.
    pub(super) fn load(path: &Path) -> ProcessorResult<Self> {
        let io = |action| move |cause| ProcessorError::Io { action, path: path.to_owned(), cause };
        let file = File::open(path).map_err(io("open"))?;
        let mut recorded: HashMap<String, ResultRecord> = HashMap::new();
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(io("read"))?;
            if line.trim().is_empty() {
                continue;
            }
            let result: ResultRecord =
                serde_json::from_str(&line).map_err(|error| ProcessorError::Source {
                    name: path.display().to_string(),
                    reason: format!("line {} is no result: {error}", number + 1),
                })?;
            for absorbed in &result.supersedes {
                if let Some((window, _)) = absorbed.rsplit_once('-') {
                    recorded.remove(window);
                }
            }
            recorded.insert(result.window_id.clone(), result);
        }
        Ok(Self { recorded, ..Self::default() })
    }

    /// A window that was replayed as a whole.
    pub(super) fn take(&mut self, result: &ResultRecord) {
        let Some(recorded) = self.recorded.remove(&result.window_id) else {
            self.extra += 1;
            self.show(result, "extra", fields(None, Some(result)));
            return;
        };
        let fields = fields(Some(&recorded), Some(result));
        if fields.is_empty() {
            self.same += 1;
        } else {
            self.different += 1;
            self.show(result, "different", fields);
        }
    }

    /// A window the replay cannot speak for.
    pub(super) fn pass(&mut self, window_id: &str) {
        if self.recorded.remove(window_id).is_some() {
            self.not_covered += 1;
        }
    }

    /// Judges the recorded windows that were not replayed.
    ///
    /// # Errors
    /// [`ProcessorError::Serialization`] for a window without instants.
    pub(super) fn conclude(
        &mut self,
        names: &[String],
        coverage: &[Coverage],
    ) -> ProcessorResult<()> {
        let mut left: Vec<ResultRecord> =
            std::mem::take(&mut self.recorded).into_values().collect();
        left.sort_by(|a, b| {
            let key = |r: &ResultRecord| {
                (r.window.end.clone(), r.window.start.clone(), r.window_id.clone())
            };
            key(a).cmp(&key(b))
        });
        for result in &left {
            let (start_ms, end_ms) = span_of(result)?;
            let position = names.iter().position(|name| *name == result.pipeline);
            let coverage = position.and_then(|position| coverage.get(position));
            let standing = coverage.map_or(Standing::Outside, |c| c.standing(start_ms, end_ms));
            if standing == Standing::Whole {
                self.missing += 1;
                self.show(result, "missing", fields(Some(result), None));
            } else {
                self.not_covered += 1;
            }
        }
        Ok(())
    }

    /// Whether everything that was compared is the same.
    pub(super) fn is_same(&self) -> bool {
        self.different + self.missing + self.extra == 0
    }

    fn show(
        &mut self,
        result: &ResultRecord,
        kind: &'static str,
        fields: Vec<(String, Option<Value>, Option<Value>)>,
    ) {
        if self.shown.len() < MAX_SHOWN {
            let (pipeline, window) = (result.pipeline.clone(), result.window.clone());
            self.shown.push(WindowDifference { pipeline, window, kind, fields });
        }
    }

    /// The comparison for programs.
    pub(super) fn json(&self) -> Value {
        let one = |shown: &WindowDifference| {
            let ResultWindow { start, end, key } = &shown.window;
            let fields = shown.fields.iter().map(|(name, recorded, now)| {
                json!({ "field": name, "recorded": recorded, "replayed": now })
            });
            json!({
                "kind": shown.kind,
                "pipeline": shown.pipeline,
                "window": { "start": start, "end": end, "key": key },
                "fields": fields.collect::<Value>(),
            })
        };
        json!({
            "same": self.same,
            "different": self.different,
            "missing": self.missing,
            "extra": self.extra,
            "not_covered": self.not_covered,
            "differences": self.shown.iter().map(one).collect::<Value>(),
        })
    }

    /// The comparison for people.
    pub(super) fn text(&self, paint: Paint) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for shown in &self.shown {
            let ResultWindow { start, end, key } = &shown.window;
            let what = match shown.kind {
                "extra" => "is not among the recorded results",
                "missing" => "is recorded and did not come",
                _ => "differs",
            };
            let _ =
                writeln!(text, "[{start}, {end}) of {key}, pipeline {}: {what}", shown.pipeline);
            for (name, recorded, now) in &shown.fields {
                if let Some(recorded) = recorded {
                    let _ = writeln!(text, "  {}", paint.red(&format!("- {name}: {recorded}")));
                }
                if let Some(now) = now {
                    let _ = writeln!(text, "  {}", paint.green(&format!("+ {name}: {now}")));
                }
            }
        }
        let all = self.different + self.missing + self.extra;
        let more = all.saturating_sub(self.shown.len() as u64);
        if more > 0 {
            let _ = writeln!(text, "and {more} more");
        }
        let Self { same, different, missing, extra, not_covered, .. } = self;
        let _ = writeln!(
            text,
            "compared: {same} the same, {different} different, {missing} missing, {extra} extra; {not_covered} \
             recorded windows are not covered by the replay"
        );
        text
    }
}

/// What differs between two results of a window; everything of the one that is there if the other is not.
fn fields(
    recorded: Option<&ResultRecord>,
    now: Option<&ResultRecord>,
) -> Vec<(String, Option<Value>, Option<Value>)> {
    let (recorded, now) = (values(recorded), values(now));
    let names: BTreeSet<&String> = recorded.keys().chain(now.keys()).collect();
    let differs = |name: &&String| match (recorded.get(*name), now.get(*name)) {
        (Some(one), Some(other)) => {
            !(agrees(one, other, TOLERANCE) && agrees(other, one, TOLERANCE))
        }
        _ => true,
    };
    let field = |name: &String| (name.clone(), recorded.get(name).cloned(), now.get(name).cloned());
    names.into_iter().filter(differs).map(field).collect()
}

/// What of a result depends on its events alone.
fn values(result: Option<&ResultRecord>) -> BTreeMap<String, Value> {
    let Some(result) = result else { return BTreeMap::new() };
    let mut values: BTreeMap<String, Value> = result.results.clone();
    for (name, quality) in &result.quality {
        values.insert(format!("quality.{name}"), serde_json::to_value(quality).unwrap_or_default());
    }
    for (name, reason) in &result.errors {
        values.insert(format!("errors.{name}"), reason.as_str().into());
    }
    values
}
