//! Requests that their sender named, so that a repeated one is known again.
//!
//! The newest [`MAX_REQUESTS`] are remembered, in the store beside the records they brought: they survive
//! what the records survive.

use std::collections::{HashMap, HashSet, VecDeque};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{Receipt, Refusal};

/// How many requests are remembered.
pub(super) const MAX_REQUESTS: usize = 100_000;

const VERSION: u8 = 1;
const ROW_BYTES: usize = 29;

/// What a sender calls a request, and what was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestName {
    name: u128,
    content: u64,
}

impl RequestName {
    /// The request `name` with this body.
    #[must_use]
    pub fn new(name: &[u8], body: &[u8]) -> Self {
        Self { name: xxh3_128(name), content: xxh3_64(body) }
    }
}

#[derive(Debug, Clone, Copy)]
struct Known {
    first: u64,
    count: u32,
    content: u64,
}

/// The requests that are remembered, oldest first.
#[derive(Debug, Default)]
pub(super) struct Requests {
    known: HashMap<u128, Known>,
    order: VecDeque<(u64, u128)>,
    in_flight: HashSet<u128>,
}

impl Requests {
    /// Whether the request was seen before: what it was answered then.
    pub(super) fn look_up(&self, request: &RequestName) -> Result<Option<Receipt>, Refusal> {
        match self.known.get(&request.name) {
            Some(known) if known.content != request.content => Err(Refusal::OtherContent),
            Some(known) => Ok(Some(Receipt {
                accepted: u64::from(known.count),
                first: known.first,
                is_repeated: true,
            })),
            None if self.in_flight.contains(&request.name) => Err(Refusal::InFlight),
            None => Ok(None),
        }
    }

    /// The request waits to be written.
    pub(super) fn begin(&mut self, request: &RequestName) {
        self.in_flight.insert(request.name);
    }

    /// It was not written.
    pub(super) fn abandon(&mut self, request: &RequestName) {
        self.in_flight.remove(&request.name);
    }

    /// It is in the store.
    pub(super) fn remember(&mut self, request: &RequestName, first: u64, count: u32) {
        self.in_flight.remove(&request.name);
        self.order.push_back((first, request.name));
        self.known.insert(request.name, Known { first, count, content: request.content });
    }

    /// Forgets the oldest beyond [`MAX_REQUESTS`] after `more` are added; returns the first record of each.
    pub(super) fn forget(&mut self, more: usize) -> Vec<u64> {
        let excess = (self.order.len() + more).saturating_sub(MAX_REQUESTS);
        let mut forgotten = Vec::new();
        for (first, name) in self.order.drain(..excess.min(self.order.len())) {
            self.known.remove(&name);
            forgotten.push(first);
        }
        forgotten
    }

    /// Takes up a row of the store; false if it cannot be read.
    #[must_use]
    pub(super) fn take_row(&mut self, first: u64, row: &[u8]) -> bool {
        let Some((request, count)) = read(row) else { return false };
        self.remember(&request, first, count);
        true
    }
}

/// The row of a request: version, name, content, number of records.
pub(super) fn row(request: &RequestName, count: u32) -> [u8; ROW_BYTES] {
    let mut row = [VERSION; ROW_BYTES];
    let parts =
        [&request.name.to_le_bytes()[..], &request.content.to_le_bytes(), &count.to_le_bytes()];
    for (place, byte) in row.iter_mut().skip(1).zip(parts.into_iter().flatten()) {
        *place = *byte;
    }
    row
}

fn read(row: &[u8]) -> Option<(RequestName, u32)> {
    let (version, rest) = row.split_first()?;
    let (name, rest) = rest.split_first_chunk()?;
    let (content, rest) = rest.split_first_chunk()?;
    let count = u32::from_le_bytes(rest.try_into().ok()?);
    let (name, content) = (u128::from_le_bytes(*name), u64::from_le_bytes(*content));
    (*version == VERSION).then_some((RequestName { name, content }, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_again_by_name_and_content() {
        let mut requests = Requests::default();
        let request = RequestName::new(b"a", b"{}");
        assert_eq!(requests.look_up(&request), Ok(None));
        requests.begin(&request);
        assert_eq!(requests.look_up(&request), Err(Refusal::InFlight));
        assert!(requests.take_row(7, &row(&request, 3)));
        let receipt = Receipt { accepted: 3, first: 7, is_repeated: true };
        assert_eq!(requests.look_up(&request), Ok(Some(receipt)));
        assert_eq!(requests.look_up(&RequestName::new(b"a", b"[]")), Err(Refusal::OtherContent));
    }

    #[test]
    fn the_oldest_requests_are_forgotten() {
        let mut requests = Requests::default();
        let request = |number: u64| RequestName::new(&number.to_le_bytes(), b"");
        for number in 0..MAX_REQUESTS as u64 {
            requests.remember(&request(number), number, 1);
        }
        assert_eq!(requests.forget(2), [0, 1]);
        assert_eq!(requests.look_up(&request(1)), Ok(None));
        assert!(requests.look_up(&request(2)).unwrap().is_some());
    }

    #[test]
    fn a_row_of_another_form_is_not_taken() {
        let whole = row(&RequestName::new(b"a", b"b"), 3);
        assert!(!Requests::default().take_row(0, &whole[..28]));
        assert!(!Requests::default().take_row(0, &[&[9], &whole[1..]].concat()));
    }
}
