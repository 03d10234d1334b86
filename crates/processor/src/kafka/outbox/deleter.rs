//! Deletes what every sink has got and looks where topics end, on a thread of its own.
//!
//! A row that stays longer than it must harms nobody, so failures are said and tried again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{debug, warn};

use super::board::{Board, Wanted};
use crate::kafka::{admin::Admin, cluster::NotYet, notices::Notices};

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a failure is not said again.
const SILENCE: Duration = Duration::from_mins(1);

/// Who deletes where.
pub(super) struct Deleter {
    pub(super) bootstrap_servers: String,
    pub(super) client_id: String,
    pub(super) topics: Vec<String>,
    pub(super) board: Arc<Board>,
}

impl Deleter {
    /// Works until the run ends.
    pub(super) fn run(self) {
        let notices = Arc::new(Notices::new(&self.bootstrap_servers));
        let admin = match Admin::new(&self.bootstrap_servers, &self.client_id, notices) {
            Ok(admin) => admin,
            Err(error) => {
                warn!(%error, "what sinks have got is not deleted from their outbox");
                return;
            }
        };
        let mut deleted = vec![0; self.topics.len()];
        let mut said: Option<Instant> = None;
        loop {
            let is_last = self.board.wanted() == Wanted::Leave;
            for (number, (topic, deleted)) in self.topics.iter().zip(&mut deleted).enumerate() {
                // How much waits is shown by it, nothing more: what cannot be known now is asked again.
                if !is_last && let Ok(end) = admin.end(topic, 0) {
                    self.board.ends(number, end);
                }
                let Some(below) = self.board.slowest(number).filter(|below| *below > *deleted)
                else {
                    continue;
                };
                match admin.delete_records(topic, 0, below) {
                    Ok(()) => {
                        debug!(%topic, below, "deleted what every sink has got");
                        *deleted = below;
                    }
                    Err(NotYet { text, .. }) => {
                        if said.is_none_or(|at| at.elapsed() > SILENCE) {
                            warn!(%topic, below, "what every sink has got cannot be deleted (DELETE on the topic is needed): {text}");
                            said = Some(Instant::now());
                        }
                    }
                }
            }
            if is_last {
                return;
            }
            self.pause();
        }
    }

    fn pause(&self) {
        let until = Instant::now() + INTERVAL;
        while Instant::now() < until && self.board.wanted() != Wanted::Leave {
            self.board.wait(until.saturating_duration_since(Instant::now()));
        }
    }
}
