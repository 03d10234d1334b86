//! Asks the processor what there is to show.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    cli::client::{Client, Failure},
    server::api::overview::Overview,
};

/// Recent results that are asked for at once.
const RESULTS: &str = "2000";
/// Open windows that are looked at while nothing has fired.
const OPEN_WINDOWS: &str = "200";

/// What a look has found.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) overview: Box<Overview>,
    /// Results since the last look, the oldest first.
    pub(super) results: Vec<Value>,
    /// Whether results count anew: the process is another one.
    pub(super) is_anew: bool,
    /// Windows that are open, if none has fired yet.
    pub(super) open: Vec<Value>,
}

/// Looks again and again, and goes on where it was.
#[derive(Debug)]
pub(super) struct Looker {
    client: Client,
    next: Option<u64>,
    uptime_secs: f64,
    has_results: bool,
}

#[derive(Debug, Deserialize)]
struct Results {
    next: u64,
    results: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct Windows {
    open: Vec<Value>,
}

impl Looker {
    pub(super) fn new(client: Client) -> Self {
        Self { client, next: None, uptime_secs: 0.0, has_results: false }
    }

    /// Asks once.
    pub(super) fn look(&mut self) -> Result<Look, Failure> {
        let overview: Overview = self.client.get_as("/api/v1/overview", &[])?;
        let is_anew = overview.health.uptime_secs < self.uptime_secs;
        self.uptime_secs = overview.health.uptime_secs;
        if is_anew {
            (self.next, self.has_results) = (None, false);
        }
        let from = self.next.map(|next| next.to_string());
        let mut query = vec![("limit", RESULTS)];
        query.extend(from.as_deref().map(|from| ("from", from)));
        let Results { next, results } = self.client.get_as("/api/v1/results", &query)?;
        self.next = Some(next);
        self.has_results |= !results.is_empty();
        let open = if self.has_results { Vec::new() } else { self.open_windows() };
        Ok(Look { overview: Box::new(overview), results, is_anew, open })
    }

    /// What windows hold so far; nothing, if the worker has no time to say it.
    fn open_windows(&self) -> Vec<Value> {
        let query = [("state", "open"), ("limit", OPEN_WINDOWS)];
        let asked = self.client.get_as::<Windows>("/api/v1/windows", &query);
        asked.map(|windows| windows.open).unwrap_or_default()
    }
}
