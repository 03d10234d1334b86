//! The machine's rules, one by one, and what holds in any history.

mod laws;
mod recovery;
mod rig;
mod rules;
