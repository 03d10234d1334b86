//! `windows:`.

use super::{
    Checks,
    bounds::{not_negative, positive},
};

pub(super) fn check(checks: &mut Checks<'_>) {
    let windows = &checks.config.windows;
    positive(checks, "windows.tumbling.size_secs", windows.tumbling.size_secs);
    let lateness = windows.tumbling.allowed_lateness_secs;
    not_negative(checks, "windows.tumbling.allowed_lateness_secs", lateness);
    positive(checks, "windows.session.gap_secs", windows.session.gap_secs);
    let lateness = windows.session.allowed_lateness_secs;
    not_negative(checks, "windows.session.allowed_lateness_secs", lateness);
    sliding(checks);
    trigger(checks);
}

fn trigger(checks: &mut Checks<'_>) {
    let trigger = &checks.config.windows.trigger;
    if trigger.count == Some(0) {
        checks.fault("windows.trigger.count", "0 must be greater than 0", "");
    }
    if let Some(interval) = trigger.interval_secs {
        positive(checks, "windows.trigger.interval_secs", interval);
    }
}

fn sliding(checks: &mut Checks<'_>) {
    let sliding = &checks.config.windows.sliding;
    let (size, slide) = (sliding.size_secs, sliding.slide_secs);
    positive(checks, "windows.sliding.size_secs", size);
    positive(checks, "windows.sliding.slide_secs", slide);
    not_negative(checks, "windows.sliding.allowed_lateness_secs", sliding.allowed_lateness_secs);
    if slide > size && size.as_millis() > 0 {
        let default = if checks.has("windows.sliding.slide_secs") { "" } else { " (the default)" };
        checks.conflict(
            "windows.sliding.slide_secs",
            &["windows.sliding.size_secs"],
            format!("{slide}{default} exceeds size_secs {size}"),
            "events between two windows would be in none; slide by at most the size",
        );
    }
}
