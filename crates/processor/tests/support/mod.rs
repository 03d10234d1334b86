//! What several test files share. Each of them uses a part of it.
#![allow(dead_code)]
// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stderr)]

#[cfg(feature = "kafka")]
pub(crate) mod access;
pub(crate) mod binary;
pub(crate) mod browser;
pub(crate) mod certificates;
#[cfg(feature = "kafka")]
pub(crate) mod kafka;
#[cfg(feature = "kafka")]
pub(crate) mod member;
pub(crate) mod postgres;
#[cfg(feature = "kafka")]
pub(crate) mod proxy;
#[cfg(feature = "otlp-export")]
pub(crate) mod receiver;
pub(crate) mod results;
pub(crate) mod sender;
#[cfg(feature = "kafka")]
pub(crate) mod source_run;
pub(crate) mod tmux;
#[cfg(feature = "kafka")]
pub(crate) mod topics;
pub(crate) mod traffic;
pub(crate) mod websocket;
