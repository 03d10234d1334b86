//! The end of a run: what waits is committed, sinks get it, all within the time for it.

use std::{thread, time::Duration};

use crossbeam_channel::{RecvTimeoutError, select};

use super::{super::super::counting::TICK, Worker};
use crate::error::{ProcessorError, ProcessorResult};

impl Worker {
    /// Commits what waits and leaves the group, within the time for it once a stop was asked for.
    pub(super) fn drain(&mut self) -> ProcessorResult<()> {
        let (news, answers) = self.signals();
        self.is_draining = true;
        // The last commit holds everything up to now.
        self.advance()?;
        self.driver.shutdown();
        self.obey()?;
        let since = self.counting.elapsed();
        while !self.is_finished {
            select! {
                recv(news) -> news => self.take_news(news.ok())?,
                recv(answers) -> answer => self.take_answer(answer.ok())?,
                default(TICK) => {}
            }
            self.advance()?;
            if self.is_over(since) {
                self.give_up.stop();
                return Err(self.uncommitted());
            }
        }
        self.outside.close();
        let closed = self.driver.close_outlet();
        loop {
            match closed.recv_timeout(TICK) {
                Ok(result) => {
                    result?;
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if self.is_over(since) => {
                    self.give_up.stop();
                    return Err(self.uncommitted());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.await_sinks(since)
    }

    /// Waits until sinks have what is committed. Groups are served meanwhile, so that no other process takes over.
    fn await_sinks(&mut self, since: Duration) -> ProcessorResult<()> {
        while !self.outside.is_closed()? {
            if self.is_over(since) {
                self.give_up.stop();
                return Err(self.outside.undelivered());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Whether the time for an end that was asked for is over.
    fn is_over(&self, since: Duration) -> bool {
        let waited = self.counting.elapsed().saturating_sub(since);
        self.stop.is_stopped() && waited > self.settings.shutdown_timeout
    }

    fn uncommitted(&self) -> ProcessorError {
        ProcessorError::Unavailable {
            name: "kafka".into(),
            reason: format!(
                "what waited could not be committed within {} s of the stop (`shutdown_timeout_secs`); it is counted \
                 again by the next run",
                self.settings.shutdown_timeout.as_secs_f64()
            ),
        }
    }
}
