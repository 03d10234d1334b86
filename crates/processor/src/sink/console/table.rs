//! Results as a table that grows: each delivery adds rows under the same headings.

use std::collections::BTreeSet;

use comfy_table::{
    Cell, CellAlignment, Color, ColumnConstraint, LineStyle, Row, Table, TableStyle, Width,
};
use llm_optimizer_types::{ResultRecord, output::PaneTiming};

use super::text::{note, number, window};
use crate::sink::EncodedResult;

/// Statistics in the order in which they are shown; percentiles and others follow.
const ORDER: [&str; 6] = ["count", "sum", "average", "min", "max", "stddev"];

/// Statistics that give way first where the terminal is too narrow.
const EXPENDABLE: [&str; 4] = ["sum", "stddev", "min", "max"];

/// Rows after which the headings are repeated.
const ROWS_PER_HEADING: usize = 30;

/// Lines of the headings and the rule under them.
const HEADING_LINES: usize = 2;

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// Remembers columns and widths from one delivery to the next.
pub(super) struct ResultTable {
    has_colours: bool,
    names_pipelines: bool,
    /// Columns of the terminal, if it is one.
    max_width: Option<u16>,
    statistics: Vec<String>,
    /// How many of the [`EXPENDABLE`] have no column.
    hidden: usize,
    /// Of each column, the greatest so far.
    widths: Vec<u16>,
    rows_since_heading: usize,
}

impl ResultTable {
    pub(super) fn new(has_colours: bool, max_width: Option<u16>) -> Self {
        let (statistics, widths) = (Vec::new(), Vec::new());
        let (names_pipelines, rows_since_heading) = (false, 0);
        Self {
            has_colours,
            names_pipelines,
            max_width,
            statistics,
            hidden: 0,
            widths,
            rows_since_heading,
        }
    }

    /// Begins each row with the name of its pipeline.
    pub(super) fn name_pipelines(&mut self) {
        self.names_pipelines = true;
    }

    /// Lines of text for `results`; empty if there are none.
    pub(super) fn render(&mut self, results: &[EncodedResult]) -> String {
        if results.is_empty() {
            return String::new();
        }
        self.take_statistics(results);
        let is_first = self.widths.is_empty();
        let before = self.widths.clone();
        let table = self.table(results);
        // The last column is the note, which nothing stands behind.
        let is_aligned = before.split_last().is_some_and(|(_, all)| self.widths.starts_with(all));
        let shows_heading = !is_aligned || self.rows_since_heading >= ROWS_PER_HEADING;
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        let skipped = if shows_heading { 0 } else { HEADING_LINES };
        self.rows_since_heading = if shows_heading { 0 } else { self.rows_since_heading };
        self.rows_since_heading += results.len();
        let gap = if shows_heading && !is_first { "\n" } else { "" };
        format!("{gap}{}\n", lines.get(skipped..).unwrap_or_default().join("\n"))
    }

    /// Adds the statistics that were not seen before.
    fn take_statistics(&mut self, results: &[EncodedResult]) {
        let seen = results.iter().flat_map(|result| {
            let record = &result.record;
            record.results.keys().chain(record.errors.keys()).cloned()
        });
        let mut all: BTreeSet<String> = self.statistics.iter().cloned().collect();
        all.extend(seen);
        if all.len() > self.statistics.len() {
            self.statistics = all.into_iter().collect();
            self.statistics.sort_by_cached_key(|name| rank(name));
            self.change_columns(0);
        }
    }

    fn change_columns(&mut self, hidden: usize) {
        self.hidden = hidden;
        // Remembered per column, they say nothing about other columns.
        self.widths.fill(0);
    }

    fn table(&mut self, results: &[EncodedResult]) -> Table {
        loop {
            let mut table = self.filled(&self.shown(), results);
            let mut widths = table.column_max_content_widths();
            for (width, before) in widths.iter_mut().zip(&self.widths) {
                *width = (*width).max(*before);
            }
            let total: u16 = widths.iter().map(|width| width.saturating_add(2)).sum();
            if self.max_width.is_none_or(|max| total <= max) || self.hidden == EXPENDABLE.len() {
                let fixed = widths.iter().map(|width| Width::Fixed(width.saturating_add(2)));
                table.set_constraints(fixed.map(ColumnConstraint::Absolute));
                self.widths = widths;
                return table;
            }
            self.change_columns(self.hidden + 1);
        }
    }

    /// Names of the statistics that have a column.
    fn shown(&self) -> Vec<&String> {
        let hidden = EXPENDABLE.get(..self.hidden).unwrap_or_default();
        self.statistics.iter().filter(|name| !hidden.contains(&statistic_of(name))).collect()
    }

    fn filled(&self, shown: &[&String], results: &[EncodedResult]) -> Table {
        let mut table = Table::new();
        table.load_style(STYLE).force_no_tty();
        if self.has_colours {
            table.enforce_styling();
        }
        let statistics = shown.iter().map(|name| name.replace("average", "avg"));
        let first = self.names_pipelines.then(|| "pipeline".to_owned());
        let fixed = first.into_iter().chain(["window (UTC)".to_owned(), "key".into()]);
        let headings = fixed.chain(statistics);
        table.set_header(headings.chain([String::new()]));
        for result in results {
            table.add_row(self.row(&result.record, shown));
        }
        for column in
            table.column_iter_mut().skip(2 + usize::from(self.names_pipelines)).take(shown.len())
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    fn row(&self, record: &ResultRecord, shown: &[&String]) -> Row {
        let statistics =
            shown.iter().map(|name| record.results.get(*name).map_or("–".into(), number));
        let first = self.names_pipelines.then(|| record.pipeline.clone());
        let cells = [window(&record.window), record.window.key.clone()];
        let texts = first.into_iter().chain(cells).chain(statistics).chain([note(record)]);
        let colour = match record.pane.timing {
            PaneTiming::OnTime => None,
            PaneTiming::Late => Some(Color::Yellow),
            PaneTiming::Early => Some(Color::Cyan),
        };
        let cell = |text: String| match colour.filter(|_| self.has_colours) {
            Some(colour) => Cell::new(text).fg(colour),
            None => Cell::new(text),
        };
        Row::from(texts.map(cell).collect::<Vec<_>>())
    }
}

/// `average` of `latency_ms_average`; the name itself if it ends in no such word.
fn statistic_of(name: &str) -> &str {
    let known = ORDER.iter().find(|known| {
        name.strip_suffix(**known).is_some_and(|front| front.is_empty() || front.ends_with('_'))
    });
    known.copied().unwrap_or(name)
}

/// By value field, then as in [`ORDER`], then percentiles by number, then the rest.
fn rank(name: &str) -> (String, usize, u64, String) {
    let statistic = statistic_of(name);
    let (value, last) = match name.rsplit_once('_') {
        _ if statistic != name => (name.strip_suffix(statistic).unwrap_or_default(), statistic),
        Some((value, last)) => (value, last),
        None => ("", name),
    };
    let value = value.trim_end_matches('_').to_owned();
    let percentile = last.strip_prefix('p').and_then(|number| number.parse::<f64>().ok());
    match (ORDER.iter().position(|known| *known == last), percentile) {
        (Some(place), _) => (value, place, 0, String::new()),
        (None, Some(number)) => (value, ORDER.len(), number.to_bits(), String::new()),
        (None, None) => (value, ORDER.len() + 1, 0, name.to_owned()),
    }
}
