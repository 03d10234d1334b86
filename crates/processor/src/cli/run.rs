//! `run`: a configuration until its input ends or a signal comes.

use std::path::Path;

use tracing::info;

use super::{
    args::RunArgs,
    check::{load, refuse_blocked},
    exit::Exit,
    progress::show_progress,
    signals::stop_on_signal,
};
use crate::{
    error::ProcessorError,
    runtime::{Outcome, RunReport, SetupOptions, job_from_config},
    source::StopToken,
};

/// Runs a configuration.
pub(super) fn run(args: &RunArgs) -> Exit {
    let loaded = match load(&args.config) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let stop = StopToken::default();
    stop_on_signal(&stop);
    let options = SetupOptions { until_end: args.until_end };
    let job = refuse_blocked(&loaded)
        .and_then(|()| job_from_config(&loaded.config, &options, stop));
    let Outcome { report, result } = match job {
        Ok(job) => {
            info!(config = %args.config.display(), "running");
            let bar = show_progress(&job);
            let outcome = job.run();
            bar.finish();
            outcome
        }
        Err(error) => Outcome { report: RunReport::failed(&error), result: Err(error) },
    };
    conclude(&report, args.report.as_deref(), result)
}

/// Writes the report, whatever the end was, and gives the exit code.
fn conclude(report: &RunReport, path: Option<&Path>, result: Result<(), ProcessorError>) -> Exit {
    let written = path.map_or(Ok(()), |path| report.write(path));
    let exit = Exit::of(result);
    let report_exit = Exit::of(written);
    if exit == Exit::Ok { report_exit } else { exit }
}
