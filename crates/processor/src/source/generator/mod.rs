//! Seeded LLM traffic: several models and tenants, a daily rhythm, incidents, disorder.
//!
//! The same settings give the same bytes. The clock only paces them, and gives the time of the
//! first event where the settings do not.
//!
//! ```text
//! Traffic: what happens, in order of event time ─▶ Disorder: when it arrives ─▶ GeneratorSource
//! ```

mod catalogue;
mod disorder;
mod event;
mod source;
#[cfg(test)]
mod tests;
mod traffic;

pub use source::GeneratorSource;
