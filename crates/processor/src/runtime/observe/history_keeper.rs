//! The thread that takes a point of the history every second.

use std::{
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use tracing::warn;

use super::{Telemetry, history::HISTORY_INTERVAL};
use crate::source::clock::{Clock, SystemClock};

/// Takes points of a run's history until it is dropped.
#[derive(Debug)]
pub struct HistoryKeeper {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HistoryKeeper {
    /// Begins. Without a thread to be had there is no history, and one warning.
    #[must_use]
    pub fn start(telemetry: Arc<Telemetry>) -> Self {
        let (stop, stopped) = mpsc::channel::<()>();
        let clock = SystemClock::new();
        let run = move || {
            while stopped.recv_timeout(HISTORY_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
                telemetry.history.take(clock.now_ms(), &telemetry);
            }
        };
        let thread = thread::Builder::new().name("history".into()).spawn(run);
        if let Err(cause) = &thread {
            warn!(%cause, "no thread for the history: charts begin when they are looked at");
        }
        Self { stop: Some(stop), thread: thread.ok() }
    }
}

impl Drop for HistoryKeeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            drop(thread.join());
        }
    }
}
