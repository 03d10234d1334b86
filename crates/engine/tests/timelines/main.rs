//! The engine told as stories: a line of time goes in, lines of results come out.
//!
//! [`timeline::check`] is the only place that knows the engine's API.

#![allow(missing_docs, clippy::expect_used)]

mod functions;
mod limits;
mod sessions;
mod sliding;
mod timeline;
mod tumbling;
mod watermarks;
