//! The command line: results on standard output, everything else on standard error.

mod args;
mod check;
mod checkpoint;
mod client;
mod demo;
mod exit;
mod explain;
mod health;
mod live_args;
mod logs;
mod output;
mod paint;
pub mod progress;
mod replay;
mod run;
mod shown;
mod signals;
mod tap;
mod test;
mod top;
mod why;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Args, Command, SchemaArgs, SchemaOf};
use exit::{Exit, print};

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            drop(error.print());
            return exit.into();
        }
    };
    logs::start(&args.logs);
    dispatch(args.asked()).into()
}

fn dispatch(command: Option<Command>) -> Exit {
    match command {
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Check(args)) => check::check(&args),
        Some(Command::Checkpoint(args)) => checkpoint::checkpoint(&args),
        Some(Command::Demo(args)) => demo::demo(&args),
        Some(Command::Health(args)) => health::health(&args),
        Some(Command::Why(args)) => why::why(&args),
        Some(Command::Tap(args)) => tap::tap(&args),
        Some(Command::Top(args)) => top::top(&args),
        Some(Command::Explain(args)) => explain::explain(&args),
        Some(Command::Test(args)) => test::test(&args),
        Some(Command::Replay(args)) => replay::replay(&args),
        Some(Command::Schema(args)) => schema(&args),
        Some(Command::Completions(args)) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Args::command(), "processor", &mut script);
            print(&script)
        }
        None => {
            drop(Args::command().print_help());
            Exit::Usage
        }
    }
}

fn schema(args: &SchemaArgs) -> Exit {
    let schema = match args.of {
        SchemaOf::Configuration => llm_optimizer_config::json_schema(),
        SchemaOf::Fixture => llm_optimizer_config::fixture_schema(),
    };
    args.output.answer(&schema, &format!("{schema:#}\n"))
}
