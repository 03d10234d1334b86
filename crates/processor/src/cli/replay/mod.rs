//! `replay`: a part of the input once more, beside whatever runs.
//!
//! Nothing of the configuration is touched but its input, which is read: no sink, state, consumer group,
//! changelog or transaction.

mod args;
mod compare;
mod coverage;
mod input;
mod print;
mod progress;
mod run;

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use llm_optimizer_config::{
    ProcessorConfig, ResultSinkSpec, SideSinkSpec, Source as SourceSpec, resolved::plain_path,
    settings::EventTimeKind,
};

use args::Edges;
pub(super) use args::ReplayArgs;
use compare::Comparison;
use coverage::{Coverage, Edge, Reach};
use input::{Input, Wanted};
use print::Summary;
use progress::Progress;
use run::{Ended, Replay, Taker};
use tracing::warn;

use super::{check::load, exit::Exit, signals::stop_on_signal};
use crate::{
    error::{ProcessorError, ProcessorResult},
    runtime::Offline,
    sink::EncodedResult,
    source::{
        StopToken,
        clock::{Clock, SystemClock},
    },
};

/// Replays a range; 1 if it was compared and differs.
pub(super) fn replay(args: &ReplayArgs) -> Exit {
    let config = match load(&args.config) {
        Ok(loaded) => loaded.config,
        Err(exit) => return exit,
    };
    match replay_config(args, &config) {
        Ok(exit) => exit,
        Err(error) => Exit::of(Err(error)),
    }
}

/// The range in epoch milliseconds.
type Span = (Option<i64>, Option<i64>);

fn replay_config(args: &ReplayArgs, config: &ProcessorConfig) -> ProcessorResult<Exit> {
    let span = span(args)?;
    judge_time(config)?;
    spare(args, config)?;
    let reaches: Vec<Reach> =
        config.pipelines().iter().map(|pipeline| Reach::of(&pipeline.config)).collect();
    let mut coverage: Vec<Coverage> =
        reaches.iter().map(|reach| Coverage::new(*reach, span, args.whole_windows)).collect();
    let wanted = wanted(args, span, &reaches, &coverage);
    let input = Input::open(config, &wanted)?;
    if let (true, Wanted::Times { from_ms: Some(from_ms), .. }) = (input.begins_by_time, &wanted) {
        for coverage in &mut coverage {
            coverage.read_from(*from_ms);
        }
    }
    let stop = StopToken::default();
    stop_on_signal(&stop);
    let comparison = args.compare.as_deref().map(Comparison::load).transpose()?;
    let mut results =
        Results { out: out(args)?, comparison, edges: args.edges, whole: 0, on_edges: 0 };
    let mut progress = Progress::new(input.total.clone(), args.progress);
    let replay = Replay { offline: Offline::new(config, false)?, coverage, input, stop };
    let begun = SystemClock::new();
    let ended = replay.run(&mut results, &mut progress);
    progress.finish();
    let ended = ended?;
    results.conclude(&ended)?;
    let is_same = results.comparison.as_ref().is_none_or(Comparison::is_same);
    let summary =
        Summary { args, span, ended: &ended, results: &results, elapsed: begun.elapsed() };
    let told = summary.tell();
    Ok(if is_same { told } else { Exit::Differs })
}

fn span(args: &ReplayArgs) -> ProcessorResult<Span> {
    let now_ms = SystemClock::new().now_ms();
    let at = |moment: Option<args::Moment>| moment.map(|moment| moment.at_ms(now_ms));
    let (from_ms, to_ms) = (at(args.from), at(args.to));
    if from_ms.zip(to_ms).is_some_and(|(from, to)| from >= to) {
        return Err(ProcessorError::Config(
            "the range ends before it begins: see --from and --to".into(),
        ));
    }
    Ok((from_ms, to_ms))
}

/// Event times that come of the clock cannot be had again.
fn judge_time(config: &ProcessorConfig) -> ProcessorResult<()> {
    let pipelines = config.pipelines();
    let by_clock = pipelines.iter().find(|one| one.config.event.time == EventTimeKind::Processing);
    by_clock.map_or(Ok(()), |pipeline| {
        Err(ProcessorError::Config(format!(
            "pipeline {}: event.time is processing: the time at which events were read is not recorded, so its \
             windows cannot be had again",
            pipeline.name
        )))
    })
}

