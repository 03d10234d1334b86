//! What a store holds of an inbox is read back.

use std::{collections::VecDeque, ops::ControlFlow, sync::Arc};

use super::{
    IntakeMetrics,
    inbox::{Inbox, ROW_OVERHEAD, RowMark},
    requests::Requests,
    row::{Row, RowBuilder},
};
use crate::{
    commit::embedded::keys::{self, KeyRange},
    error::{ProcessorError, ProcessorResult},
    state::{Durability, Store, WriteBatch},
    trace::TraceContext,
};

/// The inbox in `store`.
///
/// # Errors
/// [`ProcessorError::State`] if it is damaged or has a gap.
pub(crate) fn load(
    store: &dyn Store,
    max_bytes: u64,
    metrics: IntakeMetrics,
) -> ProcessorResult<Arc<Inbox>> {
    let mut rows: VecDeque<RowMark> = VecDeque::new();
    each_row(store, &mut |first, bytes| {
        let count = Row::read(first, bytes)?.count();
        if rows.back().is_some_and(|before| before.end() != first) {
            return Err(damaged(&format!("the inbox has a gap before record {first}")));
        }
        rows.push_back(RowMark { first, count, bytes: bytes.len() as u64 + ROW_OVERHEAD });
        Ok(())
    })?;
    let mut requests = Requests::default();
    scan(store, &KeyRange::requests(), |key, bytes| {
        let first = keys::number_of(key);
        if first.is_some_and(|first| requests.take_row(first, bytes)) {
            Ok(())
        } else {
            Err(damaged("a request in the inbox cannot be read"))
        }
    })?;
    Ok(Arc::new(Inbox::new(max_bytes, metrics, (rows, requests))))
}

/// Copies the records from `position` on out of the inbox of `from` into the empty one of `to`; says how
/// many there were.
///
/// # Errors
/// [`ProcessorError::State`] if the old inbox is damaged, [`ProcessorError::Io`] if the new store cannot be
/// written.
pub(crate) fn carry_over(from: &dyn Store, position: u64, to: &dyn Store) -> ProcessorResult<u64> {
    let (mut batch, mut carried) = (WriteBatch::default(), 0);
    each_row(from, &mut |first, bytes| {
        let row = Row::read(first, bytes)?;
        let mut copy = RowBuilder::default();
        let mut changes = row.changes().peekable();
        let mut context = None;
        for (index, record) in (0..).zip(row.records()) {
            while let Some((_, parent, state)) = changes.next_if(|(from, ..)| *from <= index) {
                context = TraceContext::parse(parent, Some(state));
            }
            if first + u64::from(index) >= position {
                copy.push(record, context.as_ref());
            }
        }
        let count = u64::from(copy.count());
        if count > 0 {
            batch.put(&keys::inbox(carried), &copy.finish(row.received_ms));
            carried += count;
        }
        Ok(())
    })?;
    if carried > 0 {
        to.write(&batch, Durability::Synced)?;
    }
    Ok(carried)
}

fn each_row(
    store: &dyn Store,
    take: &mut dyn FnMut(u64, &[u8]) -> ProcessorResult<()>,
) -> ProcessorResult<()> {
    scan(store, &KeyRange::inbox(), |key, bytes| match keys::number_of(key) {
        Some(first) => take(first, bytes),
        None => Err(damaged("a row of the inbox has no readable number")),
    })
}

fn scan(
    store: &dyn Store,
    range: &KeyRange,
    mut take: impl FnMut(&[u8], &[u8]) -> ProcessorResult<()>,
) -> ProcessorResult<()> {
    let mut outcome = Ok(());
    store.scan(&range.from, range.to.as_deref(), &mut |key, bytes| {
        outcome = take(key, bytes);
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    outcome
}

fn damaged(what: &str) -> ProcessorError {
    ProcessorError::State(format!("{what}; restore a checkpoint, or run with --new-state"))
}
