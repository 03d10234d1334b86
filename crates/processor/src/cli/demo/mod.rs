//! `demo`: a recorded trace and live generated traffic, in the terminal and on the dashboard, with nothing prepared.
//!
//! The recorded trace is replayed twice: at once, as a table, and beside the generated traffic at the pace at which it was
//! recorded, so that the dashboard has two pipelines over two partitions. State, files and checkpoints are in a folder that
//! goes with the demo.

mod source;
mod trace;

use std::{path::Path, thread, time::Duration};

use llm_optimizer_config::{ProcessorConfig, load_str, settings::HttpConfig};
use tempfile::TempDir;
use tracing::info;

use super::{
    args::DemoArgs,
    exit::{Exit, print},
    signals::stop_on_signal,
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    runtime::{Job, SetupOptions, job_from_config, observed_job_from_config},
    server::RunServer,
    source::StopToken,
};

const REPLAY: &str = include_str!("../../../demo/replay.yaml");
const LIVE: &str = include_str!("../../../demo/live.yaml");
/// Stands for the demo's folder in the configurations.
const FOLDER: &str = "DEMO_FOLDER";
/// Where the dashboard is, unless something else listens there.
const USUAL_ADDRESS: &str = "127.0.0.1:8080";
const ANY_PORT: &str = "127.0.0.1:0";

/// Shows windows until a signal comes or the time is over.
pub(super) fn demo(args: &DemoArgs) -> Exit {
    let stop = StopToken::default();
    stop_on_signal(&stop);
    match args.secs.map(Duration::try_from_secs_f64) {
        Some(Ok(limit)) => stop_after(limit, &stop),
        Some(Err(_)) => return Exit::Usage,
        None => {}
    }
    Exit::of(show(args, &stop))
}

fn show(args: &DemoArgs, stop: &StopToken) -> ProcessorResult<()> {
    let folder = TempDir::with_prefix("processor-demo-").map_err(no_folder)?;
    let mut live = configuration(LIVE, "demo/live.yaml", folder.path())?;
    let server = serve(&mut live, args.bind.as_deref(), stop)?;
    if let Some(address) = server.address() {
        print(format!("Dashboard: http://{address}/\n\n").as_bytes());
    }
    let options = SetupOptions::default();
    let mut job = observed_job_from_config(&live, &options, server.telemetry(), stop.clone())?;
    job.source = source::with_trace(job.source)?;
    let (lived, replayed) = thread::scope(|scope| {
        let replay = scope.spawn(|| {
            replay(folder.path(), stop).inspect_err(|_| stop.stop())?;
            info!(
                "generated traffic, live: latency in ms per model every 5 s; every 15 s one model is in trouble for 8 s \
                 (watch p95). Ctrl-C ends the demo"
            );
            Ok(())
        });
        let lived = run(job);
        let panicked = || Err(ProcessorError::Internal("the replay of the demo panicked".into()));
        (lived, replay.join().unwrap_or_else(|_| panicked()))
    });
    server.end();
    replayed.and(lived)
}

/// The whole trace at once, as a table.
fn replay(folder: &Path, stop: &StopToken) -> ProcessorResult<()> {
    info!(
        "19,366 requests to an Azure LLM service (Azure LLM inference trace 2023, CC-BY 4.0; Splitwise, ISCA 2024): context \
         and generated tokens per five minutes"
    );
    trace::write(&folder.join("azure-llm-conv-2023.csv"))?;
    let config = configuration(REPLAY, "demo/replay.yaml", folder)?;
    let options = SetupOptions { in_memory: true, ..SetupOptions::default() };
    run(job_from_config(&config, &options, stop.clone())?)
}

fn run(job: Job) -> ProcessorResult<()> {
    let outcome = job.run();
    outcome.report.log();
    outcome.result
}

/// Listens where it is asked to; else at the usual address, or any port if something else listens there.
fn serve(
    config: &mut ProcessorConfig,
    bind: Option<&str>,
    stop: &StopToken,
) -> ProcessorResult<RunServer> {
    let mut start = |bind: &str| {
        config.http = Some(HttpConfig { bind: bind.to_owned(), ..HttpConfig::default() });
        RunServer::start(config, false, false, stop)
    };
    match bind {
        Some(bind) => start(bind),
        None => start(USUAL_ADDRESS).or_else(|_| start(ANY_PORT)),
    }
}

fn configuration(yaml: &str, name: &str, folder: &Path) -> ProcessorResult<ProcessorConfig> {
    let yaml = yaml.replace(FOLDER, &folder.display().to_string());
    let loaded =
        load_str(&yaml, name, None).map_err(|faults| ProcessorError::Config(faults.to_string()))?;
    Ok(loaded.config)
}

fn stop_after(limit: Duration, stop: &StopToken) {
    let stop = stop.clone();
    thread::spawn(move || {
        thread::sleep(limit);
        stop.stop();
    });
}

fn no_folder(cause: std::io::Error) -> ProcessorError {
    ProcessorError::Io { action: "make a folder in", path: std::env::temp_dir(), cause }
}
