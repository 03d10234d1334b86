//! Keeps a connection alive while there are no results.

use std::{
    sync::{Arc, Mutex, PoisonError, TryLockError, Weak},
    thread,
    time::Duration,
};

use tracing::debug;

use super::link::Link;

/// A connection, if there is one.
pub(super) type SharedLink = Arc<Mutex<Option<Link>>>;

/// How often the thread looks.
const EVERY: Duration = Duration::from_millis(500);

/// Starts a thread that reads what the server sends and answers its pings, for as long as `link` is
/// somebody's. A connection that broke is dropped: the next result makes another.
pub(super) fn keep(link: &SharedLink, name: String) {
    let link = Arc::downgrade(link);
    let started = thread::Builder::new().name("websocket".into()).spawn(move || {
        while look(&link, &name) {
            thread::sleep(EVERY);
        }
    });
    if let Err(error) = started {
        debug!(%error, "no thread answers pings; the server may close a quiet connection");
    }
}

/// Whether there is somebody left to look for.
fn look(link: &Weak<Mutex<Option<Link>>>, name: &str) -> bool {
    let Some(link) = link.upgrade() else { return false };
    let mut held = match link.try_lock() {
        Ok(held) => held,
        Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
        // Results are on their way: whoever sends reads too.
        Err(TryLockError::WouldBlock) => return true,
    };
    if let Some(Err(broken)) = held.as_mut().map(Link::read_what_came) {
        debug!(sink = name, reason = broken.reason, "the connection is gone");
        *held = None;
    }
    true
}
