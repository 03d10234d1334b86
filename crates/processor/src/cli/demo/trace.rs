//! The recorded trace that is part of the binary, and its requests as metric points.

use std::path::Path;

use chrono::{DateTime, NaiveDateTime, SecondsFormat};
use serde_json::json;

use crate::error::{ProcessorError, ProcessorResult};

/// Azure LLM inference trace 2023 (conversation), CC-BY 4.0; see `examples/data/README.md`.
const TRACE: &str = include_str!("../../../../../examples/data/azure-llm-conv-2023.csv");

/// One request in so many is cut off by its sender, so that there are dead letters to see.
const BROKEN_EVERY: usize = 60;

/// One recorded request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    /// Milliseconds since the first request.
    pub(super) after_ms: i64,
    context_tokens: u32,
    generated_tokens: u32,
    number: usize,
}

/// Writes the trace to a file.
///
/// # Errors
/// [`ProcessorError::Io`] if the file cannot be written.
pub(super) fn write(path: &Path) -> ProcessorResult<()> {
    std::fs::write(path, TRACE).map_err(|cause| ProcessorError::Io {
        action: "write",
        path: path.to_owned(),
        cause,
    })
}

/// The requests in the order of their time.
///
/// # Errors
/// [`ProcessorError::Internal`] for a line that is none: the trace is part of the binary.
pub(super) fn requests() -> ProcessorResult<Vec<Request>> {
    let lines = TRACE.lines().skip(1).enumerate();
    let mut first_ms = None;
    let read = |(number, line): (usize, &str)| {
        let request = request(number, line, &mut first_ms);
        request.ok_or_else(|| ProcessorError::Internal(format!("the trace is damaged: {line}")))
    };
    lines.map(read).collect()
}

fn request(number: usize, line: &str, first_ms: &mut Option<i64>) -> Option<Request> {
    let mut cells = line.split(',');
    let at = NaiveDateTime::parse_from_str(cells.next()?, "%Y-%m-%d %H:%M:%S%.f").ok()?;
    let at_ms = at.and_utc().timestamp_millis();
    let after_ms = at_ms - *first_ms.get_or_insert(at_ms);
    let (context, generated) = (cells.next()?, cells.next()?);
    let (context_tokens, generated_tokens) = (context.parse().ok()?, generated.parse().ok()?);
    Some(Request { after_ms, context_tokens, generated_tokens, number })
}

impl Request {
    /// The request as two metric points, as if it came at `at_ms`; the second is cut off now and then.
    pub(super) fn records(&self, at_ms: i64) -> [Vec<u8>; 2] {
        let at = DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
        let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let point = |name: &str, value: u32| {
            let point = json!({ "name": name, "value": value, "timestamp": at, "unit": "tokens",
                "tags": { "service": "azure-conv" } });
            point.to_string().into_bytes()
        };
        let mut second = point("generated_tokens", self.generated_tokens);
        if self.number % BROKEN_EVERY == BROKEN_EVERY - 1 {
            second.truncate(second.len() / 2);
        }
        [point("context_tokens", self.context_tokens), second]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_trace_is_a_request_and_they_are_in_order() {
        let all = requests().unwrap();
        assert_eq!(all.len(), 19_366);
        assert!(all.windows(2).all(|pair| pair[0].after_ms <= pair[1].after_ms));
        assert_eq!((all[0].after_ms, all[1].after_ms), (0, 4_315));
        let [context, generated] = all[0].records(1_700_000_000_000);
        let context: serde_json::Value = serde_json::from_slice(&context).unwrap();
        assert_eq!(
            (context["value"].as_u64(), context["name"].as_str()),
            (Some(374), Some("context_tokens"))
        );
        assert!(serde_json::from_slice::<serde_json::Value>(&generated).is_ok());
        let cut = &all[BROKEN_EVERY - 1].records(0)[1];
        assert!(serde_json::from_slice::<serde_json::Value>(cut).is_err());
    }
}
