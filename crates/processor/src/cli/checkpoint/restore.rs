//! `checkpoint restore`: the state of another time in the place of what is there.
//!
//! A mark in the folder keeps every processor out from before the first change until the last row is
//! synced; a restore that was interrupted is run again.

use std::{fmt::Write, path::PathBuf, sync::Arc};

use llm_optimizer_config::settings::StateBackendName;
use serde_json::json;

use super::{
    Exit, Failure,
    args::{RestoreArgs, Which},
    into_group,
    place::Place,
};
use crate::{
    checkpoint::{CheckpointAbout, CheckpointKind, Manifest, is_empty},
    commit::embedded::begin_another_lineage,
    error::ProcessorError,
    source::clock::{Clock, SystemClock},
    state::{
        Durability, Store, StoreError, WriteBatch, backend_in, begin_restore, end_restore,
        half_restored, move_aside, open_unchecked,
    },
};

/// What became of the state that was there.
enum Before {
    Nothing,
    /// Kept as this savepoint.
    Savepoint(u64),
    /// Could not be read, and was moved here.
    MovedTo(PathBuf),
    /// A part of a restore that was interrupted.
    HalfRestored,
}

pub(super) fn restore(args: &RestoreArgs) -> Result<Exit, Failure> {
    let place = Place::of(&args.more.place)?;
    if place.is_copy {
        return into_group::restore(args, &place);
    }
    if place.backend == StateBackendName::Memory {
        let message = "state.backend is memory: there is nothing to restore into".into();
        return Err(Failure { exit: Exit::Config, message });
    }
    let mut text = String::new();
    let manifest = wanted(&place, args.id, &mut text)?;
    let _lock = place.lock()?;
    let before = make_room(&place, args, manifest.id)?;
    begin_restore(&place.folder, manifest.id)?;
    let store = open_unchecked(place.backend, &place.folder)?;
    clear(&store)?;
    place.checkpoints.restore(manifest.id, &*store)?;
    begin_another_lineage(&*store)?;
    drop(store);
    end_restore(&place.folder)?;

    text += &before.told();
    let rows = manifest.rows();
    writeln!(text, "checkpoint {} restored, {rows} rows", manifest.id).unwrap_or_default();
    let json = json!({ "restored": manifest.id, "rows": rows, "before": before.told().trim_end() });
    Ok(args.more.output.answer(&json, &text))
}

/// The checkpoint, every byte of it checked; `latest` is the newest one that is whole.
pub(super) fn wanted(place: &Place, which: Which, text: &mut String) -> Result<Manifest, Failure> {
    match which {
        Which::Number(id) => Ok(place.checkpoints.verify(id)?),
        Which::Latest => {
            let newest = place.checkpoints.newest_valid()?;
            for passed in &newest.damaged {
                writeln!(text, "passed over: {}", passed.error).unwrap_or_default();
            }
            newest.manifest.ok_or_else(|| {
                let mut failure = place.no_checkpoint();
                if !text.is_empty() {
                    failure.message = format!("no checkpoint is whole\n{}", text.trim_end());
                    failure.exit = Exit::Data;
                }
                failure
            })
        }
    }
}

/// Sees to it that nothing is lost by giving up the state that is there.
fn make_room(place: &Place, args: &RestoreArgs, id: u64) -> Result<Before, Failure> {
    let interrupted = half_restored(&place.folder)?;
    if backend_in(&place.folder).is_none() {
        return Ok(Before::Nothing);
    }
    let store = match open_unchecked(place.backend, &place.folder) {
        Ok(store) => store,
        Err(error) => return move_away(place, args, id, error),
    };
    if interrupted.is_some() {
        // What is there is a part of a checkpoint; what was there before is kept already.
        return Ok(Before::HalfRestored);
    }
    if is_empty(&*store)? {
        return Ok(Before::Nothing);
    }
    if !args.replace {
        return Err(refused(place, "holds state"));
    }
    match savepoint(place, &store) {
        Ok(manifest) => Ok(Before::Savepoint(manifest.id)),
        Err(error) => {
            drop(store);
            move_away(place, args, id, error)
        }
    }
}

fn savepoint(place: &Place, store: &Arc<dyn Store>) -> Result<Manifest, ProcessorError> {
    let view = store.snapshot()?;
    let now_ms = SystemClock::new().now_ms();
    let about = CheckpointAbout::of(&*view, CheckpointKind::Savepoint, now_ms)?;
    Ok(place.checkpoints.create(&*view, &about)?)
}

/// Moves a store that cannot be read out of the way.
fn move_away(
    place: &Place,
    args: &RestoreArgs,
    id: u64,
    error: ProcessorError,
) -> Result<Before, Failure> {
    let is_ours_to_move = matches!(
        &error,
        ProcessorError::Store(store) if store.is_damage() || matches!(store, StoreError::Foreign { .. })
    );
    if !is_ours_to_move {
        return Err(error.into());
    }
    if !args.replace {
        return Err(refused(place, &format!("holds a state that cannot be read ({error})")));
    }
    // From here on a processor that is started must not begin with nothing.
    begin_restore(&place.folder, id)?;
    let moved = move_aside(place.backend, &place.folder, SystemClock::new().now_ms())?;
    Ok(moved.map_or(Before::Nothing, Before::MovedTo))
}

fn refused(place: &Place, what: &str) -> Failure {
    let folder = place.folder.display();
    let message = format!(
        "{folder} {what}; with --replace it is given up, after a savepoint of it or, where it cannot \
         be read, moved aside"
    );
    Failure { exit: Exit::CannotCreate, message }
}

/// Empties the store: what is worth keeping of it is kept.
fn clear(store: &Arc<dyn Store>) -> Result<(), Failure> {
    let mut all = WriteBatch::default();
    all.delete_range(&[], &[u8::MAX; 64]);
    store.write(&all, Durability::Buffered)?;
    Ok(())
}

impl Before {
    fn told(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Savepoint(id) => format!("the state before is kept as savepoint {id}\n"),
            Self::MovedTo(path) => format!("the state before is kept in {}\n", path.display()),
            Self::HalfRestored => "a restore that was interrupted is replaced\n".into(),
        }
    }
}
