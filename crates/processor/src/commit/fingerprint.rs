//! What state is of: everything that decides what its numbers mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use llm_optimizer_config::{
    ProcessorConfig, Source, WindowSettings,
    settings::{FileFormat, StatisticConfig},
};
use llm_optimizer_engine::window::{WindowKind, WindowSpec};
use serde::{Deserialize, Serialize};

use crate::error::{ProcessorError, ProcessorResult};

const VERSION: u32 = 1;

/// The part of a configuration that state is bound to, setting by setting.
///
/// | in it | not in it |
/// | --- | --- |
/// | key fields, paths of times and values, kind of time, profile, conditions | allowed lateness, disorder, idleness |
/// | window type, size, slide, offset, gap | limits, triggers, commits, exchange |
/// | statistics with their parameters | sinks and side outputs |
/// | key groups, format and columns of the input | where the input lies |
///
/// ```
/// use llm_optimizer_processor::{commit::Fingerprint, config::ProcessorConfig};
/// let before = ProcessorConfig::default();
/// let mut after = before.clone();
/// after.windows.tumbling.size_secs = llm_optimizer_processor::config::settings::Secs::new(60);
/// let changed = Fingerprint::of(&before).changes_to(&Fingerprint::of(&after));
/// assert_eq!(changed[0].to_string(), "pipelines.default.windows: tumbling size 300000 ms offset 0 ms → tumbling size 60000 ms offset 0 ms");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    version: u32,
    parts: BTreeMap<String, String>,
}

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FingerprintChange {
    /// Which one.
    pub setting: String,
    /// What the state is of; `None` if it knows nothing of the setting.
    pub old: Option<String>,
    /// What is configured; `None` if nothing is.
    pub new: Option<String>,
}

impl Fingerprint {
    /// The fingerprint of `config`.
    #[must_use]
    pub fn of(config: &ProcessorConfig) -> Self {
        let mut parts = BTreeMap::new();
        parts.insert("key_groups".to_owned(), config.key_groups.to_string());
        parts.insert("source.format".to_owned(), input_format(config));
        for pipeline in config.pipelines() {
            let name = pipeline.name;
            for (setting, value) in pipeline_parts(&pipeline.config) {
                parts.insert(format!("pipelines.{name}.{setting}"), value);
            }
        }
        Self { version: VERSION, parts }
    }

    /// The fingerprint of a pipeline that is built in code: what `config` says, if it begins with one, and
    /// what was said in code instead.
    pub(crate) fn of_built(
        config: Option<&ProcessorConfig>,
        pipeline: &str,
        in_code: Vec<(&'static str, String)>,
    ) -> Self {
        let mut parts = BTreeMap::new();
        let mut settings = in_code;
        if let Some(config) = config {
            parts.insert("key_groups".to_owned(), config.key_groups.to_string());
            parts.insert("source.format".to_owned(), input_format(config));
            let mut all = pipeline_parts(config);
            all.append(&mut settings);
            settings = all;
        }
        for (setting, value) in settings {
            parts.insert(format!("pipelines.{pipeline}.{setting}"), value);
        }
        Self { version: VERSION, parts }
    }

    /// What differs in `new`, by setting.
    #[must_use]
    pub fn changes_to(&self, new: &Self) -> Vec<FingerprintChange> {
        let all: BTreeSet<&String> = self.parts.keys().chain(new.parts.keys()).collect();
        all.into_iter()
            .filter(|setting| self.parts.get(*setting) != new.parts.get(*setting))
            .map(|setting| FingerprintChange {
                setting: setting.clone(),
                old: self.parts.get(setting).cloned(),
                new: new.parts.get(setting).cloned(),
            })
            .collect()
    }

    /// 64 bits that stand for it, for places with no room for all of it.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut bytes = Vec::new();
        for (setting, value) in &self.parts {
            for text in [setting, value] {
                bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
        }
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }

    /// As it is stored.
    ///
    /// # Errors
    /// [`ProcessorError::Serialization`], which cannot happen.
    pub fn to_json(&self) -> ProcessorResult<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| ProcessorError::Serialization(error.to_string()))
    }

    /// What was stored.
    ///
    /// # Errors
    /// [`ProcessorError::State`] for another version, or if it cannot be read.
    pub fn from_json(json: &[u8]) -> ProcessorResult<Self> {
        let read: Option<Self> = serde_json::from_slice(json).ok();
        read.filter(|read| read.version == VERSION).ok_or_else(|| {
            ProcessorError::State(
                "what the state is of cannot be read; restore a checkpoint, or run with --new-state"
                    .into(),
            )
        })
    }

    /// Refuses state of another fingerprint, and says what differs and what can be done.
    ///
    /// # Errors
    /// [`ProcessorError::Config`].
    pub fn check(&self, configured: &Self, path: &std::path::Path) -> ProcessorResult<()> {
        let place = path.display().to_string();
        self.agrees(
            configured,
            &place,
            "begin afresh: run with --new-state; the old state stays beside the new one,\n  \
             - go back: restore a checkpoint of this configuration (`processor checkpoint`)",
        )
    }

    /// The same for state in a store that was given in code.
    ///
    /// # Errors
    /// [`ProcessorError::Config`].
    pub(crate) fn check_in_code(&self, built: &Self, pipeline: &str) -> ProcessorResult<()> {
        self.agrees(
            built,
            &format!("the store of pipeline {pipeline}"),
            "begin afresh: give `with_state_backend` a store in another folder; the old one stays as it is",
        )
    }

    fn agrees(&self, configured: &Self, place: &str, otherwise: &str) -> ProcessorResult<()> {
        let changes = self.changes_to(configured);
        if changes.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = changes.iter().map(|change| format!("  {change}")).collect();
        Err(ProcessorError::Config(format!(
            "the state in {place} is of another configuration:\n{}\n\
             Changing windows, keys, values or statistics changes what the numbers mean, so the \
             state cannot be used for it. Either\n  \
             - keep: take the change back; what does not change the numbers (allowed lateness, \
             out-of-orderness, limits, sinks, commits) may be changed at any time,\n  \
             - {otherwise}",
            lines.join("\n"),
        )))
    }
}

