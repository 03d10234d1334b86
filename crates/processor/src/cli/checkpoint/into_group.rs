//! `checkpoint restore` where Kafka keeps the state: the checkpoint becomes the state of a group that is new.

#[cfg(feature = "kafka")]
use std::fmt::Write;

use super::{Exit, Failure, args::RestoreArgs, place::Place};

/// Restores into the group of the configuration.
#[cfg(feature = "kafka")]
pub(super) fn restore(args: &RestoreArgs, place: &Place) -> Result<Exit, Failure> {
    use super::restore::wanted;
    let usage = |message: &str| Failure { exit: Exit::Usage, message: message.into() };
    let Some(config) = &place.config else {
        return Err(usage(
            "the checkpoint is of a state on Kafka: --config must name the group that it goes to, --checkpoints may say where it is",
        ));
    };
    if args.replace {
        return Err(usage(
            "--replace is for states in a local folder: on Kafka a checkpoint is restored into a group that is new, so nothing \
             is given up",
        ));
    }
    let mut text = String::new();
    let manifest = wanted(place, args.id, &mut text)?;
    let done = crate::runtime::restore_into_group(config, &place.checkpoints, &manifest)?;
    let (id, from, group) = (manifest.id, &done.from_group, &done.group);
    let (rows, transactions) = (done.rows, done.transactions);
    let told = if done.was_done {
        writeln!(text, "checkpoint {id} of group {from} is the state of group {group} already")
    } else {
        writeln!(
            text,
            "checkpoint {id} of group {from} restored into group {group}, {rows} rows in {transactions} transactions"
        )
    };
    told.unwrap_or_default();
    let positions = done.positions.iter().map(|((topic, partition), position)| {
        serde_json::json!({ "topic": topic, "partition": partition, "position": position })
    });
    let mut json = serde_json::json!({
        "restored": id,
        "from_group": from,
        "group": group,
        "was_done": done.was_done,
        "rows": rows,
        "transactions": transactions,
        "positions": positions.collect::<Vec<_>>(),
    });
    // Which state an earlier restore has made is not looked up.
    if !done.was_done
        && let Some(fields) = json.as_object_mut()
    {
        fields.insert("state".into(), done.state.into());
        fields.insert("changelogs".into(), done.changelogs.into());
    }
    Ok(args.more.output.answer(&json, &text))
}

/// This build knows no Kafka.
#[cfg(not(feature = "kafka"))]
pub(super) fn restore(_: &RestoreArgs, _: &Place) -> Result<Exit, Failure> {
    let message = "the state is on Kafka, and this build is without it (feature `kafka`)".into();
    Err(Failure { exit: Exit::Config, message })
}

#[cfg(feature = "kafka")]
impl From<crate::kafka::GroupRestoreError> for Failure {
    fn from(error: crate::kafka::GroupRestoreError) -> Self {
        use crate::kafka::GroupRestoreError as Error;
        let exit = match error {
            Error::Checkpoint(error) => return error.into(),
            Error::Processor(error) => return error.into(),
            Error::NotOfKafka | Error::NoCommit => Exit::Data,
            Error::Configuration { .. } | Error::Topics { .. } => Exit::Config,
            Error::HasOffsets { .. } => Exit::CannotCreate,
            Error::Input { .. } => Exit::NoInput,
            Error::Transaction(ref failure) if failure.is_denied() => Exit::NoPermission,
            _ => Exit::Unavailable,
        };
        Self { exit, message: error.to_string() }
    }
}
