//! The log in its store, the machine in a world that crashes.

mod formats;
mod log;
mod world;
