//! Results as rows, and what each replaces.

use std::collections::HashMap;

use llm_optimizer_types::{ResultRecord, output::PaneTiming};
use postgres::{Transaction, types::ToSql};

use super::{
    session::Statements,
    values::{Instant, Json, text},
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    sink::Output,
};

/// Names of the columns, in the order of the statements.
pub(super) const NAMES: [&str; 15] = [
    "window_id",
    "pipeline",
    "key",
    "key_fields",
    "window_start",
    "window_end",
    "revision",
    "timing",
    "results",
    "result_id",
    "supersedes",
    "quality",
    "errors",
    "timestamp",
    "generation",
];

/// What one transaction does to the table.
///
/// Of several results of one window the newest counts, because a row can be written once per statement. A
/// result that supersedes others takes their rows away: they are of sessions that are no more.
#[derive(Debug, Default)]
pub(super) struct Changes {
    rows: Vec<Option<Row>>,
    /// Where the row of a window is.
    places: HashMap<String, usize>,
    gone: Vec<Gone>,
    count: usize,
}

#[derive(Debug)]
struct Row {
    record: ResultRecordColumns,
    generation: i64,
}

/// The columns of a result.
#[derive(Debug)]
struct ResultRecordColumns {
    window_id: String,
    pipeline: String,
    key: String,
    key_fields: Json,
    window_start: Instant,
    window_end: Instant,
    revision: i64,
    timing: &'static str,
    results: Json,
    result_id: String,
    supersedes: Json,
    quality: Json,
    errors: Json,
    timestamp: Instant,
}

/// A window that is superseded, at this revision.
#[derive(Debug, PartialEq, Eq)]
struct Gone {
    window_id: String,
    revision: i64,
    generation: i64,
}

impl Changes {
    /// Adds the results of a commit, which are of this generation.
    ///
    /// # Errors
    /// [`ProcessorError::Internal`] for a result that no encoder makes.
    pub(super) fn add(&mut self, output: &Output, generation: i64) -> ProcessorResult<()> {
        for result in &output.results {
            let record = &result.record;
            for result_id in &record.supersedes {
                self.supersede(result_id, generation)?;
            }
            let row = Row { record: columns(record)?, generation };
            if let Some(place) = self.places.get(&record.window_id) {
                let older = self.rows.get_mut(*place);
                if let Some(Some(older)) = older.filter(|older| is_replaced(older.as_ref(), &row)) {
                    *older = row;
                }
                continue;
            }
            self.places.insert(record.window_id.clone(), self.rows.len());
            self.rows.push(Some(row));
            self.count += 1;
        }
        Ok(())
    }

    fn supersede(&mut self, result_id: &str, generation: i64) -> ProcessorResult<()> {
        let (window_id, revision) = result_id
            .rsplit_once('-')
            .and_then(|(window, revision)| Some((window, revision.parse().ok()?)))
            .ok_or_else(|| broken("supersedes", result_id))?;
        if let Some(place) = self.places.remove(window_id)
            && let Some(row) = self.rows.get_mut(place).and_then(Option::take)
        {
            drop(row);
            self.count -= 1;
        }
        self.gone.push(Gone { window_id: window_id.to_owned(), revision, generation });
        Ok(())
    }

    /// Rows that are written.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Carries everything out, `batch_size` rows per statement.
    ///
    /// # Errors
    /// What the server says.
    pub(super) fn write(
        &self,
        transaction: &mut Transaction<'_>,
        statements: &Statements,
        batch_size: usize,
    ) -> Result<(), postgres::Error> {
        // What is superseded goes first: it does not come again afterwards.
        for gone in self.gone.chunks(batch_size.max(1)) {
            let ids: Vec<&str> = gone.iter().map(|gone| gone.window_id.as_str()).collect();
            let revisions: Vec<i64> = gone.iter().map(|gone| gone.revision).collect();
            let generations: Vec<i64> = gone.iter().map(|gone| gone.generation).collect();
            transaction.execute(&statements.remove, &[&ids, &revisions, &generations])?;
        }
        let rows: Vec<&Row> = self.rows.iter().flatten().collect();
        for rows in rows.chunks(batch_size.max(1)) {
            insert(transaction, statements, rows)?;
        }
        Ok(())
    }
}

fn is_replaced(older: Option<&Row>, newer: &Row) -> bool {
    older.is_some_and(|older| {
        (older.generation, older.record.revision) <= (newer.generation, newer.record.revision)
    })
}

/// Each column as one array.
fn insert(
    transaction: &mut Transaction<'_>,
    statements: &Statements,
    rows: &[&Row],
) -> Result<(), postgres::Error> {
    fn column<'a, T>(rows: &[&'a Row], of: impl Fn(&'a ResultRecordColumns) -> T) -> Vec<T> {
        rows.iter().map(|row| of(&row.record)).collect()
    }
    let generations: Vec<i64> = rows.iter().map(|row| row.generation).collect();
    let columns: [&(dyn ToSql + Sync); NAMES.len()] = [
        &column(rows, |row| row.window_id.as_str()),
        &column(rows, |row| row.pipeline.as_str()),
        &column(rows, |row| row.key.as_str()),
        &column(rows, |row| &row.key_fields),
        &column(rows, |row| row.window_start),
        &column(rows, |row| row.window_end),
        &column(rows, |row| row.revision),
        &column(rows, |row| row.timing),
        &column(rows, |row| &row.results),
        &column(rows, |row| row.result_id.as_str()),
        &column(rows, |row| &row.supersedes),
        &column(rows, |row| &row.quality),
        &column(rows, |row| &row.errors),
        &column(rows, |row| row.timestamp),
        &generations,
    ];
    transaction.execute(&statements.upsert, &columns).map(drop)
}

fn columns(record: &ResultRecord) -> ProcessorResult<ResultRecordColumns> {
    let instant = |text: &str| Instant::parse(text).ok_or_else(|| broken("time", text));
    Ok(ResultRecordColumns {
        window_id: record.window_id.clone(),
        pipeline: text(&record.pipeline),
        key: text(&record.window.key),
        key_fields: json(&record.key_fields)?,
        window_start: instant(&record.window.start)?,
        window_end: instant(&record.window.end)?,
        revision: i64::from(record.pane.revision),
        timing: match record.pane.timing {
            PaneTiming::Early => "early",
            PaneTiming::OnTime => "on_time",
            PaneTiming::Late => "late",
        },
        results: json(&record.results)?,
        result_id: record.result_id.clone(),
        supersedes: json(&record.supersedes)?,
        quality: json(&record.quality)?,
        errors: json(&record.errors)?,
        timestamp: instant(&record.timestamp)?,
    })
}

fn json(value: &impl serde::Serialize) -> ProcessorResult<Json> {
    Json::of(value).map_err(|error| ProcessorError::Serialization(error.to_string()))
}

fn broken(field: &str, found: &str) -> ProcessorError {
    ProcessorError::Internal(format!("a result has `{found}` as its {field}"))
}
