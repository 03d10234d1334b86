//! The two texts in which Prometheus reads metrics.

/// A text of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exposition {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// The older text format 0.0.4, which every reader knows.
    #[default]
    PlainText,
}

impl Exposition {
    /// What a reader with this `Accept` header is given: `OpenMetrics` if it names it, else plain text.
    #[must_use]
    pub fn accepted_by(accept: Option<&str>) -> Self {
        let is_named = |range: &str| range.trim_start().starts_with("application/openmetrics-text");
        let is_open = accept.is_some_and(|accept| accept.split(',').any(is_named));
        if is_open { Self::OpenMetrics } else { Self::PlainText }
    }

    /// The `Content-Type` of the text.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::PlainText => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// `OpenMetrics` as text 0.0.4: a counter is declared under its whole name, there are no units and no end.
pub(super) fn plain_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let suffix = if kind == "counter" { "_total" } else { "" };
            let kind = if kind == "unknown" { "untyped" } else { kind };
            if let Some((_, help)) = help.take().filter(|(of, _)| *of == name) {
                text.extend(["# HELP ", name, suffix, " ", help, "\n"]);
            }
            text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_given_to_those_who_ask_for_it() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        assert_eq!(Exposition::accepted_by(Some(prometheus)), Exposition::OpenMetrics);
        assert_eq!(Exposition::accepted_by(Some("text/plain, */*")), Exposition::PlainText);
        assert_eq!(Exposition::accepted_by(None), Exposition::PlainText);
    }

    #[test]
    fn plain_text_declares_counters_under_their_whole_name() {
        let open = "# HELP a_seconds Help.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total 1.5\n# EOF\n";
        assert_eq!(
            plain_text(open),
            "# HELP a_seconds_total Help.\n# TYPE a_seconds_total counter\na_seconds_total 1.5\n"
        );
    }
}
