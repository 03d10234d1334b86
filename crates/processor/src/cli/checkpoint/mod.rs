//! `checkpoint`: kept copies of the state of a processor that does not run.

mod args;
mod into_group;
mod online;
mod place;
mod print;
mod restore;

use std::fmt::Write;

use serde_json::json;

pub(super) use args::CheckpointArgs;
use args::{DiffArgs, ListArgs, OneArgs, Verb, VerifyArgs, Which};
use place::Place;

use super::exit::Exit;
use crate::{
    checkpoint::{CheckpointAbout, CheckpointError, CheckpointKind},
    error::ProcessorError,
    source::clock::{Clock, SystemClock},
};

/// Why a verb ends without having done what was asked.
pub(super) struct Failure {
    exit: Exit,
    message: String,
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        let exit = match &error {
            CheckpointError::Unknown { .. } => Exit::NoInput,
            CheckpointError::Damaged { .. } | CheckpointError::Version { .. } => Exit::Data,
            CheckpointError::NotEmpty => Exit::CannotCreate,
            CheckpointError::Processor(error) => exit_of(error),
        };
        Self { exit, message: error.to_string() }
    }
}

impl From<ProcessorError> for Failure {
    fn from(error: ProcessorError) -> Self {
        Self { exit: exit_of(&error), message: error.to_string() }
    }
}

/// A state that cannot be used is broken data here, not a fault of the program.
fn exit_of(error: &ProcessorError) -> Exit {
    match error {
        ProcessorError::State(_) => Exit::Data,
        other => Exit::of_error(other),
    }
}

/// Does what was asked.
pub(super) fn checkpoint(args: &CheckpointArgs) -> Exit {
    let done = match &args.verb {
        Verb::List(args) => list(args),
        Verb::Show(args) => show(args),
        Verb::Verify(args) => verify(args),
        Verb::Create(args) => create(args),
        Verb::Restore(args) => restore::restore(args),
        Verb::Diff(args) => diff(args),
    };
    done.unwrap_or_else(|failure| {
        // Nobody reads standard error: the exit code still tells.
        drop(std::io::Write::write_fmt(
            &mut std::io::stderr().lock(),
            format_args!("{}\n", failure.message),
        ));
        failure.exit
    })
}

fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let listed = Place::of(&args.place)?.checkpoints.list()?;
    Ok(args.output.answer(&print::list_json(&listed), &print::list_text(&listed)))
}

fn show(args: &OneArgs) -> Result<Exit, Failure> {
    let place = Place::of(&args.more.place)?;
    let manifest = place.checkpoints.manifest(place.number(args.id)?)?;
    let json = serde_json::to_value(&manifest).unwrap_or_default();
    Ok(args.more.output.answer(&json, &print::manifest_text(&manifest)))
}

fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    let place = Place::of(&args.more.place)?;
    let ids = match args.id {
        Some(which) => vec![place.number(which)?],
        None => place.checkpoints.list()?.into_iter().map(|listed| listed.id).collect(),
    };
    let (mut exit, mut json, mut text) = (Exit::Ok, Vec::new(), String::new());
    for id in ids {
        let problem = match place.checkpoints.verify(id) {
            Ok(manifest) => {
                writeln!(text, "checkpoint {id}: ok, {} rows", manifest.rows()).unwrap_or_default();
                None
            }
            Err(unknown @ CheckpointError::Unknown { .. }) => return Err(unknown.into()),
            Err(error) => {
                writeln!(text, "{error}").unwrap_or_default();
                let problem = error.to_string();
                exit = exit.or(Failure::from(error).exit);
                Some(problem)
            }
        };
        json.push(json!({ "id": id, "ok": problem.is_none(), "problem": problem }));
    }
    Ok(exit.or(args.more.output.answer(&json.into(), &text)))
}

fn create(args: &ListArgs) -> Result<Exit, Failure> {
    let place = Place::of(&args.place)?;
    let _lock = match (place.lock(), &place.http) {
        (Ok(lock), _) => lock,
        // Somebody uses the state: it can keep the savepoint itself.
        (Err(Failure { exit: Exit::Unavailable, .. }), Some(http)) => {
            let json = online::create(http)?;
            let id = json.get("id").and_then(serde_json::Value::as_u64).unwrap_or_default();
            let text = format!("savepoint {id} kept by the running processor\n");
            return Ok(args.output.answer(&json, &text));
        }
        (Err(failure), _) => return Err(failure),
    };
    let store = place.open_existing()?;
    let view = store.snapshot()?;
    let now_ms = SystemClock::new().now_ms();
    let about = CheckpointAbout::of(&*view, CheckpointKind::Savepoint, now_ms)?;
    let manifest = place.checkpoints.create(&*view, &about)?;
    let json = serde_json::to_value(&manifest).unwrap_or_default();
    let text = format!("savepoint {} kept, {} rows\n", manifest.id, manifest.rows());
    Ok(args.output.answer(&json, &text))
}

fn diff(args: &DiffArgs) -> Result<Exit, Failure> {
    let place = Place::of(&args.more.place)?;
    let difference = place.checkpoints.diff(place.number(args.from)?, place.number(args.to)?)?;
    let json = serde_json::to_value(&difference).unwrap_or_default();
    Ok(args.more.output.answer(&json, &print::difference_text(&difference)))
}

impl Place {
    /// The number of the checkpoint that is meant.
    fn number(&self, which: Which) -> Result<u64, Failure> {
        match which {
            Which::Number(id) => Ok(id),
            Which::Latest => match self.checkpoints.list()?.last() {
                Some(listed) => Ok(listed.id),
                None => Err(self.no_checkpoint()),
            },
        }
    }

    fn no_checkpoint(&self) -> Failure {
        let folder = self.checkpoints.path().display();
        Failure { exit: Exit::NoInput, message: format!("there is no checkpoint in {folder}") }
    }
}
