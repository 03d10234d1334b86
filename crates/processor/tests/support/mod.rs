//! What several test files share. Each of them uses a part of it.
#![allow(dead_code)]

pub(crate) mod binary;
#[cfg(feature = "kafka")]
pub(crate) mod kafka;
#[cfg(feature = "kafka")]
pub(crate) mod source_run;
