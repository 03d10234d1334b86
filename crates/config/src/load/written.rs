//! Which keys are written, and where.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{ProcessorConfig, settings::PipelineConfig, yaml::Spot};

/// The place of every key that is written, by path (`processor.windows.sliding.slide_secs`,
/// `processor.sinks[0].path`), and the paths whose value could not be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Written {
    spots: BTreeMap<String, Spots>,
    doubtful: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Spots {
    key: Option<Spot>,
    value: Spot,
    section: bool,
}

impl Written {
    /// What counts as written in a config that was put together in code: what is set and is not
    /// the default.
    pub(crate) fn of(config: &ProcessorConfig) -> Self {
        let value = |config: &ProcessorConfig| serde_json::to_value(config).unwrap_or_default();
        let mut written = Self::default();
        let default = value(&ProcessorConfig::default());
        written.note_differences("processor", &value(config), &default);
        for (index, pipeline) in config.pipelines.iter().flatten().enumerate() {
            let value = |entry: &PipelineConfig| serde_json::to_value(entry).unwrap_or_default();
            let above = value(&PipelineConfig::like(config, ""));
            let path = format!("processor.pipelines[{index}]");
            written.note_differences(&path, &value(pipeline), &above);
        }
        written
    }

    fn note_differences(&mut self, path: &str, value: &Value, default: &Value) {
        if value == default || value.is_null() {
            return;
        }
        self.note(path, None, Spot::code(), false);
        if let Value::Object(entries) = value {
            for (key, value) in entries {
                let default = default.get(key).unwrap_or(&Value::Null);
                self.note_differences(&format!("{path}.{key}"), value, default);
            }
        }
    }

    pub(crate) fn note(&mut self, path: &str, key: Option<Spot>, value: Spot, section: bool) {
        self.spots.insert(path.into(), Spots { key, value, section });
    }

    /// Marks a value that could not be read, so that no later check judges its default.
    pub(crate) fn doubt(&mut self, path: impl Into<String>) {
        self.doubtful.insert(path.into());
    }

    /// Whether `path` is written.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.spots.contains_key(path)
    }

    /// Whether the value at `path`, above or below it could not be read.
    pub(crate) fn is_doubtful(&self, path: &str) -> bool {
        self.doubtful.iter().any(|doubtful| is_within(path, doubtful) || is_within(doubtful, path))
    }

    /// The place of the value of `path`.
    pub(crate) fn value(&self, path: &str) -> Option<&Spot> {
        self.spots.get(path).map(|spots| &spots.value)
    }

    /// The place of `path`, else of the closest section that is written and would hold it.
    pub(crate) fn nearest(&self, path: &str) -> Option<&Spot> {
        let mut path = path;
        loop {
            if let Some(spots) = self.spots.get(path) {
                let key = spots.key.as_ref().filter(|_| spots.section);
                return Some(key.unwrap_or(&spots.value));
            }
            path = path.get(..path.rfind(['.', '['])?)?;
        }
    }
}

/// Whether `path` is `section` or below it.
fn is_within(path: &str, section: &str) -> bool {
    path.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
