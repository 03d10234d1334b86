//! SIGTERM and SIGINT end the run in order; a second one ends it at once.

use std::{
    thread,
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use tracing::{info, warn};

use crate::source::StopToken;

/// What comes sooner after the first signal is the same wish: `timeout` signals its command and then its whole process group,
/// and so do some shells and supervisors.
const SAME_WISH: Duration = Duration::from_millis(100);

/// Stops `stop` at the first signal.
pub(super) fn stop_on_signal(stop: &StopToken) {
    let stop = stop.clone();
    let mut signals = match Signals::new([SIGTERM, SIGINT]) {
        Ok(signals) => signals,
        Err(error) => {
            warn!(%error, "signals are not handled: a signal ends the run without draining");
            return;
        }
    };
    let listener = thread::Builder::new().name("signals".into()).spawn(move || {
        let mut asked: Option<Instant> = None;
        for signal in signals.forever() {
            if let Some(asked) = asked {
                if asked.elapsed() < SAME_WISH {
                    continue;
                }
                warn!("second signal, ending at once");
                std::process::exit(128 + signal);
            }
            asked = Some(Instant::now());
            info!("stopping: delivering what is computed; a second signal ends at once");
            stop.stop();
        }
    });
    if let Err(error) = listener {
        warn!(%error, "no thread for signals: a signal ends the run without draining");
    }
}
