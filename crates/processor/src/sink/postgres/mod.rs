//! Results in a table of `PostgreSQL`: one row per window, the newest revision of it.
//!
//! | file | subject |
//! | --- | --- |
//! | `address` | the URL: where the server is, and how far it is trusted |
//! | `session` | a connection whose tables are known to fit |
//! | `table` | the table of results and that of cursors: made if absent, refused if they have another shape |
//! | `cursor` | how far an outbox is, kept in the same transaction by compare-and-set |
//! | `rows`, `values` | results as rows, and what each replaces |
//! | `failure` | what an error of the server means |
//! | `sink` | the sink |
//!
//! A transaction holds the cursor and everything up to it. So the table has each result once, whatever
//! is killed when, and of two processes with one outbox only the one that came last writes.

mod address;
mod cursor;
mod failure;
mod rows;
mod session;
mod sink;
mod table;
mod values;

pub use sink::{PostgresSettings, PostgresSink};
