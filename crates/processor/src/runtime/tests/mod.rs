//! Jobs and pipelines without files and brokers.

mod counting;
mod functions;
mod pacing;
