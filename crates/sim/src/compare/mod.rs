//! The processor's output against what the oracle says.
//!
//! Every function returns sentences that say what differs; none means that all agrees.

mod results;
mod sides;
mod windows;

pub use results::{check_revisions, compare};
pub use sides::compare_sides;
pub use windows::{FoundStatistic, compare_windows};

use serde_json::Value;

/// Lines that are not blank, as JSON with their number; a line that is no JSON is a difference.
fn documents<'a>(
    text: &'a str,
    what: &'a str,
    differences: &mut Vec<String>,
) -> Vec<(usize, Value)> {
    let mut documents = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(document) => documents.push((number + 1, document)),
            Err(error) => differences.push(format!("{what} line {}: {error}", number + 1)),
        }
    }
    documents
}

/// Parses a record of [`llm_optimizer_types`]; a line that is none is a difference.
fn typed<T: serde::de::DeserializeOwned>(
    documents: Vec<(usize, Value)>,
    what: &str,
    differences: &mut Vec<String>,
) -> Vec<T> {
    let mut all = Vec::new();
    for (number, document) in documents {
        match serde_json::from_value(document) {
            Ok(record) => all.push(record),
            Err(error) => differences.push(format!("{what} line {number}: {error}")),
        }
    }
    all
}

#[cfg(test)]
mod tests;
