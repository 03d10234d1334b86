//! Standard input, NDJSON or CSV, until it closes.

mod source;
#[cfg(test)]
mod tests;

pub use source::StdinSource;
