//! The tables: made where they are absent, refused where they have another shape.

use llm_optimizer_config::TableName;
use postgres::{Error, Row, Transaction};

use super::rows::NAMES;
use crate::error::ProcessorError;

/// The table of cursors, in the schema of the results.
const CURSORS: &str = "processor_cursors";
/// What creating tables is locked by, so that two processes do not do so at once.
const LOCK: i64 = 0x6c6c_6d5f_7461_626c;

/// Types of the columns of results, in the order of their names.
const RESULT_TYPES: [&str; NAMES.len()] = [
    "text",
    "text",
    "text",
    "jsonb",
    "timestamp with time zone",
    "timestamp with time zone",
    "bigint",
    "text",
    "jsonb",
    "text",
    "jsonb",
    "jsonb",
    "jsonb",
    "timestamp with time zone",
    "bigint",
];

/// Columns of the table of cursors.
const CURSOR_COLUMNS: [(&str, &str); 8] = [
    ("target", "text"),
    ("outbox", "text"),
    ("partition", "integer"),
    ("lineage", "text"),
    ("position", "bigint"),
    ("generation", "bigint"),
    ("owner", "text"),
    ("updated_at", "timestamp with time zone"),
];

/// The two tables of a sink.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    pub(super) name: TableName,
    /// The table of results, as SQL.
    pub(super) results: String,
    /// The table of cursors, as SQL.
    pub(super) cursors: String,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The table of results was there.
    Known,
    /// It was created just now.
    Created,
}

impl Tables {
    pub(super) fn new(name: TableName) -> Self {
        Self { results: name.quoted(), cursors: name.sibling(CURSORS), name }
    }

    /// Creates what is absent and checks the rest.
    ///
    /// # Errors
    /// What the server says, or that a table has another shape.
    pub(super) fn ensure(&self, transaction: &mut Transaction<'_>) -> Result<Found, Unfit> {
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])?;
        let results: Vec<(&str, &str)> = NAMES.into_iter().zip(RESULT_TYPES).collect();
        let made = make(transaction, &self.results, &results, "\"window_id\"")?;
        let cursor_key = "\"target\", \"outbox\", \"partition\"";
        make(transaction, &self.cursors, &CURSOR_COLUMNS, cursor_key)?;
        check(transaction, &self.results, &results, &["window_id"])?;
        check(transaction, &self.cursors, &CURSOR_COLUMNS, &["outbox", "partition", "target"])?;
        Ok(if made { Found::Created } else { Found::Known })
    }
}

/// Why tables cannot be used.
pub(super) enum Unfit {
    Server(Error),
    /// The table and everything that differs.
    Shape(String, Vec<String>),
}

impl From<Error> for Unfit {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl Unfit {
    /// The error of the sink `name`, if it is not the server's.
    pub(super) fn shape(table: &str, differences: &[String], name: &str) -> ProcessorError {
        ProcessorError::Config(format!(
            "sink {name}: the table {table} has another shape: {}; change it, rename it so that a new one \
             is created, or name another `table`",
            differences.join("; ")
        ))
    }
}

/// The statement that creates a table.
fn definition(table: &str, columns: &[(&str, &str)], key: &str) -> String {
    let columns: Vec<String> =
        columns.iter().map(|(name, ty)| format!("  \"{name}\" {ty} NOT NULL")).collect();
    format!("CREATE TABLE {table} (\n{},\n  PRIMARY KEY ({key})\n)", columns.join(",\n"))
}

/// Creates a table that is absent; whoever may not create any can do so beforehand.
fn make(
    transaction: &mut Transaction<'_>,
    table: &str,
    columns: &[(&str, &str)],
    key: &str,
) -> Result<bool, Error> {
    let known: bool =
        transaction.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table])?.try_get(0)?;
    if !known {
        transaction.batch_execute(&definition(table, columns, key))?;
    }
    Ok(!known)
}

const COLUMNS_QUERY: &str = "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
     a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '' \
     FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped";

const KEYS_QUERY: &str = "SELECT array_agg(a.attname::text ORDER BY a.attname::text) \
     FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) \
     WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL \
     AND i.indisvalid GROUP BY i.indexrelid, i.indnkeyatts HAVING count(*) = i.indnkeyatts";

struct Column {
    name: String,
    ty: String,
    is_needed: bool,
}

impl Column {
    fn of(row: &Row) -> Result<Self, Error> {
        let (not_null, has_value): (bool, bool) = (row.try_get(2)?, row.try_get(3)?);
        Ok(Self { name: row.try_get(0)?, ty: row.try_get(1)?, is_needed: not_null && !has_value })
    }
}

/// Columns of the user's own may be there, as long as rows can be written without them.
fn check(
    transaction: &mut Transaction<'_>,
    table: &str,
    wanted: &[(&str, &str)],
    key: &[&str],
) -> Result<(), Unfit> {
    let rows = transaction.query(COLUMNS_QUERY, &[&table])?;
    let found = rows.iter().map(Column::of).collect::<Result<Vec<_>, _>>()?;
    let mut differences = Vec::new();
    for (name, ty) in wanted {
        match found.iter().find(|column| column.name == *name) {
            None => differences.push(format!("column {name} ({ty}) is missing")),
            Some(column) if column.ty != *ty => {
                differences.push(format!("column {name} is {}, not {ty}", column.ty));
            }
            Some(_) => {}
        }
    }
    let own = found.iter().filter(|column| !wanted.iter().any(|(name, _)| *name == column.name));
    for column in own.filter(|column| column.is_needed) {
        differences.push(format!("column {} is NOT NULL and has no default", column.name));
    }
    let keys = transaction.query(KEYS_QUERY, &[&table])?;
    let keys = keys.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Vec<String>>, _>>()?;
    if !keys.iter().any(|columns| columns == key) {
        differences.push(format!("no unique index is on ({})", key.join(", ")));
    }
    if differences.is_empty() { Ok(()) } else { Err(Unfit::Shape(table.to_owned(), differences)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_shows_the_tables_as_they_are_created() {
        let results: Vec<(&str, &str)> = NAMES.into_iter().zip(RESULT_TYPES).collect();
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sinks.md");
        let documentation = std::fs::read_to_string(page).unwrap();
        let table = definition("\"results\"", &results, "\"window_id\"");
        assert!(documentation.contains(&table), "docs/sinks.md lacks:\n{table}");
        let key = "\"target\", \"outbox\", \"partition\"";
        let cursors = definition("\"processor_cursors\"", &CURSOR_COLUMNS, key);
        assert!(documentation.contains(&cursors), "docs/sinks.md lacks:\n{cursors}");
    }
}
