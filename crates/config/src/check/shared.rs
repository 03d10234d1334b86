//! Files, topics and standard output that are used twice.
//!
//! Pipelines may share an output of one kind: each result says whose it is. Results, late events and
//! dead letters of one place could not be told apart, and what is read must not be written.

use std::path::PathBuf;

use super::{Checks, outputs::outputs, topics};
use crate::resolved::plain_path;
use crate::settings::{ConsoleFormat, SinkType, SourceType};

/// What an output carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Input,
    Results,
    Late,
    DeadLetters,
}

/// A place that is taken, and by whom.
struct Taken<T> {
    /// Index of the pipeline.
    pipeline: usize,
    key: String,
    role: Role,
    place: T,
}

impl Role {
    pub(super) fn of(key: &str) -> Self {
        if key.starts_with("side_outputs.late") {
            Self::Late
        } else if key.starts_with("side_outputs.") || key.starts_with("error_handling.") {
            Self::DeadLetters
        } else {
            Self::Results
        }
    }
}

/// Looks at the outputs of all pipelines together.
pub(super) fn check(pipelines: &mut [Checks<'_>]) {
    files(pipelines);
    topics(pipelines);
    consoles(pipelines);
    servers(pipelines);
}

/// The first use that stands in the way of a second: any within a pipeline, of several those of
/// another kind.
fn twin<T>(
    taken: &[Taken<T>],
    pipeline: usize,
    role: Role,
    same: impl Fn(&T) -> bool,
) -> Option<&Taken<T>> {
    taken.iter().find(|t| (t.pipeline == pipeline || t.role != role) && same(&t.place))
}

/// What to call a use that is in the way, and its key if it is of the same pipeline.
fn shown<T>(taken: &Taken<T>, pipeline: usize, all: &[Checks<'_>]) -> (String, Vec<String>) {
    if taken.pipeline == pipeline {
        return (taken.key.clone(), vec![taken.key.clone()]);
    }
    let path = all.get(taken.pipeline).map(|checks| checks.place(&taken.key, &[]).0);
    (path.unwrap_or_default().trim_start_matches("processor.").to_owned(), Vec::new())
}

fn files(pipelines: &mut [Checks<'_>]) {
    let source = pipelines.first().and_then(|checks| checks.config.source.as_ref());
    let source = source.filter(|source| source.kind == SourceType::File);
    let mut taken: Vec<Taken<PathBuf>> = source
        .and_then(|source| source.path.as_deref())
        .map(|path| Taken {
            pipeline: 0,
            key: "source.path".into(),
            role: Role::Input,
            place: plain_path(path),
        })
        .into_iter()
        .collect();
    for pipeline in 0..pipelines.len() {
        let all = pipelines.get(pipeline).map(|checks| outputs(checks)).unwrap_or_default();
        for (key, sink, _) in all {
            let path = sink.path.as_deref().filter(|_| sink.kind == SinkType::File).map(plain_path);
            let Some(place) = path.filter(|path| !path.as_os_str().is_empty()) else { continue };
            let (role, key) = (Role::of(&key), format!("{key}.path"));
            if let Some(twin) = twin(&taken, pipeline, role, |other| *other == place) {
                let (other, others) = shown(twin, pipeline, pipelines);
                let file = place.display();
                let message = if twin.role == Role::Input {
                    format!("`{file}` is the file the source reads: it would be overwritten")
                } else {
                    format!("`{file}` is also written by {other}")
                };
                conflict(pipelines, pipeline, &key, &others, message, "give each its own file");
            }
            taken.push(Taken { pipeline, key, role, place });
        }
    }
}

fn topics(pipelines: &mut [Checks<'_>]) {
    let mut taken: Vec<Taken<topics::Output>> = Vec::new();
    for pipeline in 0..pipelines.len() {
        let all = pipelines.get(pipeline).map(topics::output_topics).unwrap_or_default();
        for place in all {
            let (role, key) = (Role::of(&place.key), place.key.clone());
            if let Some(twin) = twin(&taken, pipeline, role, |other| other.is_same_as(&place)) {
                let (other, mut others) = shown(twin, pipeline, pipelines);
                others.push("sinks".into());
                let message = format!("`{}` is also written by {other}", place.topic);
                conflict(pipelines, pipeline, &key, &others, message, "give each its own topic");
            }
            taken.push(Taken { pipeline, key, role, place });
        }
    }
}

/// Kind, address and table.
type Server = (SinkType, Option<String>, Option<String>);

/// A table, or a WebSocket server, that one pipeline writes twice: each result would be there twice.
fn servers(pipelines: &mut [Checks<'_>]) {
    let mut taken: Vec<Taken<Server>> = Vec::new();
    for pipeline in 0..pipelines.len() {
        let all = pipelines.get(pipeline).map(|checks| outputs(checks)).unwrap_or_default();
        let all = all.into_iter().filter(|(_, sink, is_side)| {
            !is_side && matches!(sink.kind, SinkType::Postgres | SinkType::Websocket)
        });
        for (key, sink, _) in all {
            let place = (sink.kind, sink.url.clone(), sink.table.clone());
            let key =
                if sink.table.is_some() { format!("{key}.table") } else { format!("{key}.url") };
            let role = Role::Results;
            if let Some(twin) = twin(&taken, pipeline, role, |other| *other == place) {
                let (other, others) = shown(twin, pipeline, pipelines);
                let message = format!("the same place is also written by {other}");
                conflict(pipelines, pipeline, &key, &others, message, "remove one of them");
            }
            taken.push(Taken { pipeline, key, role, place });
        }
    }
}

/// Standard output has one form.
fn consoles(pipelines: &mut [Checks<'_>]) {
    let mut first: Option<(usize, String, Option<ConsoleFormat>)> = None;
    for pipeline in 0..pipelines.len() {
        let all = pipelines.get(pipeline).map(|checks| outputs(checks)).unwrap_or_default();
        for (key, sink, _) in all.into_iter().filter(|(_, sink, _)| sink.kind == SinkType::Console)
        {
            match &first {
                Some((other, of, format)) if *other != pipeline && *format != sink.format => {
                    let taken =
                        Taken { pipeline: *other, key: of.clone(), role: Role::Results, place: () };
                    let (other, _) = shown(&taken, pipeline, pipelines);
                    let message = format!("standard output has another format in {other}");
                    let (key, help) = (format!("{key}.format"), "write the same format in both");
                    conflict(pipelines, pipeline, &key, &[], message, help);
                }
                Some(_) => {}
                None => first = Some((pipeline, key, sink.format)),
            }
        }
    }
}

fn conflict(
    pipelines: &mut [Checks<'_>],
    pipeline: usize,
    key: &str,
    others: &[String],
    message: String,
    help: &str,
) {
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    if let Some(checks) = pipelines.get_mut(pipeline) {
        checks.conflict(key, &others, message, help);
    }
}
