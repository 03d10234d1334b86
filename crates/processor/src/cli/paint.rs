//! Colours of differences, where they are wanted.

use std::io::IsTerminal;

/// Colours text, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    is_on: bool,
}

impl Paint {
    /// Colours, or not.
    pub(super) const fn new(is_on: bool) -> Self {
        Self { is_on }
    }

    /// Colours if standard output is a terminal and `NO_COLOR` is not set.
    pub(super) fn for_stdout() -> Self {
        let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::new(std::io::stdout().is_terminal() && !is_refused)
    }

    /// What is well or new.
    pub(super) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What is wrong or old.
    pub(super) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    /// What is beside the point.
    pub(super) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// A heading.
    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.is_on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
