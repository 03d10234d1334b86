//! What a decoder needs to know, as validated values.

use llm_optimizer_config::settings::{
    EventConfig, EventProfile, EventTimeKind, LimitsConfig, Secs, TimestampUnit, WatermarkConfig,
};

use super::features::FeatureSettings;

/// Guard against times in the future where `watermark.max_future_skew_secs` is not set.
const DEFAULT_FUTURE_SKEW_MS: i64 = 300_000;

/// How records become events.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeSettings {
    /// What the records look like.
    pub profile: EventProfile,
    /// Which time an event has.
    pub time: EventTimeKind,
    /// Dotted path of the event time; `None` = the profile's.
    pub timestamp: Option<String>,
    /// Unit of numeric timestamps; `None` = numbers are no timestamps.
    pub timestamp_unit: Option<TimestampUnit>,
    /// Dotted paths of the key fields; `None` = the profile's, empty = one key `""`.
    pub key: Option<Vec<String>>,
    /// Name and dotted path of each value; `None` = the profile's, empty = events are only counted.
    pub values: Option<Vec<(String, String)>>,
    /// Longer records are rejected.
    pub max_record_bytes: usize,
    /// How much later than its reference time an event may be; `None` = no guard.
    pub future_skew_ms: Option<i64>,
    /// Whether the clock is the reference of a record without append time.
    pub clock_is_reference: bool,
    /// What further statistics need beside key and values.
    pub features: FeatureSettings,
}

impl DecodeSettings {
    /// The settings in a validated configuration.
    ///
    /// `live` says that the source delivers records about when they happen (Kafka, the generator);
    /// files, standard input and bounded reads are not live: there the clock is the reference of
    /// the future guard only if `max_future_skew_secs` is set.
    #[must_use]
    pub fn from_config(
        event: &EventConfig,
        limits: &LimitsConfig,
        watermark: &WatermarkConfig,
        live: bool,
    ) -> Self {
        let skew_ms = watermark.max_future_skew_secs.map(Secs::as_millis);
        Self {
            profile: event.profile,
            time: event.time,
            timestamp: event.timestamp.clone(),
            timestamp_unit: event.timestamp_unit,
            key: event.key.clone(),
            values: event.values.as_ref().map(|values| values.0.clone()),
            max_record_bytes: usize::try_from(limits.max_record_bytes).unwrap_or(usize::MAX),
            future_skew_ms: Some(skew_ms.unwrap_or(DEFAULT_FUTURE_SKEW_MS)),
            clock_is_reference: live || skew_ms.is_some(),
            features: FeatureSettings::default(),
        }
    }
}
