//! Proves the processor. So far: the oracle, a naive batch recomputation of every window.
//!
//! Nothing here uses the engine or its algorithms; where the two agree, neither is likely wrong.
//!
//! | module | for |
//! | --- | --- |
//! | [`oracle`] | logs of events → the last result of every window, and the too-late events |
//! | [`records`] | logs of raw records → the fate of every record, and what the oracle says |
//! | [`compare`] | the processor's output files against that |
//! | [`cases`] | random cases and input files from a seed |
//!
//! No network, disk (but for input files), clock or randomness that does not come from a seed.

pub mod cases;
pub mod compare;
pub mod oracle;
pub mod records;