impl fmt::Display for FingerprintChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nothing = "(nothing)";
        let old = self.old.as_deref().unwrap_or(nothing);
        let new = self.new.as_deref().unwrap_or(nothing);
        write!(f, "{}: {old} → {new}", self.setting)
    }
}

/// How the bytes of the input read.
fn input_format(config: &ProcessorConfig) -> String {
    let Ok(Source::File { format, .. } | Source::Stdin { format }) = config.source() else {
        return "records".into();
    };
    let format = match format {
        llm_optimizer_config::RecordFormat::Ndjson => return name(&FileFormat::Ndjson),
        llm_optimizer_config::RecordFormat::Csv(csv) => csv,
    };
    json(&format)
}

fn pipeline_parts(config: &ProcessorConfig) -> Vec<(&'static str, String)> {
    let event = &config.event;
    let aggregation = &config.aggregation;
    let mut enabled: Vec<String> =
        aggregation.enabled.iter().map(|function| function.name().to_owned()).collect();
    enabled.extend(aggregation.functions.iter().cloned());
    let percentiles: Vec<u32> =
        aggregation.active_percentiles().iter().map(|p| p.thousandths()).collect();
    let further: Vec<String> =
        aggregation.statistics.iter().map(|statistic: &StatisticConfig| json(statistic)).collect();
    vec![
        ("event.profile", name(&event.profile)),
        ("event.time", name(&event.time)),
        ("event.timestamp", optional(event.timestamp.as_ref())),
        ("event.timestamp_unit", event.timestamp_unit.as_ref().map_or_else(by_profile, name)),
        ("event.key", event.key.as_ref().map_or_else(by_profile, |key| key.join(", "))),
        ("event.values", event.values.as_ref().map_or_else(by_profile, json)),
        ("windows", windows(config.window())),
        ("aggregation.enabled", enabled.join(", ")),
        ("aggregation.percentiles", percentiles_text(&percentiles)),
        ("aggregation.statistics", further.join(", ")),
    ]
}

fn by_profile() -> String {
    "as the profile says".into()
}

fn optional(text: Option<&String>) -> String {
    text.cloned().unwrap_or_else(by_profile)
}

fn windows(window: WindowSettings) -> String {
    match window {
        WindowSettings::Tumbling { size_ms, offset_ms, .. } => {
            format!("tumbling size {size_ms} ms offset {offset_ms} ms")
        }
        WindowSettings::Sliding { size_ms, slide_ms, offset_ms, .. } => {
            format!("sliding size {size_ms} ms slide {slide_ms} ms offset {offset_ms} ms")
        }
        WindowSettings::Session { gap_ms, .. } => format!("session gap {gap_ms} ms"),
    }
}

