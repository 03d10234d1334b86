//! SIGTERM and SIGINT end the run in order; a second one ends it at once.

use std::thread;

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use tracing::{info, warn};

use crate::source::StopToken;

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
        let mut asked = false;
        for signal in signals.forever() {
            if asked {
                warn!("second signal, ending at once");
                std::process::exit(128 + signal);
            }
            asked = true;
            info!("stopping: delivering what is computed; a second signal ends at once");
            stop.stop();
        }
    });
    if let Err(error) = listener {
        warn!(%error, "no thread for signals: a signal ends the run without draining");
    }
}
