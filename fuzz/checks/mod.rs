//! Checks that must hold for whatever bytes they are given; a check that does not panic has held.
//!
//! Each is a target of `cargo fuzz run <name>` and runs for a bounded time, from fixed seeds, in the
//! tests of `crates/processor`; both include this folder by path.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // as in tests

mod bytes;
mod configuration;
mod decode;
mod key_codec;
mod session_merge;
mod window_arithmetic;

pub(crate) use configuration::configuration;
pub(crate) use decode::decode;
pub(crate) use key_codec::key_codec;
pub(crate) use session_merge::session_merge;
pub(crate) use window_arithmetic::window_arithmetic;
