//! How far a replay is, on standard error: a bar on a terminal, else lines.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{
    HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget,
    ProgressStyle as BarStyle,
};

use super::{args::ProgressStyle, input::Total};
use crate::source::text::ReadProgress;

const RECORDS: &str =
    "{bar:30} {percent:>3} %  {human_pos} of {human_len} records  {msg}  {eta} left";
const BYTES: &str = "{bar:30} {percent:>3} %  {bytes} of {total_bytes}  {msg}  {eta} left";

/// Longest time without a line.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows how far reading is.
pub(super) struct Progress {
    total: Total,
    shown: Shown,
    read: u64,
    begun: Instant,
}

enum Shown {
    Bar(ProgressBar),
    Lines { tenth: u64, last: Instant },
    Nothing,
}

impl Progress {
    /// Begins to count.
    pub(super) fn new(total: Total, style: ProgressStyle) -> Self {
        let shown = match style {
            ProgressStyle::Auto if io::stderr().is_terminal() => Shown::Bar(bar(&total)),
            ProgressStyle::Auto | ProgressStyle::Lines => {
                Shown::Lines { tenth: 0, last: Instant::now() }
            }
            ProgressStyle::None => Shown::Nothing,
        };
        Self { total, shown, read: 0, begun: Instant::now() }
    }

    /// Records came from the source.
    pub(super) fn read(&mut self, records: u64) {
        self.read += records;
    }

    /// Shows what there is to show; `records` went through the pipelines.
    pub(super) fn update(&mut self, records: u64) {
        let (position, length) = self.position();
        let rate = rate(records, self.begun.elapsed());
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_message(rate);
                bar.set_position(position.min(length));
            }
            Shown::Lines { tenth, last } => {
                let now_tenth = (position.min(length) * 10).checked_div(length).unwrap_or_default();
                if now_tenth > *tenth || last.elapsed() >= LINE_EVERY {
                    (*tenth, *last) = (now_tenth, Instant::now());
                    let line = self.line(position, length, &rate);
                    // Nobody reads standard error: results count.
                    drop(writeln!(io::stderr().lock(), "{line}"));
                }
            }
            Shown::Nothing => {}
        }
    }

    /// Takes the bar away while `write` writes to the terminal.
    pub(super) fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }

    fn position(&self) -> (u64, u64) {
        let read = self.total.bytes.as_ref().map_or(self.read, ReadProgress::bytes);
        (read, self.total.amount.unwrap_or_default())
    }

    fn line(&self, position: u64, length: u64, rate: &str) -> String {
        let percent = (position.min(length) * 100).checked_div(length).unwrap_or(100);
        let (done, all) = if self.total.bytes.is_some() {
            (HumanBytes(position).to_string(), HumanBytes(length).to_string())
        } else {
            (HumanCount(position).to_string(), format!("{} records", HumanCount(length)))
        };
        let left = time_left(position, length, self.begun.elapsed());
        format!("replay: {percent} %  {done} of {all}  {rate}  {} left", HumanDuration(left))
    }
}

fn bar(total: &Total) -> ProgressBar {
    let template = if total.bytes.is_some() { BYTES } else { RECORDS };
    let bar = ProgressBar::with_draw_target(total.amount, ProgressDrawTarget::stderr());
    if let Ok(style) = BarStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar
}

fn rate(records: u64, elapsed: Duration) -> String {
    let millis = elapsed.as_millis().max(1);
    let per_sec = u128::from(records) * 1_000 / millis;
    format!("{} records/s", HumanCount(u64::try_from(per_sec).unwrap_or(u64::MAX)))
}

/// What the rest takes at the pace so far.
fn time_left(position: u64, length: u64, elapsed: Duration) -> Duration {
    let left = length.saturating_sub(position);
    if position == 0 {
        return Duration::ZERO;
    }
    elapsed.mul_f64(left as f64 / position as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_that_of_the_pace_so_far() {
        assert_eq!(time_left(25, 100, Duration::from_secs(10)), Duration::from_secs(30));
        assert_eq!(time_left(100, 100, Duration::from_secs(10)), Duration::ZERO);
    }

    #[test]
    fn a_line_says_how_far_and_how_long() {
        let total = Total { amount: Some(2_000), bytes: None };
        let mut progress = Progress::new(total, ProgressStyle::None);
        progress.read(500);
        let line = progress.line(500, 2_000, "7 records/s");
        assert!(line.starts_with("replay: 25 %  500 of 2,000 records  7 records/s  "), "{line}");
        assert!(line.ends_with(" left"), "{line}");
    }

    #[test]
    fn templates_are_valid() {
        for template in [RECORDS, BYTES] {
            BarStyle::with_template(template).unwrap();
        }
    }
}
