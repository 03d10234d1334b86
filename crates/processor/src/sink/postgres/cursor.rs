//! How far an outbox is, kept beside the results.
//!
//! | found in the table | then |
//! | --- | --- |
//! | nothing | a cursor is made at what the outbox knows, with a new generation |
//! | a cursor of this lineage | it is taken over: what it has is left out |
//! | one of another lineage: the state was set back, or begun afresh | it is set to what the outbox knows, with a new generation |
//! | one ahead of the outbox, or behind what the outbox knows | refused: the one or the other was set back |
//!
//! Whoever takes a cursor writes its name there; whoever had it before finds another name at its next
//! write and ends. A generation is greater than all before it, so that results of a history that was begun
//! anew take the place of older ones, whatever their revisions.

use postgres::Transaction;
use tracing::info;
use uuid::Uuid;

use super::{
    session::{Statements, Trouble},
    table::{Found, Tables},
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    sink::Feed,
};

/// An outbox and its cursor.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) feed: Feed,
    owner: String,
    /// The cursor, once it was taken.
    pub(super) held: Option<Held>,
}

/// A cursor that belongs to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// The table has everything up to and with this.
    pub(super) position: u64,
    pub(super) generation: i64,
}

/// A row of the table of cursors.
struct Stored {
    lineage: String,
    position: u64,
    generation: i64,
    owner: String,
}

impl Claim {
    pub(super) fn new(feed: Feed) -> Self {
        Self { feed, owner: Uuid::new_v4().to_string(), held: None }
    }

    /// Takes the cursor over, or looks at it again after the connection was lost: the transaction that was
    /// under way then was carried out, or it was not.
    pub(super) fn take(
        &self,
        transaction: &mut Transaction<'_>,
        tables: &Tables,
        found: Found,
        sink: &str,
    ) -> Result<Held, Trouble> {
        let Some(stored) = self.read(transaction, tables)? else {
            return match self.held {
                Some(_) => Err(self.fenced(sink, "its cursor is gone").into()),
                None => self.begin(transaction, tables),
            };
        };
        if let Some(held) = self.held {
            self.check_again(&stored, held, sink)?;
        }
        if stored.lineage != self.feed.lineage {
            return self.begin(transaction, tables);
        }
        self.check(&stored, tables, found, sink)?;
        let Stored { position, generation, .. } = stored;
        if self.held.is_none() {
            self.put(transaction, tables, Held { position, generation })?;
        }
        Ok(Held { position, generation })
    }

    /// Moves the cursor to `to`, in the transaction that writes what is up to there.
    pub(super) fn advance(
        &self,
        transaction: &mut Transaction<'_>,
        statements: &Statements,
        (tables, sink): (&Tables, &str),
        to: u64,
    ) -> Result<(), Trouble> {
        let Some(held) = self.held else {
            return Err(ProcessorError::Internal(format!("sink {sink} has no cursor")).into());
        };
        let key = &self.feed.key;
        let moved = transaction.execute(
            &statements.advance,
            &[
                &number(to),
                &tables.name.table,
                &&*key.name,
                &key.partition,
                &self.owner,
                &number(held.position),
            ],
        )?;
        if moved == 1 {
            return Ok(());
        }
        Err(self.fenced(sink, "its cursor was moved or taken over").into())
    }

    fn read(
        &self,
        transaction: &mut Transaction<'_>,
        tables: &Tables,
    ) -> Result<Option<Stored>, postgres::Error> {
        let query = format!(
            "SELECT \"lineage\", \"position\", \"generation\", \"owner\" FROM {} \
             WHERE \"target\" = $1 AND \"outbox\" = $2 AND \"partition\" = $3 FOR UPDATE",
            tables.cursors
        );
        let key = &self.feed.key;
        let parameters: [&(dyn postgres::types::ToSql + Sync); 3] =
            [&tables.name.table, &&*key.name, &key.partition];
        let Some(row) = transaction.query_opt(&query, &parameters)? else { return Ok(None) };
        let position: i64 = row.try_get(1)?;
        Ok(Some(Stored {
            lineage: row.try_get(0)?,
            position: u64::try_from(position).unwrap_or_default(),
            generation: row.try_get(2)?,
            owner: row.try_get(3)?,
        }))
    }

