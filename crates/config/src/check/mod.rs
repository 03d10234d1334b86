//! What only the finished config shows: bounds, and keys that do not fit together.
//!
//! One file per section. A check names the keys it read; where one of them could not be read (its
//! fault is already reported), the check is silent.

mod aggregation;
mod bounds;
mod event;
mod kafka;
mod outputs;
mod pipelines;
mod shared;
mod source;
mod statistics;
mod telemetry;
mod topics;
mod warnings;
mod windows;

pub(crate) use warnings::warnings;

use crate::{
    ConfigError, Fault, NamedPipeline, Place, ProcessorConfig, Warning,
    load::{Found, Written, entry_shape},
    yaml::Spot,
};

/// Every fault of `config`.
pub(crate) fn check(config: &ProcessorConfig, written: &Written) -> Vec<Found> {
    let mut checks = Checks { config, written, entry: None, found: Vec::new() };
    bounds::check(&mut checks);
    telemetry::check(&mut checks);
    source::check(&mut checks);
    kafka::check(&mut checks);
    topics::check_input(&mut checks);
    pipelines::check(&mut checks);
    let mut found = checks.found;
    // A list that could not be read is no reason to judge the top level as if it were absent.
    if config.pipelines.is_some() || !written.is_doubtful("processor.pipelines") {
        check_pipelines(config, written, &mut found);
    }
    found
}

/// Every fault of each pipeline. What they all take from the top level is reported once.
fn check_pipelines(config: &ProcessorConfig, written: &Written, found: &mut Vec<Found>) {
    let pipelines = config.pipelines();
    let mut checks = of_pipelines(config, &pipelines, written);
    for checks in &mut checks {
        bounds::check_pipeline(checks);
        event::check(checks);
        outputs::check(checks);
        windows::check(checks);
        aggregation::check(checks);
        statistics::check(checks);
        kafka::check_outputs(checks);
        topics::check(checks);
    }
    shared::check(&mut checks);
    for fault in checks.into_iter().flat_map(|checks| checks.found) {
        if !found.contains(&fault) {
            found.push(fault);
        }
    }
}

/// One view of the configuration per pipeline.
fn of_pipelines<'a>(
    config: &ProcessorConfig,
    pipelines: &'a [NamedPipeline],
    written: &'a Written,
) -> Vec<Checks<'a>> {
    let is_list = config.pipelines.is_some();
    let view = |(index, pipeline): (usize, &'a NamedPipeline)| Checks {
        config: &pipeline.config,
        written,
        entry: is_list.then_some(index),
        found: Vec::new(),
    };
    pipelines.iter().enumerate().map(view).collect()
}

impl ProcessorConfig {
    /// Checks a config that was put together in code, as [`load`](crate::load) checks a file.
    ///
    /// A key counts as written where it is `Some`, or differs from its default.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn validate(&self) -> Result<Vec<Warning>, ConfigError> {
        let written = Written::of(self);
        let faults: Vec<Fault> = check(self, &written)
            .into_iter()
            .map(|found| Fault::new(Place::Code, found.path, &found.message).help(found.help))
            .collect();
        if faults.is_empty() {
            Ok(warnings(self, &written, |_| Place::Code))
        } else {
            Err(ConfigError::new(faults))
        }
    }
}

/// The config under check, and what was found so far.
struct Checks<'a> {
    /// The whole, or as it looks to one pipeline.
    config: &'a ProcessorConfig,
    written: &'a Written,
    /// The entry of `pipelines` whose view it is.
    entry: Option<usize>,
    found: Vec<Found>,
}

impl Checks<'_> {
    /// `key` (without `processor.`) is wrong by itself.
    fn fault(&mut self, key: &str, message: impl Into<String>, help: &str) {
        self.conflict(key, &[], message, help);
    }

    /// `key` is wrong together with `others`; silent where one of them could not be read.
    fn conflict(&mut self, key: &str, others: &[&str], message: impl Into<String>, help: &str) {
        let doubtful = |key: &str| self.paths(key).any(|path| self.written.is_doubtful(&path));
        if doubtful(key) || others.iter().any(|other| doubtful(other)) {
            return;
        }
        let (path, spot) = self.place(key, others);
        self.found.push(Found {
            path,
            spot,
            message: message.into(),
            help: (!help.is_empty()).then(|| help.to_owned()),
        });
    }

    /// The path to name for `key`, and where it stands: in the pipeline's entry if it or one of
    /// `others` is written there, else at the top level. Where `key` itself is not written, the line
    /// that made its default wrong is shown.
    fn place(&self, key: &str, others: &[&str]) -> (String, Option<Spot>) {
        let keys = || std::iter::once(&key).chain(others);
        let in_entry =
            keys().find_map(|key| self.in_entry(key).filter(|path| self.written.has(path)));
        let above = keys().map(|key| on_top(key)).find(|path| self.written.has(path));
        let own = self.in_entry(key);
        let path = match own {
            Some(own) if in_entry.is_some() || above.is_none() => own,
            _ => on_top(key),
        };
        let shown = in_entry.or(above).unwrap_or_else(|| path.clone());
        (path, self.written.nearest(&shown).cloned())
    }

    /// Whether `key` (without `processor.`) is written, in the entry or at the top level.
    fn has(&self, key: &str) -> bool {
        self.paths(key).any(|path| self.written.has(&path))
    }

    /// Whether the pipeline has `key` from its own entry.
    fn is_of_entry(&self, key: &str) -> bool {
        self.in_entry(key).is_some_and(|path| self.written.has(&path))
    }

    fn paths(&self, key: &str) -> impl Iterator<Item = String> {
        self.in_entry(key).into_iter().chain([on_top(key)])
    }

    /// The path of `key` in the entry of the pipeline, if entries have such a key.
    fn in_entry(&self, key: &str) -> Option<String> {
        let index = self.entry?;
        let section = key.split(['.', '[']).next()?;
        entry_shape()?.key(section)?;
        Some(format!("processor.pipelines[{index}].{key}"))
    }
}

/// The path of `key` at the top level.
fn on_top(key: &str) -> String {
    format!("processor.{key}")
}
