//! The transaction coordinator: producer epochs, what a transaction touches, how it ends.

use std::collections::{BTreeMap, BTreeSet};

use super::Topic;

/// What a transaction has written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Log(Topic, u32),
    Offsets,
}

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    pub name: String,
    pub id: u64,
    pub epoch: u64,
    /// Number of the transaction a request belongs to. The broker refuses what comes after the end.
    pub transaction: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionError {
    /// The producer has a newer epoch.
    Fenced,
    /// The transaction before is not ended everywhere yet.
    Concurrent,
    /// There is no transaction.
    InvalidState,
}

#[derive(Debug)]
enum State {
    Empty,
    Ongoing { since_ms: i64 },
    Ending { commit: bool },
}

#[derive(Debug)]
struct Transactional {
    id: u64,
    epoch: u64,
    state: State,
    places: BTreeSet<Place>,
    /// How the last transaction of this epoch ended.
    last: Option<bool>,
    /// Number of that transaction.
    ended: u64,
}

/// A marker on its way to a place.
#[derive(Debug, Clone, Copy)]
pub struct Marker {
    pub place: Place,
    pub producer: u64,
    pub commit: bool,
}

#[derive(Debug)]
pub struct Transactions {
    timeout_ms: i64,
    producers: BTreeMap<String, Transactional>,
}

impl Transactions {
    pub fn new(timeout_ms: i64) -> Self {
        Self { timeout_ms, producers: BTreeMap::new() }
    }

    /// Begins a new epoch; what is open is aborted first.
    pub fn init(&mut self, name: &str) -> (Result<Producer, TransactionError>, Vec<Marker>) {
        let id = self.producers.len() as u64 + 1;
        let producer = self.producers.entry(name.to_owned()).or_insert(Transactional {
            id,
            epoch: 0,
            state: State::Empty,
            places: BTreeSet::new(),
            last: None,
            ended: 0,
        });
        match producer.state {
            State::Empty => {
                producer.epoch += 1;
                (producer.last, producer.ended) = (None, 0);
                let (id, epoch) = (producer.id, producer.epoch);
                (Ok(Producer { name: name.to_owned(), id, epoch, transaction: 0 }), Vec::new())
            }
            State::Ongoing { .. } => {
                producer.epoch += 1;
                (Err(TransactionError::Concurrent), producer.end(false))
            }
            State::Ending { .. } => (Err(TransactionError::Concurrent), Vec::new()),
        }
    }

    /// Makes a place part of the transaction, and begins it if it is the first.
    pub fn touch(
        &mut self,
        by: &Producer,
        place: Place,
        now_ms: i64,
    ) -> Result<(), TransactionError> {
        let producer = self.current(by)?;
        if by.transaction <= producer.ended {
            return Err(TransactionError::InvalidState);
        }
        match producer.state {
            State::Empty => producer.state = State::Ongoing { since_ms: now_ms },
            State::Ongoing { .. } => {}
            State::Ending { .. } => return Err(TransactionError::Concurrent),
        }
        producer.places.insert(place);
        Ok(())
    }

    /// Ends the transaction; to ask again for the same end is no error.
    pub fn end(&mut self, by: &Producer, commit: bool) -> Result<Vec<Marker>, TransactionError> {
        let producer = self.current(by)?;
        if by.transaction < producer.ended {
            return Err(TransactionError::InvalidState);
        }
        let is_repeated = by.transaction == producer.ended;
        match producer.state {
            State::Ongoing { .. } if !is_repeated => {
                producer.ended = by.transaction;
                Ok(producer.end(commit))
            }
            State::Ending { commit: ending } if is_repeated && ending == commit => Ok(Vec::new()),
            State::Empty if is_repeated && producer.last == Some(commit) => Ok(Vec::new()),
            State::Empty if !commit && !is_repeated => {
                (producer.ended, producer.last) = (by.transaction, Some(false));
                Ok(Vec::new())
            }
            State::Ending { .. } if !is_repeated => Err(TransactionError::Concurrent),
            _ => Err(TransactionError::InvalidState),
        }
    }

    /// A marker is written.
    pub fn written(&mut self, marker: Marker) {
        let owner = self.producers.values_mut().find(|producer| producer.id == marker.producer);
        let Some(producer) = owner else { return };
        producer.places.remove(&marker.place);
        if let State::Ending { commit } = producer.state
            && producer.places.is_empty()
        {
            (producer.state, producer.last) = (State::Empty, Some(commit));
        }
    }

    /// Aborts what has been open for too long; its producer is fenced.
    pub fn tick(&mut self, now_ms: i64) -> Vec<Marker> {
        let mut markers = Vec::new();
        for producer in self.producers.values_mut() {
            if matches!(producer.state, State::Ongoing { since_ms } if now_ms - since_ms > self.timeout_ms)
            {
                producer.epoch += 1;
                markers.extend(producer.end(false));
            }
        }
        markers
    }

    fn current(&mut self, by: &Producer) -> Result<&mut Transactional, TransactionError> {
        let producer = self.producers.get_mut(&by.name).ok_or(TransactionError::Fenced)?;
        if producer.epoch == by.epoch { Ok(producer) } else { Err(TransactionError::Fenced) }
    }
}

impl Transactional {
    fn end(&mut self, commit: bool) -> Vec<Marker> {
        self.state = State::Ending { commit };
        if self.places.is_empty() {
            (self.state, self.last) = (State::Empty, Some(commit));
        }
        let marker = |place: &Place| Marker { place: *place, producer: self.id, commit };
        self.places.iter().map(marker).collect()
    }
}
