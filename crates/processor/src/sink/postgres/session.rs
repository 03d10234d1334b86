//! A connection whose tables are known to fit.

use postgres::{Client, Error, NoTls, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    address::Address,
    failure::meaning,
    rows::NAMES,
    table::{Found, Tables, Unfit},
};
use crate::error::ProcessorError;

/// What holds for a connection, where the server or the URL say nothing else: a commit that is answered
/// survives a crash of the server, and nothing waits for ever.
const SETTINGS: &str = "\
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';\
    SELECT set_config('statement_timeout', '60s', false) WHERE current_setting('statement_timeout') = '0';\
    SELECT set_config('lock_timeout', '30s', false) WHERE current_setting('lock_timeout') = '0';";

/// A connection.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) statements: Statements,
    /// Whether this connection has created the table of results.
    pub(super) found: Found,
}

/// Statements as the server keeps them.
pub(super) struct Statements {
    pub(super) upsert: Statement,
    pub(super) remove: Statement,
    pub(super) advance: Statement,
}

/// Why something at a server did not succeed.
pub(super) enum Trouble {
    Server(Error),
    Ours(ProcessorError),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl From<ProcessorError> for Trouble {
    fn from(error: ProcessorError) -> Self {
        Self::Ours(error)
    }
}

impl Trouble {
    pub(super) fn of_sink(self, name: &str) -> ProcessorError {
        match self {
            Self::Server(error) => meaning(name, &error),
            Self::Ours(error) => error,
        }
    }
}

impl Session {
    /// Connects; creates and checks the tables.
    pub(super) fn open(name: &str, address: &Address, tables: &Tables) -> Result<Self, Trouble> {
        let mut client = connect(address)?;
        client.batch_execute(SETTINGS)?;
        let mut transaction = client.transaction()?;
        let found = match tables.ensure(&mut transaction) {
            Ok(found) => found,
            Err(Unfit::Server(error)) => return Err(error.into()),
            Err(Unfit::Shape(table, differences)) => {
                return Err(Unfit::shape(&table, &differences, name).into());
            }
        };
        transaction.commit()?;
        let statements = Statements {
            upsert: client.prepare(&upsert(&tables.results))?,
            remove: client.prepare(&remove(&tables.results))?,
            advance: client.prepare(&advance(&tables.cursors))?,
        };
        Ok(Self { client, statements, found })
    }
}

fn connect(address: &Address) -> Result<Client, Trouble> {
    let client = match &address.trust {
        None => address.config.connect(NoTls)?,
        Some(trust) => address.config.connect(MakeRustlsConnect::new(trust.client()?))?,
    };
    Ok(client)
}

/// Of two results of one window the one of the later generation stands, within one that of the higher
/// revision; the same again takes the place of itself.
fn upsert(table: &str) -> String {
    let types = [
        "text",
        "text",
        "text",
        "jsonb",
        "timestamptz",
        "timestamptz",
        "bigint",
        "text",
        "jsonb",
        "text",
        "jsonb",
        "jsonb",
        "jsonb",
        "timestamptz",
        "bigint",
    ];
    let quoted = NAMES.map(|name| format!("\"{name}\""));
    let arrays: Vec<String> =
        types.iter().enumerate().map(|(at, ty)| format!("${}::{ty}[]", at + 1)).collect();
    let new: Vec<String> =
        quoted.iter().skip(1).map(|name| format!("{name} = EXCLUDED.{name}")).collect();
    format!(
        "INSERT INTO {table} AS old ({}) SELECT * FROM unnest({}) ON CONFLICT (\"window_id\") DO UPDATE SET {} \
         WHERE (old.\"generation\", old.\"revision\") <= (EXCLUDED.\"generation\", EXCLUDED.\"revision\")",
        quoted.join(", "),
        arrays.join(", "),
        new.join(", ")
    )
}

fn remove(table: &str) -> String {
    format!(
        "DELETE FROM {table} AS old USING unnest($1::text[], $2::bigint[], $3::bigint[]) \
         AS gone(window_id, revision, generation) WHERE old.\"window_id\" = gone.window_id \
         AND (old.\"generation\", old.\"revision\") <= (gone.generation, gone.revision)"
    )
}

fn advance(cursors: &str) -> String {
    format!(
        "UPDATE {cursors} SET \"position\" = $1::bigint, \"updated_at\" = clock_timestamp() \
         WHERE \"target\" = $2::text AND \"outbox\" = $3::text AND \"partition\" = $4::int \
         AND \"owner\" = $5::text AND \"position\" = $6::bigint"
    )
}
