//! A file of NDJSON or CSV, read once or followed like `tail -F`.

mod follow;
mod identity;
mod open;
mod source;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod tests;

pub use source::{FileSource, FileSourceConfig, FollowTiming};
