//! A row of the outbox: the output of one commit.
//!
//! ```text
//! version 1 │ pipelines │ per pipeline: name │ results │ late │ dead letters
//! version 2 │ traceparent of the commit │ then as in version 1
//! ```
//! Counts and lengths are `u32`, little-endian; a result is its JSON; a side record is its JSON, then the
//! key and the headers of the original record. That the bytes are the ones that were written is the
//! store's matter. Version 2 is written only where the commit is part of a trace.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use llm_optimizer_types::{ResultRecord, SideRecord};

use crate::{
    commit::Commit,
    error::{ProcessorError, ProcessorResult},
    sink::{EncodedResult, Output, SideOutput},
    trace::TraceContext,
};

const VERSION: u8 = 1;
const VERSION_WITH_TRACE: u8 = 2;

/// The output of one commit, by pipeline, on its way to the sinks.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) sequence: u64,
    /// From which of the outboxes that feed the sink it comes, and its number there. A local store has one, whose
    /// numbers are those of commits.
    pub(crate) place: (usize, u64),
    /// In the order of the run's pipelines.
    pub(crate) outputs: Vec<Arc<Output>>,
    pub(crate) bytes: u64,
}

/// Which parts of an output are kept in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct KeptStreams {
    pub(crate) results: bool,
    pub(crate) late: bool,
    pub(crate) dead_letters: bool,
}

impl KeptStreams {
    const ALL: Self = Self { results: true, late: true, dead_letters: true };

    /// Whether any part is kept at all.
    #[cfg(feature = "kafka")]
    pub(crate) fn any(self) -> bool {
        self.results || self.late || self.dead_letters
    }

    fn of(self, output: &Output) -> (&[EncodedResult], [&[SideOutput]; 2]) {
        let results = if self.results { output.results.as_slice() } else { &[] };
        let late = if self.late { output.late.as_slice() } else { &[] };
        let dead_letters = if self.dead_letters { output.dead_letters.as_slice() } else { &[] };
        (results, [late, dead_letters])
    }
}

impl Entry {
    /// A row with those parts of one pipeline's output that are kept; `None` if there is nothing in them.
    ///
    /// # Errors
    /// [`ProcessorError::Serialization`] if a side record has no JSON form.
    #[cfg(feature = "kafka")]
    pub(crate) fn row_of(
        pipeline: &str,
        output: &Output,
        kept: KeptStreams,
    ) -> ProcessorResult<Option<Vec<u8>>> {
        let (results, [late, dead_letters]) = kept.of(output);
        if results.is_empty() && late.is_empty() && dead_letters.is_empty() {
            return Ok(None);
        }
        let mut row = begin(output.trace.as_ref());
        put_count(&mut row, 1);
        put_pipeline(&mut row, pipeline, output, kept)?;
        Ok(Some(row))
    }

    /// The span of the commit, if it is part of a trace.
    pub(super) fn trace(&self) -> Option<&TraceContext> {
        self.outputs.iter().find_map(|output| output.trace.as_ref())
    }

    /// The output of `commit`, and its row.
    ///
    /// # Errors
    /// [`ProcessorError::Serialization`] if a side record has no JSON form.
    pub(super) fn of(commit: &Commit) -> ProcessorResult<(Self, Vec<u8>)> {
        let row = encode(commit)?;
        let (sequence, outputs) = (commit.sequence, commit.outputs());
        Ok((Self { sequence, place: (0, sequence), outputs, bytes: row.len() as u64 }, row))
    }

    /// The entry that `row` holds, for pipelines of these names.
    ///
    /// # Errors
    /// [`ProcessorError::State`] for a row that cannot be read.
    pub(super) fn read(sequence: u64, row: &[u8], pipelines: &[String]) -> ProcessorResult<Self> {
        Self::decode(sequence, row, pipelines).ok_or_else(|| {
            ProcessorError::State(format!(
                "row {sequence} of the outbox cannot be read; restore a checkpoint, or run with \
                 --new-state"
            ))
        })
    }

    /// The same; `None` for a row that cannot be read.
    pub(crate) fn decode(sequence: u64, row: &[u8], pipelines: &[String]) -> Option<Self> {
        let named = decode(row)?;
        let output = |name: &String| {
            let found = named.iter().find(|(other, _)| other == name);
            found.map(|(_, output)| Arc::clone(output)).unwrap_or_default()
        };
        let outputs = pipelines.iter().map(output).collect();
        Some(Self { sequence, place: (0, sequence), outputs, bytes: row.len() as u64 })
    }
}

