//! The reference of all metrics, as Markdown.

use std::fmt::Write;

use super::catalogue::{ALL, MetricKind};

/// A Markdown table of the catalogue.
#[must_use]
pub fn reference() -> String {
    let mut table =
        String::from("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n");
    for metric in ALL {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".into() } else { labels.join(", ") };
        let _ = writeln!(table, "| `{}` | {kind} | {labels} | {} |", metric.name, metric.help);
    }
    table
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    const BEGIN: &str = "<!-- begin generated: UPDATE=1 cargo test -p llm-optimizer-processor --lib metrics::reference -->\n\n";
    const END: &str = "\n<!-- end generated -->\n";

    #[test]
    fn the_committed_reference_is_that_of_the_catalogue() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
        let page = fs::read_to_string(&file).unwrap();
        let (before, rest) = page.split_once(BEGIN).expect("the page has the begin mark");
        let (_, after) = rest.split_once(END).expect("the page has the end mark");
        let expected = format!("{before}{BEGIN}{}{END}{after}", reference());
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, &expected).unwrap();
        }
        let committed = fs::read_to_string(&file).unwrap();
        assert!(
            committed == expected,
            "docs/metrics.md is not what the catalogue says; run\n  \
             UPDATE=1 cargo test -p llm-optimizer-processor --lib metrics::reference"
        );
    }
}
