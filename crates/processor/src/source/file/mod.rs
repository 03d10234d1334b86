//! A file of NDJSON or CSV, read once or followed like `tail -F`.

mod follow;
mod identity;
mod open;
#[cfg(test)]
mod resume_tests;
mod source;
#[cfg(test)]
mod tests;

pub use source::{FileSource, FileSourceConfig, FollowTiming};
