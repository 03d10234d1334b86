//! Faults and warnings, and how they read.

use std::fmt;

use super::excerpt::{Excerpt, printable};
use crate::redact::redact;

/// Where something is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the file.
    File {
        /// Name of the file, as it was given.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// In the file as a whole: it cannot be read, or is empty.
    WholeFile {
        /// Name of the file, as it was given.
        file: String,
    },
    /// In an environment variable.
    Environment {
        /// Its name, as `PROCESSOR_STATE__BACKEND`.
        variable: String,
    },
    /// Nowhere: the config was put together in code.
    Code,
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it is written.
    pub place: Place,
    /// The key, as `processor.windows.sliding.slide_secs`; empty if the file as a whole is meant.
    pub path: String,
    /// What is wrong; never holds a secret.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The offending line, if there is one.
    pub excerpt: Option<Excerpt>,
}

/// Something that is accepted but does less than the key promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where it is written.
    pub place: Place,
    /// The key, as `processor.state.backend`.
    pub path: String,
    /// What the user should know.
    pub message: String,
}

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    faults: Vec<Fault>,
}

impl Fault {
    /// A fault without help or excerpt; passwords in `message` are masked.
    pub(crate) fn new(place: Place, path: impl Into<String>, message: &str) -> Self {
        let path = printable(&redact(&path.into()));
        let message = printable(&redact(message));
        Self { place, path, message, help: None, excerpt: None }
    }

    /// Adds what to do.
    pub(crate) fn help(mut self, help: Option<String>) -> Self {
        self.help = help.map(|text| printable(&redact(&text)));
        self
    }
}

impl ConfigError {
    /// All of `faults` as one error, sorted by place.
    pub(crate) fn new(mut faults: Vec<Fault>) -> Self {
        faults.sort_by(|a, b| a.place.order().cmp(&b.place.order()));
        faults.dedup();
        Self { faults }
    }

    /// One fault as an error.
    pub(crate) fn single(fault: Fault) -> Self {
        Self { faults: vec![fault] }
    }

    /// The faults, in the order of the file, those of the environment last; never empty.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl Place {
    /// Files before variables, by line and column, variables by name.
    pub(crate) fn order(&self) -> (u8, usize, usize, &str) {
        match self {
            Self::WholeFile { .. } => (0, 0, 0, ""),
            Self::File { line, column, .. } => (1, *line, *column, ""),
            Self::Environment { variable } => (2, 0, 0, variable),
            Self::Code => (3, 0, 0, ""),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::WholeFile { file } => f.write_str(file),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Code => f.write_str("configuration"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("error: ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}\n  --> {}", self.message, self.place)?;
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  = help: {help}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "warning: {}: {}\n  --> {}", self.path, self.message, self.place)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            write!(f, "{fault}\n\n")?;
        }
        let count = self.faults.len();
        write!(f, "configuration refused: {count} {}", if count == 1 { "fault" } else { "faults" })
    }
}

impl std::error::Error for ConfigError {}
