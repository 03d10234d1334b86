//! The engine told as stories: a line of time goes in, lines of results come out.
//!
//! [`timeline::check`] is the only place that knows the engine's API.

#![allow(missing_docs, clippy::expect_used)]

mod assigned;
mod assigners;
mod early;
mod edges;
mod functions;
mod limits;
mod sessions;
mod sliding;
mod timeline;
mod triggers;
mod tumbling;
mod watermarks;