fn encode(commit: &Commit) -> ProcessorResult<Vec<u8>> {
    // The commit is one span, whatever the pipeline.
    let trace = commit.pipelines.iter().find_map(|pipeline| pipeline.output.trace.as_ref());
    let mut row = begin(trace);
    put_count(&mut row, commit.pipelines.len());
    for pipeline in &commit.pipelines {
        put_pipeline(&mut row, &pipeline.name, &pipeline.output, KeptStreams::ALL)?;
    }
    Ok(row)
}

fn begin(trace: Option<&TraceContext>) -> Vec<u8> {
    let Some(trace) = trace else { return vec![VERSION] };
    let mut row = vec![VERSION_WITH_TRACE];
    put(&mut row, trace.traceparent().as_bytes());
    row
}

fn put_pipeline(
    row: &mut Vec<u8>,
    name: &str,
    output: &Output,
    kept: KeptStreams,
) -> ProcessorResult<()> {
    put(row, name.as_bytes());
    let (results, sides) = kept.of(output);
    put_count(row, results.len());
    for result in results {
        put(row, &result.json);
    }
    for sides in sides {
        put_count(row, sides.len());
        for side in sides {
            put_side(row, side)?;
        }
    }
    Ok(())
}

fn put_side(row: &mut Vec<u8>, side: &SideOutput) -> ProcessorResult<()> {
    let json = serde_json::to_vec(&side.record)
        .map_err(|error| ProcessorError::Serialization(error.to_string()))?;
    put(row, &json);
    put_optional(row, side.key.as_deref());
    put_count(row, side.headers.len());
    for (name, value) in &side.headers {
        put(row, name.as_bytes());
        put_optional(row, value.as_deref());
    }
    Ok(())
}

fn put_count(row: &mut Vec<u8>, count: usize) {
    row.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn put(row: &mut Vec<u8>, bytes: &[u8]) {
    put_count(row, bytes.len());
    row.extend_from_slice(bytes);
}

fn put_optional(row: &mut Vec<u8>, bytes: Option<&[u8]>) {
    row.push(u8::from(bytes.is_some()));
    put(row, bytes.unwrap_or_default());
}

type Named = Vec<(String, Arc<Output>)>;

fn decode(row: &[u8]) -> Option<Named> {
    let (version, row) = row.split_first()?;
    let mut rest = Rest(row);
    let trace = match *version {
        VERSION => None,
        VERSION_WITH_TRACE => Some(TraceContext::parse(rest.bytes()?, None)?),
        _ => return None,
    };
    let count = rest.count()?;
    let mut named = Vec::new();
    for _ in 0..count {
        let name = String::from_utf8(rest.bytes()?.to_vec()).ok()?;
        let results = rest.many(|rest| result(rest.bytes()?))?;
        let late = rest.many(side)?;
        let dead_letters = rest.many(side)?;
        let output = Output { results, late, dead_letters, trace: trace.clone() };
        named.push((name, Arc::new(output)));
    }
    rest.0.is_empty().then_some(named)
}

fn result(json: &[u8]) -> Option<EncodedResult> {
    let record: ResultRecord = serde_json::from_slice(json).ok()?;
    Some(EncodedResult { record, json: json.to_vec() })
}

fn side(rest: &mut Rest<'_>) -> Option<SideOutput> {
    let record: SideRecord = serde_json::from_slice(rest.bytes()?).ok()?;
    let payload = match (&record.record, &record.record_base64) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(text)) => STANDARD.decode(text).ok()?,
        (None, None) => Vec::new(),
    };
    let (has_key, key) = rest.optional()?;
    let key = has_key.then(|| key.to_vec());
    let headers = rest.many(|rest| {
        let name = String::from_utf8(rest.bytes()?.to_vec()).ok()?;
        let (has_value, value) = rest.optional()?;
        Some((name, has_value.then(|| value.to_vec())))
    })?;
    Some(SideOutput { record, payload, key, headers, judged: None })
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn count(&mut self) -> Option<usize> {
        let bytes = self.take(4)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.count()?;
        self.take(count)
    }

    /// Whether there are bytes, and which.
    fn optional(&mut self) -> Option<(bool, &'a [u8])> {
        let is_there = *self.take(1)?.first()? == 1;
        Some((is_there, self.bytes()?))
    }

    fn many<T>(&mut self, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.count()?;
        (0..count).map(|_| one(self)).collect()
    }
}
