//! Jobs and pipelines without files and brokers.

mod functions;
mod pacing;