    /// A cursor where the outbox says the table is, with a generation of its own.
    fn begin(&self, transaction: &mut Transaction<'_>, tables: &Tables) -> Result<Held, Trouble> {
        let generation = next_generation(transaction, tables)?;
        let held = Held { position: self.feed.delivered, generation };
        self.put(transaction, tables, held)?;
        let key = &self.feed.key;
        info!(
            table = %tables.name, outbox = %key.name, partition = key.partition,
            position = held.position, generation, "a cursor begins in the database"
        );
        Ok(held)
    }

    fn put(
        &self,
        transaction: &mut Transaction<'_>,
        tables: &Tables,
        held: Held,
    ) -> Result<(), postgres::Error> {
        let statement = format!(
            "INSERT INTO {} (\"target\", \"outbox\", \"partition\", \"lineage\", \"position\", \"generation\", \
             \"owner\", \"updated_at\") VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp()) \
             ON CONFLICT (\"target\", \"outbox\", \"partition\") DO UPDATE SET \
             \"lineage\" = $4, \"position\" = $5, \"generation\" = $6, \"owner\" = $7, \
             \"updated_at\" = clock_timestamp()",
            tables.cursors
        );
        let (key, position) = (&self.feed.key, number(held.position));
        let parameters: [&(dyn postgres::types::ToSql + Sync); 7] = [
            &tables.name.table,
            &&*key.name,
            &key.partition,
            &self.feed.lineage,
            &position,
            &held.generation,
            &self.owner,
        ];
        transaction.execute(&statement, &parameters).map(drop)
    }

    /// A cursor that was ours is still ours.
    fn check_again(&self, stored: &Stored, held: Held, sink: &str) -> ProcessorResult<()> {
        if stored.owner != self.owner || stored.lineage != self.feed.lineage {
            return Err(self.fenced(sink, "its cursor was taken over"));
        }
        if stored.position < held.position {
            return Err(set_back(stored, held.position, sink, ""));
        }
        Ok(())
    }

    fn check(
        &self,
        stored: &Stored,
        tables: &Tables,
        found: Found,
        sink: &str,
    ) -> ProcessorResult<()> {
        let remedy = |position: u64| {
            format!(
                "; to go on without them: UPDATE {} SET position = {position} WHERE target = '{}' AND outbox = '{}' \
                 AND partition = {}",
                tables.cursors, tables.name.table, self.feed.key.name, self.feed.key.partition
            )
        };
        if found == Found::Created && stored.position > 0 {
            return Err(ProcessorError::Config(format!(
                "sink {sink}: the table {} was gone, and its cursor says that it had the results of commits up to \
                 {}, which are not kept any more; bring the table back, or to begin with an empty one: \
                 DELETE FROM {} WHERE target = '{}'",
                tables.results, stored.position, tables.cursors, tables.name.table
            )));
        }
        if stored.position < self.feed.delivered {
            let remedy = remedy(self.feed.delivered);
            return Err(set_back(stored, self.feed.delivered, sink, &remedy));
        }
        match self.feed.newest {
            Some(newest) if stored.position > newest && self.held.is_none() => {
                Err(ProcessorError::Config(format!(
                    "sink {sink}: the table has the results of commits up to {}, and the newest commit here is \
                     {newest}: the state is an older copy; restore a checkpoint, or run with --new-state",
                    stored.position
                )))
            }
            _ => Ok(()),
        }
    }

    fn fenced(&self, sink: &str, what: &str) -> ProcessorError {
        ProcessorError::Fenced {
            name: sink.to_owned(),
            reason: format!(
                "{what} by another process for outbox `{}`: let one of them run",
                self.feed.key.name
            ),
        }
    }
}

/// The table has less than it was given.
fn set_back(stored: &Stored, known: u64, sink: &str, remedy: &str) -> ProcessorError {
    ProcessorError::Config(format!(
        "sink {sink}: the table has the results of commits up to {}, and was given those up to {known}, which \
         are not kept any more: the database was set back; bring it to where it was{remedy}",
        stored.position
    ))
}

/// A generation that no other of the table has: greater than all that are known, and than all that were
/// made before now.
pub(super) fn next_generation(
    transaction: &mut Transaction<'_>,
    tables: &Tables,
) -> Result<i64, postgres::Error> {
    let query = format!(
        "SELECT greatest(coalesce(max(\"generation\"), 0) + 1, \
         (extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM {} WHERE \"target\" = $1",
        tables.cursors
    );
    transaction.query_one(&query, &[&tables.name.table])?.try_get(0)
}

fn number(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
