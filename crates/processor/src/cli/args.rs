//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::{
    checkpoint::CheckpointArgs,
    explain::ExplainArgs,
    live_args::{TapArgs, TopArgs, WhyArgs},
    output::OutputArgs,
    replay::ReplayArgs,
    test::TestArgs,
};

const EXAMPLES: &str = "\
Examples:
  processor demo                                     windows over recorded and generated LLM traffic
  processor check processor.yaml                     all faults of a configuration, with their lines
  processor explain --config processor.yaml          what it will do, and where each value comes from
  processor test fixtures                            events in, expected windows out
  processor run --config processor.yaml              run it; results on stdout, logs on stderr
  processor run --config processor.yaml --report r.json --until-end
  PROCESSOR_KAFKA__CONSUMER__GROUP_ID=test processor --config processor.yaml
  processor checkpoint list --config processor.yaml  kept copies of the state
  processor replay --config processor.yaml --from -2h --to -1h   that hour once more
  processor health --url http://127.0.0.1:8080/readyz  whether a running processor is well
  processor why --key service=chat                   why the next window of a running processor has not fired
  processor tap events --rate 5/s --limit 20         samples of what a running processor reads
  processor top                                      watch a running processor
  processor completions bash > /etc/bash_completion.d/processor

Every key of the file can be set by the environment: processor.state.backend is
PROCESSOR_STATE__BACKEND. Exit codes are those of sysexits.h: 0 done, 64 usage, 65 damaged data,
66 no input, 69 service unavailable, 70 internal error, 73 cannot create output, 74 input or output error,
77 no permission, 78 configuration. `test` ends with 1 if something is not as expected and 2 for a fixture
that cannot be used, `replay --compare` with 1 if there is a difference.";

/// Turns streams of LLM feedback events into correct, timely window statistics.
#[derive(Debug, Parser)]
#[command(name = "processor", version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: ShortRun,
    #[command(flatten)]
    pub(super) logs: LogArgs,
}

/// `processor --config F` is `processor run --config F`.
#[derive(Debug, ClapArgs)]
struct ShortRun {
    /// Run this configuration (short for `run --config`)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write the final statistics to this file as JSON
    #[arg(long, value_name = "FILE", requires = "config")]
    report: Option<PathBuf>,
    /// Stop at the end offsets seen at start and fire all windows
    #[arg(long, requires = "config")]
    until_end: bool,
    /// Begin with an empty state; the old one is kept beside it
    #[arg(long, requires = "config")]
    new_state: bool,
}

/// How logs look; they go to standard error.
#[derive(Debug, ClapArgs)]
pub(super) struct LogArgs {
    /// How much is logged: `warn`, `info`, `debug`, or per module: `info,llm_optimizer_processor=debug`
    #[arg(
        long,
        global = true,
        env = "PROCESSOR_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub(super) log: String,
    /// How log lines look
    #[arg(long, global = true, env = "PROCESSOR_LOG_FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,
}

/// Shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum Command {
    /// Run a configuration until its input ends or a signal comes
    Run(RunArgs),
    /// Check a configuration and list all its faults
    Check(CheckArgs),
    /// Show windows over recorded and generated LLM traffic, nothing prepared
    Demo(DemoArgs),
    /// List, check, keep, restore and compare kept copies of the state
    Checkpoint(CheckpointArgs),
    /// Ask a running processor whether it is well; exit code 0 if so, 69 if not
    Health(HealthArgs),
    /// Say why a window of a running processor has not fired, or what holds its watermark back
    Why(WhyArgs),
    /// Sample records, events, results or commits of a running processor as they come
    Tap(TapArgs),
    /// Watch a running processor: throughput, latency, watermarks, keys, sinks
    Top(TopArgs),
    /// Say in plain words what a configuration will do, and where each value comes from
    Explain(ExplainArgs),
    /// Run fixtures: events in, expected windows out; exit code 0, 1 if something differs, 2 for a bad fixture
    Test(TestArgs),
    /// Compute a part of the input once more, beside what runs and without touching it
    Replay(ReplayArgs),
    /// Print a JSON schema: of the configuration, or of fixtures
    Schema(SchemaArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, Clone, ClapArgs)]
pub(super) struct RunArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Write the final statistics to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Stop at the end offsets seen at start and fire all windows
    #[arg(long)]
    pub(super) until_end: bool,
    /// Begin with an empty state; the old one is kept beside it
    #[arg(long)]
    pub(super) new_state: bool,
}

#[derive(Debug, Clone, ClapArgs)]
pub(super) struct CheckArgs {
    /// The configuration
    #[arg(value_name = "FILE")]
    pub(super) config: PathBuf,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Clone, ClapArgs)]
pub(super) struct DemoArgs {
    /// End after this many seconds, counted from the start of the program
    #[arg(long, env = "DEMO_SECS", value_name = "SECONDS")]
    pub(super) secs: Option<f64>,
}

#[derive(Debug, Clone, ClapArgs)]
pub(super) struct HealthArgs {
    /// What to ask; by default /livez at `PROCESSOR_HTTP__BIND`, else at 127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Give up after this many seconds
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS")]
    pub(super) timeout_secs: f64,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// A schema is JSON in either form.
#[derive(Debug, Clone, ClapArgs)]
pub(super) struct SchemaArgs {
    /// Of what
    #[arg(value_enum, default_value = "configuration", value_name = "WHAT")]
    pub(super) of: SchemaOf,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// What has a JSON schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SchemaOf {
    /// The configuration file.
    Configuration,
    /// A fixture of `processor test`.
    Fixture,
}

#[derive(Debug, Clone, ClapArgs)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

impl Args {
    /// What was asked for.
    pub(super) fn asked(self) -> Option<Command> {
        let short = self.run;
        self.command.or_else(|| {
            let (report, until_end, new_state) = (short.report, short.until_end, short.new_state);
            short
                .config
                .map(|config| Command::Run(RunArgs { config, report, until_end, new_state }))
        })
    }
}
