//! How far a bounded input is read, on standard error of a terminal.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::source::text::ReadProgress;

const TEMPLATE: &str = "{bar:30} {percent:>3} %  {bytes} of {total_bytes}  {msg}  {eta} left";

/// Bar with rate and time left.
///
/// It is drawn only while the size of the input is known and standard error is a terminal; all
/// calls do nothing otherwise.
#[derive(Debug)]
pub struct InputProgress {
    bar: ProgressBar,
    read: ReadProgress,
    begun: Instant,
}

impl InputProgress {
    /// A bar for an input of `total_bytes`; `None` if that is not known or has no end.
    #[must_use]
    pub fn new(total_bytes: Option<u64>, read: ReadProgress) -> Self {
        let target = match total_bytes {
            Some(_) if io::stderr().is_terminal() => ProgressDrawTarget::stderr(),
            _ => ProgressDrawTarget::hidden(),
        };
        Self::with_target(total_bytes, read, target)
    }

    fn with_target(total: Option<u64>, read: ReadProgress, target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(total, target);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self { bar, read, begun: Instant::now() }
    }

    /// Shows the bytes read by now and the rate of `events` processed since the beginning. To be
    /// called a few times per second; it draws no more often than the eye can follow.
    pub fn update(&self, events: u64) {
        self.bar.set_message(rate(events, self.begun.elapsed()));
        self.bar.set_position(self.read.bytes());
    }

    /// Takes the bar away while `write` writes lines to the terminal.
    pub fn suspend<R>(&self, write: impl FnOnce() -> R) -> R {
        self.bar.suspend(write)
    }

    /// Takes the bar away for good.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// `12,345 events/s`.
fn rate(events: u64, elapsed: Duration) -> String {
    let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).max(1);
    let per_sec = u128::from(events) * 1_000_000 / u128::from(micros);
    format!("{} events/s", HumanCount(u64::try_from(per_sec).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_readable() {
        assert_eq!(rate(0, Duration::ZERO), "0 events/s");
        assert_eq!(rate(1_234_567, Duration::from_millis(500)), "2,469,134 events/s");
    }

    #[test]
    fn bar_follows_the_bytes_read() {
        let read = ReadProgress::default();
        let target = ProgressDrawTarget::hidden();
        let progress = InputProgress::with_target(Some(100), read.clone(), target);
        read.add(40);
        progress.update(4);
        assert_eq!((progress.bar.position(), progress.bar.length()), (40, Some(100)));
        assert_eq!(progress.suspend(|| 7), 7);
        progress.finish();
        assert!(progress.bar.is_finished());
    }

    #[test]
    fn template_is_valid() {
        ProgressStyle::with_template(TEMPLATE).unwrap();
    }

    #[test]
    fn input_without_a_known_size_has_no_bar() {
        assert!(InputProgress::new(None, ReadProgress::default()).bar.is_hidden());
    }
}
