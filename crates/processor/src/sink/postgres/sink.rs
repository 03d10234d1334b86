//! Writes results to a table.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
};

use llm_optimizer_config::{PostgresSpec, TableName};

use super::{
    address::Address,
    cursor::{Claim, Held, next_generation},
    rows::Changes,
    session::{Session, Trouble},
    table::Tables,
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    sink::{Feed, FeedKey, Output, ResultSink, waiting::Waiting},
};

/// Where results go, and how many at once.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database`; a secret.
    pub url: String,
    /// The table.
    pub table: TableName,
    /// Rows of a statement, and at least as many of a transaction where they are there.
    pub batch_size: usize,
}

impl From<PostgresSpec> for PostgresSettings {
    fn from(PostgresSpec { url, table, batch_size }: PostgresSpec) -> Self {
        Self { url, table, batch_size }
    }
}

impl fmt::Debug for PostgresSettings {
    /// Without the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("table", &self.table)
            .field("batch_size", &self.batch_size)
            .finish_non_exhaustive()
    }
}

/// Writes results to a table of `PostgreSQL`, one row per window.
///
/// A newer revision takes the place of an older one, never the reverse; a result that supersedes others
/// takes their rows away. Fed from an outbox, it keeps the cursor in the same transaction and has each result
/// once; otherwise a delivery is written when it returns, and a repeated one changes nothing.
///
/// It connects when there is something to write. A server that is away is reported as
/// [`Unavailable`](ProcessorError::Unavailable) where an outbox keeps what it should get, and waited for
/// where none does.
pub struct PostgresSink {
    name: String,
    address: Address,
    tables: Tables,
    batch_size: usize,
    waiting: Waiting,
    session: Option<Session>,
    claims: BTreeMap<FeedKey, Claim>,
    /// What was delivered and is not in the table.
    pending: VecDeque<Pending>,
    /// Of results that come from no outbox.
    generation: Option<i64>,
}

struct Pending {
    feed: FeedKey,
    number: u64,
    output: Arc<Output>,
}

impl PostgresSink {
    /// A sink that connects later.
    ///
    /// # Errors
    /// [`Config`](ProcessorError::Config) if the URL is none.
    pub fn new(settings: PostgresSettings, waiting: Waiting) -> ProcessorResult<Self> {
        let address = Address::parse(&settings.url)?;
        Ok(Self {
            name: format!("postgres {} {}", address.shown, settings.table),
            address,
            tables: Tables::new(settings.table),
            batch_size: settings.batch_size.max(1),
            waiting,
            session: None,
            claims: BTreeMap::new(),
            pending: VecDeque::new(),
            generation: None,
        })
    }

    /// Carries out `step` with a connection; after a failure the next step has another one.
    fn with_session<T>(
        &mut self,
        step: impl FnOnce(&mut Self, &mut Session) -> Result<T, Trouble>,
    ) -> ProcessorResult<T> {
        let session = match self.session.take().filter(|session| !session.client.is_closed()) {
            Some(session) => Ok(session),
            None => Session::open(&self.name, &self.address, &self.tables),
        };
        let outcome = session.and_then(|mut session| {
            let done = step(self, &mut session)?;
            self.session = Some(session);
            Ok(done)
        });
        outcome.map_err(|trouble| trouble.of_sink(&self.name))
    }

    /// Writes one delivery that comes from no outbox.
    fn write_now(&mut self, output: &Output) -> ProcessorResult<()> {
        self.with_session(|sink, session| {
            let mut transaction = session.client.transaction()?;
            let generation = match sink.generation {
                Some(generation) => generation,
                None => next_generation(&mut transaction, &sink.tables)?,
            };
            let mut changes = Changes::default();
            changes.add(output, generation)?;
            changes.write(&mut transaction, &session.statements, sink.batch_size)?;
            transaction.commit()?;
            sink.generation = Some(generation);
            Ok(())
        })
    }

