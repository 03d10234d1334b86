//! `run`: a configuration until its input ends or a signal comes.

use std::{
    io::IsTerminal,
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use llm_optimizer_config::{ProcessorConfig, ResultSinkSpec};
use tracing::{info, warn};

use super::{
    args::{LogArgs, RunArgs},
    check::{read, tell_warnings},
    exit::Exit,
    logs,
    progress::InputProgress,
    signals::stop_on_signal,
};
use crate::{
    error::ProcessorError,
    export::{self, Export, ExportSettings},
    runtime::{Job, Outcome, RunReport, SetupOptions, observed_job_from_config},
    server::RunServer,
    source::StopToken,
};

/// Runs a configuration.
pub(super) fn run(args: &RunArgs, logs: &LogArgs) -> Exit {
    let loaded = match read(&args.config) {
        Ok(loaded) => loaded,
        Err(exit) => {
            logs::start(logs, None);
            let refused = ProcessorError::Config("refused; see the faults on stderr".into());
            let written = write_report(&RunReport::failed(&refused), args.report.as_deref());
            return exit.or(Exit::of(written));
        }
    };
    let mut settings = ExportSettings::of(&loaded.config);
    let export = export::begin(&mut settings);
    logs::start(logs, export.as_ref().ok().and_then(Option::as_ref));
    tell_warnings(&loaded);
    settings.warnings.iter().for_each(|warning| warn!("{warning}"));
    match export {
        Ok(export) => run_loaded(args, &loaded.config, export),
        Err(error) => conclude(&RunReport::failed(&error), args.report.as_deref(), Err(error)),
    }
}

fn run_loaded(args: &RunArgs, config: &ProcessorConfig, mut export: Option<Export>) -> Exit {
    let stop = StopToken::default();
    stop_on_signal(&stop);
    let options = SetupOptions {
        until_end: args.until_end,
        new_state: args.new_state,
        ..SetupOptions::default()
    };
    let has_traces = export.as_ref().is_some_and(Export::has_traces);
    let (server, job) = match RunServer::start(config, args.until_end, has_traces, &stop) {
        Ok(server) => {
            let telemetry = server.telemetry();
            let metrics = telemetry.metrics.clone();
            let started = export.as_mut().map_or(Ok(()), |export| export.start(metrics));
            let job =
                started.and_then(|()| observed_job_from_config(config, &options, telemetry, stop));
            (Some(server), job)
        }
        Err(error) => (None, Err(error)),
    };
    let Outcome { report, result } = match job {
        Ok(job) => {
            info!(config = %args.config.display(), "running");
            if shows_progress(config) { run_with_progress(job) } else { job.run() }
        }
        Err(error) => Outcome { report: RunReport::failed(&error), result: Err(error) },
    };
    let exit = conclude(&report, args.report.as_deref(), result);
    export.into_iter().for_each(Export::end);
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