/// Which records are needed for the range.
fn wanted(args: &ReplayArgs, span: Span, reaches: &[Reach], coverage: &[Coverage]) -> Wanted {
    if !args.offsets.is_empty() {
        return Wanted::Offsets(args.offsets.clone());
    }
    let warm_up = || reaches.iter().map(|reach| reach.warm_up_ms()).max().unwrap_or_default();
    let earlier_ms = match (args.whole_windows, args.warm_up_secs) {
        (false, _) => 0,
        (true, Some(millis)) => millis,
        (true, None) => warm_up(),
    };
    let from_ms = span.0.map(|from| from.saturating_sub(earlier_ms));
    let until_ms = coverage.iter().filter_map(Coverage::expected_until_ms).max();
    Wanted::Times { from_ms, until_ms }
}

/// Refuses to write where the configuration reads, writes or keeps something.
fn spare(args: &ReplayArgs, config: &ProcessorConfig) -> ProcessorResult<()> {
    let Some(into) = &args.into else { return Ok(()) };
    let same = |other: &Path| real(into) == real(other);
    let own = own_files(config);
    let taken = own.iter().map(PathBuf::as_path).chain(args.compare.as_deref());
    let in_state =
        config.state.as_ref().is_some_and(|state| real(into).starts_with(real(&state.path)));
    match taken.into_iter().find(|path| same(path)) {
        None if !in_state => Ok(()),
        found => {
            let what =
                found.map_or("the folder of the state".into(), |path| path.display().to_string());
            Err(ProcessorError::Config(format!(
                "--into {}: {what} belongs to the configuration or is compared with; a replay writes elsewhere",
                into.display()
            )))
        }
    }
}

/// Files that the configuration reads and writes.
fn own_files(config: &ProcessorConfig) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if let Ok(SourceSpec::File { path, .. }) = config.source() {
        files.push(path);
    }
    for pipeline in config.pipelines() {
        let config = pipeline.config;
        for sink in config.sinks().unwrap_or_default() {
            if let ResultSinkSpec::File { path } = sink {
                files.push(path);
            }
        }
        for side in [config.late_output(), config.dead_letter_output()] {
            if let Ok(Some(SideSinkSpec::File { path })) = side {
                files.push(path);
            }
        }
    }
    files
}

/// The path without links and detours, as far as it exists.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize();
    match (folder, path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => plain_path(path),
    }
}

/// Where results go: the file, else standard output, unless that shows a comparison.
fn out(args: &ReplayArgs) -> ProcessorResult<Option<Out>> {
    if let Some(path) = &args.into {
        let created = File::create(path);
        let file = created.map_err(|cause| ProcessorError::Io {
            action: "create",
            path: path.clone(),
            cause,
        })?;
        return Ok(Some((path.clone(), Box::new(BufWriter::new(file)))));
    }
    let stdout = || -> Box<dyn Write> { Box::new(BufWriter::new(std::io::stdout())) };
    Ok(args.compare.is_none().then(|| ("standard output".into(), stdout())))
}

/// A name for errors, and what is written to.
type Out = (PathBuf, Box<dyn Write>);

/// Writes and compares results.
struct Results {
    out: Option<Out>,
    comparison: Option<Comparison>,
    edges: Edges,
    whole: u64,
    on_edges: u64,
}

impl Taker for Results {
    fn whole(&mut self, result: &EncodedResult) -> ProcessorResult<()> {
        self.whole += 1;
        if let Some(comparison) = &mut self.comparison {
            comparison.take(&result.record);
        }
        self.write(&result.json)
    }

    fn on_edge(&mut self, result: &EncodedResult, edge: Edge) -> ProcessorResult<()> {
        self.on_edges += 1;
        if let Some(comparison) = &mut self.comparison {
            comparison.pass(&result.record.window_id);
        }
        if self.edges == Edges::LeaveOut {
            return Ok(());
        }
        let mut json = serde_json::to_value(&result.record)
            .map_err(|error| ProcessorError::Serialization(error.to_string()))?;
        if let Some(entries) = json.as_object_mut() {
            entries.insert("replay".into(), serde_json::json!({ "edge": edge.as_str() }));
        }
        self.write(json.to_string().as_bytes())
    }
}

impl Results {
    fn write(&mut self, json: &[u8]) -> ProcessorResult<()> {
        let Some((path, out)) = &mut self.out else { return Ok(()) };
        out.write_all(json)
            .and_then(|()| out.write_all(b"\n"))
            .map_err(|cause| ProcessorError::Io { action: "write", path: path.clone(), cause })
    }

    fn conclude(&mut self, ended: &Ended) -> ProcessorResult<()> {
        if let Some((path, out)) = &mut self.out {
            out.flush().map_err(|cause| ProcessorError::Io {
                action: "write",
                path: path.clone(),
                cause,
            })?;
        }
        if ended.by_signal {
            warn!("stopped: windows that were not read to their end are on the edge");
        }
        match &mut self.comparison {
            Some(comparison) => comparison.conclude(&ended.names, &ended.coverage),
            None => Ok(()),
        }
    }
}
