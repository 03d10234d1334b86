//! Records become events: time, key and values by dotted path, without building a document.
//!
//! [`Decoder::decode`] turns a [`RecordBatch`] into an [`EventBatch`] and a [`DecodeOutcome`]. Every
//! record ends in exactly one of three: an event with a key, a filtered record (it only moves the
//! watermark), or a [`Reject`] that becomes a dead letter. What is judged, and in which order:
//!
//! 1. size (`record_too_large`), then the whole document (`invalid_json`);
//! 2. what the profile needs to know the record by;
//! 3. its time (`missing_field`, `invalid_timestamp`, `timestamp_out_of_range`, `future_timestamp`);
//! 4. key, then values (`missing_field`, `invalid_key`, `invalid_value`); a dead letter outranks the
//!    filter.
//!
//! What further statistics need (`features`) is looked at last and refuses nothing.
//!
//! A record is one JSON object (RFC 8259; a byte order mark before it is passed over, the last of
//! several equal names counts, at most 128 levels) or one CSV record. Of a JSON record only the wanted fields are
//! kept, but all of it is checked. Nothing here reads a clock, logs or allocates per event, other
//! than for rejects and for wanted texts with escapes.

mod contract;
mod csv;
mod features;
mod feedback;
mod field;
mod found;
mod guard;
mod json;
mod layout;
mod outcome;
mod path;
mod plan;
mod profile;
mod settings;
#[cfg(test)]
mod tests;
mod timestamp;

use llm_optimizer_config::settings::EventTimeKind;
use llm_optimizer_engine::core::{EventBatch, EventTime, FeatureShape};
use llm_optimizer_types::SideReason;

pub use contract::Decode;
pub use features::FeatureSettings;
pub use outcome::{DecodeOutcome, Reject};
pub use settings::DecodeSettings;

pub(crate) use guard::FutureGuard;
pub(crate) use outcome::Fault;
pub(crate) use profile::DEFAULT_VALUE_NAME;
pub(crate) use timestamp::rfc3339;

use crate::record::{RecordBatch, RecordFormat, RecordSpan};
use csv::CsvColumns;
use found::Found;
use layout::Layout;
use plan::{Fate, Scratch};

/// Turns records into events.
///
/// ```
/// # use std::sync::Arc;
/// use llm_optimizer_config::settings::{EventConfig, EventProfile, LimitsConfig, WatermarkConfig};
/// use llm_optimizer_engine::core::{EventBatch, PartitionId};
/// use llm_optimizer_processor::decode::{DecodeOutcome, DecodeSettings, Decoder};
/// use llm_optimizer_processor::record::{PartitionOrigin, RecordBatch, RecordFormat, SourceKind};
///
/// let event = EventConfig {
///     profile: EventProfile::Custom,
///     key: Some(vec!["service".into()]),
///     ..EventConfig::default()
/// };
/// let limits = LimitsConfig::default();
/// let settings = DecodeSettings::from_config(&event, &limits, &WatermarkConfig::default(), false);
/// let mut decoder = Decoder::new(settings);
/// # let (id, kind) = (PartitionId(0), SourceKind::Stdin);
/// # let origin = Arc::new(PartitionOrigin { id, kind, name: "stdin".into(), partition: 0 });
/// let mut records = RecordBatch::new(origin, RecordFormat::Json, 0);
/// records.push(br#"{"timestamp":"2026-01-01T00:00:00Z","service":"chat"}"#, 0, Some(1));
/// records.push(b"{", 54, Some(2));
///
/// let mut events = EventBatch::new(decoder.value_names().len());
/// let mut outcome = DecodeOutcome::default();
/// decoder.decode(&records, 0, &mut events, &mut outcome);
/// assert_eq!(events.keys().next().map(|(_, key)| key), Some("service=chat"));
/// assert_eq!(outcome.rejects[0].record, 1);
/// ```
#[derive(Debug)]
pub struct Decoder {
    settings: DecodeSettings,
    layout: Layout,
    columns: Option<CsvColumns>,
    scratch: Scratch,
}

impl Decoder {
    /// A decoder for records as `settings` describe them.
    #[must_use]
    pub fn new(settings: DecodeSettings) -> Self {
        let layout = profile::layout(&settings);
        Self { settings, layout, columns: None, scratch: Scratch::default() }
    }

