//! Which records of one delivery the broker has acknowledged.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rdkafka::error::RDKafkaErrorCode;

/// Where one record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// To be handed to the client.
    Unsent,
    /// With the client.
    Sent,
    /// Acknowledged.
    Done,
}

#[derive(Debug, Default)]
struct State {
    records: Vec<Progress>,
    in_flight: usize,
    failure: Option<(usize, RDKafkaErrorCode)>,
}

/// Progress of one delivery; shared with the client's reports.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    state: Mutex<State>,
    changed: Condvar,
}

/// Comes back with the report on one record.
#[derive(Debug)]
pub(super) struct Receipt {
    delivery: Arc<Delivery>,
    record: usize,
}

impl Delivery {
    /// A delivery of `records` records, none of them sent.
    pub(super) fn new(records: usize) -> Arc<Self> {
        let state = State { records: vec![Progress::Unsent; records], ..State::default() };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Records to be handed to the client, in order.
    pub(super) fn unsent(&self) -> Vec<usize> {
        let state = self.lock();
        let unsent = state.records.iter().enumerate();
        unsent.filter(|(_, at)| **at == Progress::Unsent).map(|(record, _)| record).collect()
    }

    /// Marks a record as handed to the client; the receipt goes with it.
    pub(super) fn send(self: &Arc<Self>, record: usize) -> Receipt {
        let mut state = self.lock();
        state.set(record, Progress::Sent);
        state.in_flight += 1;
        Receipt { delivery: Arc::clone(self), record }
    }

    /// Waits until the client holds at most `in_flight` records, or the time is over.
    pub(super) fn wait(&self, in_flight: usize, timeout: Duration) -> bool {
        let state = self.lock();
        let waited =
            self.changed.wait_timeout_while(state, timeout, |state| state.in_flight > in_flight);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.in_flight <= in_flight
    }

    /// Number of records with the client.
    pub(super) fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    /// Number of records that are not acknowledged.
    pub(super) fn missing(&self) -> usize {
        self.lock().records.iter().filter(|at| **at != Progress::Done).count()
    }

    /// The last failure since the last call: the record and why.
    pub(super) fn take_failure(&self) -> Option<(usize, RDKafkaErrorCode)> {
        self.lock().failure.take()
    }

    fn settle(&self, record: usize, failure: Option<RDKafkaErrorCode>) {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        match failure {
            None => state.set(record, Progress::Done),
            Some(code) => {
                state.set(record, Progress::Unsent);
                state.failure = Some((record, code));
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn set(&mut self, record: usize, at: Progress) {
        if let Some(progress) = self.records.get_mut(record) {
            *progress = at;
        }
    }
}

impl Receipt {
    /// The report: acknowledged, or failed and to be sent again.
    pub(super) fn settle(&self, failure: Option<RDKafkaErrorCode>) {
        self.delivery.settle(self.record, failure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_records_are_sent_again_in_order() {
        let delivery = Delivery::new(3);
        let receipts: Vec<_> = delivery.unsent().into_iter().map(|i| delivery.send(i)).collect();
        assert!(!delivery.wait(0, Duration::ZERO));
        receipts[2].settle(Some(RDKafkaErrorCode::PurgeQueue));
        receipts[1].settle(None);
        receipts[0].settle(Some(RDKafkaErrorCode::PurgeQueue));
        assert!(delivery.wait(0, Duration::ZERO));
        assert_eq!(delivery.unsent(), [0, 2]);
        assert_eq!(delivery.missing(), 2);
        assert_eq!(delivery.take_failure(), Some((0, RDKafkaErrorCode::PurgeQueue)));
    }
}
