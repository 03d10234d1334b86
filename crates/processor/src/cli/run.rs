//! `run`: a configuration until its input ends or a signal comes.

use std::{
    io::IsTerminal,
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use llm_optimizer_config::{ProcessorConfig, ResultSinkSpec};
use tracing::info;

use super::{
    args::RunArgs,
    check::{load, refuse_blocked},
    exit::Exit,
    progress::InputProgress,
    signals::stop_on_signal,
};
use crate::{
    error::ProcessorError,
    runtime::{Job, Outcome, RunReport, SetupOptions, observed_job_from_config},
    server::RunServer,
    source::StopToken,
};

/// Runs a configuration.
pub(super) fn run(args: &RunArgs) -> Exit {
    let loaded = match load(&args.config) {
        Ok(loaded) => loaded,
        Err(exit) => {
            let refused = ProcessorError::Config("refused; see the faults on stderr".into());
            let written = write_report(&RunReport::failed(&refused), args.report.as_deref());
            return exit.or(Exit::of(written));
        }
    };
    let stop = StopToken::default();
    stop_on_signal(&stop);
    let options = SetupOptions {
        until_end: args.until_end,
        new_state: args.new_state,
        ..SetupOptions::default()
    };
    let server = refuse_blocked(&loaded)
        .and_then(|()| RunServer::start(&loaded.config, args.until_end, &stop));
    let (server, job) = match server {
        Ok(server) => {
            let telemetry = server.telemetry();
            let job = observed_job_from_config(&loaded.config, &options, telemetry, stop);
            (Some(server), job)
        }
        Err(error) => (None, Err(error)),
    };
    let Outcome { report, result } = match job {
        Ok(job) => {
            info!(config = %args.config.display(), "running");
            if shows_progress(&loaded.config) { run_with_progress(job) } else { job.run() }
        }
        Err(error) => Outcome { report: RunReport::failed(&error), result: Err(error) },
    };
    let exit = conclude(&report, args.report.as_deref(), result);
    // Whoever asks about health sees the end of the run until here.
    server.into_iter().for_each(RunServer::end);
    exit
}

/// A bar and a table on one terminal would write over each other.
fn shows_progress(config: &ProcessorConfig) -> bool {
    let to_console = |sink: &ResultSinkSpec| matches!(sink, ResultSinkSpec::Console { .. });
    let has_console = config
        .pipelines()
        .iter()
        .any(|pipeline| pipeline.config.sinks().is_ok_and(|sinks| sinks.iter().any(to_console)));
    !(has_console && std::io::stdout().is_terminal())
}

fn run_with_progress(job: Job) -> Outcome {
    let progress = Arc::clone(&job.progress);
    let bar = InputProgress::new(job.source.size_bytes(), progress.read.clone());
    let ended = StopToken::default();
    thread::scope(|scope| {
        let (bar, ended) = (&bar, &ended);
        scope.spawn(move || {
            while !ended.is_stopped() {
                bar.update(progress.records_read.load(Ordering::Relaxed));
                thread::sleep(Duration::from_millis(100));
            }
            bar.finish();
        });
        let outcome = job.run();
        ended.stop();
        outcome
    })
}

/// Writes the report, whatever the end was, and gives the exit code.
fn conclude(report: &RunReport, path: Option<&Path>, result: Result<(), ProcessorError>) -> Exit {
    // Not before: a progress bar would have written over it.
    report.log();
    let exit = Exit::of(result);
    exit.or(Exit::of(write_report(report, path)))
}

fn write_report(report: &RunReport, path: Option<&Path>) -> Result<(), ProcessorError> {
    path.map_or(Ok(()), |path| report.write(path))
}
