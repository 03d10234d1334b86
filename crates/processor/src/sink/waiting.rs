//! Waiting for a server that is away, where nothing keeps what it should get.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tracing::warn;

use crate::{error::ProcessorResult, runtime::SinkBoard, source::StopToken};

/// How often somebody who waits looks whether to give up.
const LOOK: Duration = Duration::from_millis(20);

/// How a sink waits for its server.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Pause after the first failure; doubles each time. Zero: a failure is an error at once.
    pub initial: Duration,
    /// Longest pause.
    pub longest: Duration,
    /// Stopped when the time to deliver after a stop is over.
    pub give_up: StopToken,
    /// Told what fails while it is waited for.
    pub board: Option<Arc<SinkBoard>>,
}

impl Default for Waiting {
    /// From 100 ms up to 5 s.
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(100),
            longest: Duration::from_secs(5),
            give_up: StopToken::default(),
            board: None,
        }
    }
}

impl Waiting {
    /// Carries out `attempt` until it succeeds, fails for another reason than an outage, or there is no
    /// time left.
    ///
    /// # Errors
    /// The last one of `attempt`.
    pub fn until_there(
        &self,
        sink: &str,
        mut attempt: impl FnMut() -> ProcessorResult<()>,
    ) -> ProcessorResult<()> {
        let mut pause = self.initial;
        loop {
            let Err(error) = attempt() else { return Ok(()) };
            if !error.is_outage() || pause.is_zero() || self.give_up.is_stopped() {
                return Err(error);
            }
            self.board.iter().for_each(|board| board.fails(sink, &error));
            warn!(sink, %error, pause_ms = pause.as_millis(), "the server is away, trying again");
            self.rest(pause);
            pause = (pause * 2).min(self.longest);
        }
    }

    fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.give_up.is_stopped() {
            thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ProcessorError;

    fn away() -> ProcessorError {
        ProcessorError::Unavailable { name: "x".into(), reason: "away".into() }
    }

    fn impatient() -> Waiting {
        let brief = Duration::from_millis(1);
        Waiting { initial: brief, longest: brief, ..Waiting::default() }
    }

    #[test]
    fn an_outage_is_waited_out_and_other_errors_are_not() {
        let mut left = 3;
        let outcome = impatient().until_there("x", || {
            left -= 1;
            if left > 0 { Err(away()) } else { Ok(()) }
        });
        assert!(outcome.is_ok() && left == 0);
        let mut calls = 0;
        let refused = impatient().until_there("x", || {
            calls += 1;
            Err(ProcessorError::Sink { name: "x".into(), reason: "no".into() })
        });
        assert!(refused.is_err() && calls == 1);
    }

    #[test]
    fn a_stop_or_no_patience_ends_the_wait() {
        let waiting = impatient();
        let give_up = waiting.give_up.clone();
        let outcome = waiting.until_there("x", || {
            give_up.stop();
            Err(away())
        });
        assert!(outcome.is_err());
        let none = Waiting { initial: Duration::ZERO, ..impatient() };
        assert!(none.until_there("x", || Err(away())).is_err());
    }
}
