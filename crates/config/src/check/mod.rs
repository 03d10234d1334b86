//! What only the finished config shows: bounds, and keys that do not fit together.
//!
//! One file per section. A check names the keys it read; where one of them could not be read (its
//! fault is already reported), the check is silent.

mod aggregation;
mod bounds;
mod event;
mod kafka;
mod outputs;
mod source;
mod statistics;
mod topics;
mod warnings;
mod windows;

pub(crate) use warnings::warnings;

use crate::{
    ConfigError, Fault, Place, ProcessorConfig, Warning,
    load::{Found, Written},
};

/// Every fault of `config`.
pub(crate) fn check(config: &ProcessorConfig, written: &Written) -> Vec<Found> {
    let mut checks = Checks { config, written, found: Vec::new() };
    bounds::check(&mut checks);
    source::check(&mut checks);
    event::check(&mut checks);
    outputs::check(&mut checks);
    windows::check(&mut checks);
    aggregation::check(&mut checks);
    statistics::check(&mut checks);
    kafka::check(&mut checks);
    topics::check(&mut checks);
    checks.found
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
    config: &'a ProcessorConfig,
    written: &'a Written,
    found: Vec<Found>,
}

impl Checks<'_> {
    /// `key` (without `processor.`) is wrong by itself.
    fn fault(&mut self, key: &str, message: impl Into<String>, help: &str) {
        self.conflict(key, &[], message, help);
    }

    /// `key` is wrong together with `others`; silent where one of them could not be read.
    fn conflict(&mut self, key: &str, others: &[&str], message: impl Into<String>, help: &str) {
        let full = |key: &str| format!("processor.{key}");
        let doubtful = |key: &str| self.written.is_doubtful(&full(key));
        if doubtful(key) || others.iter().any(|other| doubtful(other)) {
            return;
        }
        // Where `key` itself is not written, the line that made its default wrong is shown.
        let written = std::iter::once(&key).chain(others).find(|key| self.written.has(&full(key)));
        let spot = self.written.nearest(&full(written.unwrap_or(&key))).cloned();
        self.found.push(Found {
            path: full(key),
            spot,
            message: message.into(),
            help: (!help.is_empty()).then(|| help.to_owned()),
        });
    }

    /// Whether `key` (without `processor.`) is written.
    fn has(&self, key: &str) -> bool {
        self.written.has(&format!("processor.{key}"))
    }
}