/// What windows are, as it is written down.
pub(crate) fn windows_text(windows: &WindowSpec) -> String {
    match windows.kind() {
        WindowKind::Sliced(slices) => {
            let (size_ms, slide_ms) = (slices.size(), slices.slide());
            let offset_ms = slices.offset();
            if size_ms == slide_ms {
                format!("tumbling size {size_ms} ms offset {offset_ms} ms")
            } else {
                format!("sliding size {size_ms} ms slide {slide_ms} ms offset {offset_ms} ms")
            }
        }
        WindowKind::Session { gap_ms } => format!("session gap {gap_ms} ms"),
        WindowKind::Assigned(_) => "as the assigner in code says".into(),
    }
}

fn percentiles_text(thousandths: &[u32]) -> String {
    let texts: Vec<String> =
        thousandths.iter().map(|p| format!("{}", f64::from(*p) / 1_000.0)).collect();
    texts.join(", ")
}

/// The name of a unit variant as it is in the file.
fn name(value: &impl Serialize) -> String {
    json(value).trim_matches('"').to_owned()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use llm_optimizer_config::load_str;

    use super::*;

    fn config(body: &str) -> ProcessorConfig {
        let yaml = format!("processor:\n  source: {{ type: file, path: a }}\n{body}");
        load_str(&yaml, "c.yaml", []).unwrap_or_else(|faults| panic!("{faults}")).config
    }

    fn changed(before: &str, after: &str) -> Vec<String> {
        let changes = Fingerprint::of(&config(before)).changes_to(&Fingerprint::of(&config(after)));
        changes.into_iter().map(|change| change.setting).collect()
    }

    #[test]
    fn what_changes_the_numbers_is_named() {
        let base = "  event: { profile: custom, timestamp: t, key: [a], values: { v: v } }\n";
        for (line, setting) in [
            ("  windows: { tumbling: { size_secs: 7 } }\n", "pipelines.default.windows"),
            ("  windows: { default_type: session }\n", "pipelines.default.windows"),
            ("  aggregation: { enabled: [count] }\n", "pipelines.default.aggregation.enabled"),
            ("  aggregation: { percentiles: [7] }\n", "pipelines.default.aggregation.percentiles"),
            ("  key_groups: 8\n", "key_groups"),
        ] {
            let found = changed(base, &format!("{base}{line}"));
            assert!(found.contains(&setting.to_owned()), "{line}: {found:?}");
        }
        let other = "  event: { profile: custom, timestamp: u, key: [a, b], values: { v: w } }\n";
        let expected = ["event.key", "event.timestamp", "event.values"];
        assert_eq!(changed(base, other), expected.map(|part| format!("pipelines.default.{part}")));
    }

    #[test]
    fn what_does_not_change_the_numbers_is_not_in_it() {
        for line in [
            "  windows: { tumbling: { allowed_lateness_secs: 7 } }\n",
            "  watermark: { max_out_of_orderness_secs: 1, idle_timeout_secs: 3 }\n",
            "  limits: { max_keys: 7 }\n",
            "  commit_interval_ms: 77\n",
            "  sinks: [{ type: file, path: b }]\n",
            "  state: { path: elsewhere }\n",
        ] {
            assert_eq!(changed("", line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn it_is_read_back_and_its_hash_stays() {
        let fingerprint = Fingerprint::of(&config(""));
        let json = fingerprint.to_json().unwrap();
        assert_eq!(Fingerprint::from_json(&json).unwrap(), fingerprint);
        assert_eq!(Fingerprint::from_json(&json).unwrap().hash(), fingerprint.hash());
        assert!(Fingerprint::from_json(b"{}").is_err());
        assert!(Fingerprint::from_json(br#"{"version":9,"parts":{}}"#).is_err());
    }

    #[test]
    fn the_refusal_says_what_changed_and_what_to_do() {
        let (old, new) = (config(""), config("  windows: { tumbling: { size_secs: 7 } }\n"));
        let check = Fingerprint::of(&old).check(&Fingerprint::of(&new), "place".as_ref());
        let text = check.unwrap_err().to_string();
        for part in ["300000 ms", "→", "7000 ms", "--new-state", "processor checkpoint", "place"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
