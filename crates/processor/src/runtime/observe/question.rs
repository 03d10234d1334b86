//! What only the worker can answer: it is asked through a bounded channel and answers between batches.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;
use utoipa::ToSchema;

/// A question to the worker.
#[derive(Debug)]
pub enum Question {
    /// What open windows hold.
    Windows(WindowsQuestion, oneshot::Sender<Vec<OpenWindowView>>),
}

/// Which open windows.
#[derive(Debug, Clone)]
pub struct WindowsQuestion {
    /// Of this pipeline; `None` for all.
    pub pipeline: Option<String>,
    /// Of this encoded key; `None` for all.
    pub key: Option<String>,
    /// That share an instant with `[from_ms, to_ms)`, epoch milliseconds.
    pub from_ms: i64,
    /// See `from_ms`.
    pub to_ms: i64,
    /// At most so many per pipeline.
    pub limit: usize,
}

/// An open window, with what it holds so far.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OpenWindowView {
    /// Its pipeline.
    pub pipeline: String,
    /// First instant, RFC 3339.
    pub start: String,
    /// First instant after it, as of now.
    pub end: String,
    /// The key as one string.
    pub key: String,
    /// How many results of it there are.
    pub results_emitted: u32,
    /// Statistics by name, so far.
    #[schema(value_type = Object)]
    pub results: BTreeMap<String, Value>,
    /// Statistics that have no value, and why.
    pub errors: BTreeMap<String, String>,
}