    /// Names of the values of an event, in order. One value needs no prefix in results; of several
    /// each statistic is `<name>_<statistic>`.
    #[must_use]
    pub fn value_names(&self) -> &[String] {
        &self.layout.value_names
    }

    /// What batches of its events have beside values.
    #[must_use]
    pub fn feature_shape(&self) -> FeatureShape {
        self.settings.features.shape()
    }

    /// Decodes `batch` into `events` and `outcome`; both are cleared first.
    ///
    /// `now_ms` is the clock in epoch milliseconds: the time of events in processing time, and the
    /// reference of the future guard where the log has none. `events` must have been made for
    /// [`value_names`](Self::value_names)`.len()` values.
    pub fn decode(
        &mut self,
        batch: &RecordBatch,
        now_ms: i64,
        events: &mut EventBatch,
        outcome: &mut DecodeOutcome,
    ) {
        events.clear();
        outcome.clear();
        if let RecordFormat::Csv { columns, delimiter } = &batch.format {
            CsvColumns::refresh(&mut self.columns, columns, *delimiter, &self.layout.trie);
        }
        let Self { settings, layout, columns, scratch } = self;
        let (columns, guard) = (columns.as_ref(), FutureGuard::new(settings));
        let reader = Reader { settings, layout, columns, guard, batch, now_ms };
        let is_csv = matches!(batch.format, RecordFormat::Csv { .. });
        let mut found = Vec::new();
        found.resize_with(layout.trie.slots(), Found::default);
        for (number, record) in (0..).zip(&batch.records) {
            match reader.read(record, &mut found, scratch) {
                Ok((at, Fate::Keep)) => {
                    events.push(number, at, scratch.key.as_str(), &scratch.values);
                    layout.features.describe(&found, is_csv, events);
                }
                Ok((at, Fate::Filter)) => {
                    events.push_time_only(number, at);
                    outcome.filtered += 1;
                }
                Err(fault) => outcome.reject(number, fault),
            }
        }
    }
}

/// What stays the same for all records of a batch.
struct Reader<'d, 'a> {
    settings: &'d DecodeSettings,
    layout: &'d Layout,
    columns: Option<&'d CsvColumns>,
    guard: FutureGuard,
    batch: &'a RecordBatch,
    now_ms: i64,
}

impl<'a> Reader<'_, 'a> {
    /// Judges one record; key and values are left in `scratch`.
    fn read(
        &self,
        record: &RecordSpan,
        found: &mut [Found<'a>],
        scratch: &mut Scratch,
    ) -> Result<(EventTime, Fate), Fault> {
        self.capture(record, found)?;
        let is_csv = matches!(self.batch.format, RecordFormat::Csv { .. });
        let plan = self.layout.plan(found)?;
        let at = match self.settings.time {
            EventTimeKind::Event => {
                let at = plan.time.instant(found, self.settings.timestamp_unit, is_csv)?;
                self.guard.check(at, record.append_time_ms, self.now_ms)?;
                at
            }
            EventTimeKind::Ingestion => {
                clock_time(record.append_time_ms.unwrap_or(self.batch.received_ms))?
            }
            EventTimeKind::Processing => clock_time(self.now_ms)?,
        };
        Ok((at, plan.fill(found, is_csv, scratch)?))
    }

    fn capture(&self, record: &RecordSpan, found: &mut [Found<'a>]) -> Result<(), Fault> {
        let bytes = self.batch.bytes(&record.payload);
        let limit = self.settings.max_record_bytes;
        if bytes.len() > limit {
            let detail =
                format!("the record is longer than {limit} bytes; only its beginning is kept");
            return Err(Fault::new(SideReason::RecordTooLarge, detail));
        }
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let detail = format!("not UTF-8 at column {}", e.valid_up_to() + 1);
            Fault::new(SideReason::InvalidJson, detail)
        })?;
        found.fill_with(Found::default);
        match self.columns {
            Some(columns) if matches!(self.batch.format, RecordFormat::Csv { .. }) => {
                columns.read(text, found)
            }
            _ => json::read(text, &self.layout.trie, found),
        }
    }
}

fn clock_time(millis: i64) -> Result<EventTime, Fault> {
    EventTime::new(millis).map_err(|e| Fault::new(SideReason::TimestampOutOfRange, e.to_string()))
}
