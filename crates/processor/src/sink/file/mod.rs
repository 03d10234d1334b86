//! Files of NDJSON: results, late events, dead letters.

mod lines;
mod sink;
#[cfg(test)]
mod tests;

pub use lines::OpenMode;
pub use sink::{FileSink, SideFileSink};
