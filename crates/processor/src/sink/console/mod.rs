//! Results on standard output: a table on a terminal, NDJSON otherwise.

mod sink;
mod table;
#[cfg(test)]
mod tests;
mod text;

pub use sink::{ConsoleLayout, ConsoleSink};