    /// Takes the cursors of outboxes that have something to write, and looks again at those that were held
    /// when the connection was lost.
    fn claim(&mut self) -> ProcessorResult<()> {
        let is_fresh = self.session.is_none();
        let waits = |feed: &FeedKey| self.pending.iter().any(|pending| pending.feed == *feed);
        let wanted: Vec<FeedKey> = self
            .claims
            .iter()
            .filter(|(feed, claim)| (is_fresh || claim.held.is_none()) && waits(feed))
            .map(|(feed, _)| feed.clone())
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let taken = self.with_session(|sink, session| {
            let mut transaction = session.client.transaction()?;
            let mut taken = Vec::new();
            for feed in wanted {
                let Some(claim) = sink.claims.get(&feed) else { continue };
                let held = claim.take(&mut transaction, &sink.tables, session.found, &sink.name)?;
                taken.push((feed, held));
            }
            transaction.commit()?;
            Ok(taken)
        })?;
        for (feed, held) in taken {
            self.hold(&feed, held);
        }
        Ok(())
    }

    /// Takes note of a cursor, and forgets what is up to there.
    fn hold(&mut self, feed: &FeedKey, held: Held) {
        if let Some(claim) = self.claims.get_mut(feed) {
            claim.held = Some(held);
        }
        self.pending.retain(|pending| pending.feed != *feed || pending.number > held.position);
    }

    /// The next transaction: whole commits until they have a batch of rows, and where their outboxes are
    /// then.
    fn next_changes(&self) -> ProcessorResult<(Changes, BTreeMap<FeedKey, u64>)> {
        let (mut changes, mut reached) = (Changes::default(), BTreeMap::new());
        for (at, Pending { feed, number, output }) in self.pending.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| self.pending.get(before));
            let goes_on = before.is_some_and(|it| it.feed == *feed && it.number == *number);
            if changes.len() >= self.batch_size && !goes_on {
                break;
            }
            let held = self.claims.get(feed).and_then(|claim| claim.held);
            changes.add(output, held.map_or(0, |held| held.generation))?;
            reached.insert(feed.clone(), *number);
        }
        Ok((changes, reached))
    }

    /// Writes the next transaction.
    fn write_next(&mut self) -> ProcessorResult<()> {
        let (changes, reached) = self.next_changes()?;
        self.with_session(|sink, session| {
            let mut transaction = session.client.transaction()?;
            let place = (&sink.tables, sink.name.as_str());
            for (feed, number) in &reached {
                if let Some(claim) = sink.claims.get(feed) {
                    claim.advance(&mut transaction, &session.statements, place, *number)?;
                }
            }
            changes.write(&mut transaction, &session.statements, sink.batch_size)?;
            Ok(transaction.commit()?)
        })?;
        for (feed, number) in reached {
            if let Some(held) = self.claims.get(&feed).and_then(|claim| claim.held) {
                self.hold(&feed, Held { position: number, ..held });
            }
        }
        Ok(())
    }
}

impl ResultSink for PostgresSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn deliver(&mut self, output: &Arc<Output>) -> ProcessorResult<()> {
        let (waiting, name) = (self.waiting.clone(), self.name.clone());
        waiting.until_there(&name, || self.write_now(output))
    }

    fn cursor_name(&self) -> Option<String> {
        Some(format!("results {}", self.name))
    }

    fn keeps_cursor(&self) -> bool {
        true
    }

    fn attach(&mut self, feed: &Feed) {
        self.detach(&feed.key);
        self.claims.insert(feed.key.clone(), Claim::new(feed.clone()));
    }

    fn detach(&mut self, feed: &FeedKey) {
        self.claims.remove(feed);
        self.pending.retain(|pending| pending.feed != *feed);
    }

    /// Writes nothing yet: `sync` does, in transactions that are as large as is good for them.
    fn deliver_at(
        &mut self,
        feed: &FeedKey,
        number: u64,
        output: &Arc<Output>,
    ) -> ProcessorResult<()> {
        let Some(claim) = self.claims.get(feed) else {
            let reason = format!("sink {} was not told of outbox {}", self.name, feed.name);
            return Err(ProcessorError::Internal(reason));
        };
        if claim.held.is_none_or(|held| number > held.position) {
            let output = Arc::clone(output);
            self.pending.push_back(Pending { feed: feed.clone(), number, output });
        }
        Ok(())
    }

    fn sync(&mut self) -> ProcessorResult<()> {
        while !self.pending.is_empty() {
            self.claim()?;
            if !self.pending.is_empty() {
                self.write_next()?;
            }
        }
        Ok(())
    }

    fn close(&mut self) -> ProcessorResult<()> {
        self.sync()?;
        self.session = None;
        Ok(())
    }
}

impl fmt::Debug for PostgresSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSink").field("name", &self.name).finish_non_exhaustive()
    }
}
