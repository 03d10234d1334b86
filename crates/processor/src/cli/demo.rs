//! `demo`: a recorded trace, then live generated traffic, with nothing prepared.

use std::{io::Write, path::Path, thread, time::Duration};

use llm_optimizer_config::load_str;
use tracing::info;

use super::{args::DemoArgs, exit::Exit, signals::stop_on_signal};
use crate::{
    error::{ProcessorError, ProcessorResult},
    runtime::{SetupOptions, job_from_config},
    source::StopToken,
};

/// Azure LLM inference trace 2023 (conversation), CC-BY 4.0; see `examples/data/README.md`.
const TRACE: &[u8] = include_bytes!("../../../../examples/data/azure-llm-conv-2023.csv");
const REPLAY: &str = include_str!("../../demo/replay.yaml");
const LIVE: &str = include_str!("../../demo/live.yaml");

/// Shows windows until a signal comes or the time is over.
pub(super) fn demo(args: &DemoArgs) -> Exit {
    let stop = StopToken::default();
    stop_on_signal(&stop);
    match args.secs.map(Duration::try_from_secs_f64) {
        Some(Ok(limit)) => stop_after(limit, &stop),
        Some(Err(_)) => return Exit::Usage,
        None => {}
    }
    Exit::of(show(&stop))
}

fn show(stop: &StopToken) -> ProcessorResult<()> {
    info!(
        "1/2: replaying 19,366 requests to an Azure LLM service (Azure LLM inference trace 2023, \
         CC-BY 4.0; Splitwise, ISCA 2024): context and generated tokens per five minutes"
    );
    let mut trace =
        tempfile::NamedTempFile::with_suffix(".csv").map_err(|cause| no_file("create", cause))?;
    trace.write_all(TRACE).map_err(|cause| no_file("write", cause))?;
    run(REPLAY, "demo/replay.yaml", Some(trace.path()), stop)?;
    if stop.is_stopped() {
        return Ok(());
    }
    info!(
        "2/2: live generated traffic: latency in ms per model every 5 s; every 15 s one model is in \
         trouble for 8 s (watch p95). Ctrl-C ends the demo"
    );
    run(LIVE, "demo/live.yaml", None, stop)
}

fn run(yaml: &str, name: &str, path: Option<&Path>, stop: &StopToken) -> ProcessorResult<()> {
    let path = path.map(|path| ("PROCESSOR_SOURCE__PATH".to_owned(), path.display().to_string()));
    let loaded =
        load_str(yaml, name, path).map_err(|faults| ProcessorError::Config(faults.to_string()))?;
    let job = job_from_config(
        &loaded.config,
        &SetupOptions { in_memory: true, ..SetupOptions::default() },
        stop.clone(),
    )?;
    let outcome = job.run();
    outcome.report.log();
    outcome.result
}

fn stop_after(limit: Duration, stop: &StopToken) {
    let stop = stop.clone();
    thread::spawn(move || {
        thread::sleep(limit);
        stop.stop();
    });
}

fn no_file(action: &'static str, cause: std::io::Error) -> ProcessorError {
    ProcessorError::Io { action, path: std::env::temp_dir(), cause }
}
