//! What is committed beside an offset: from where W(p) goes on, and whose commit it was.
//!
//! Text in base64 without padding, because Kafka keeps text there. The bytes: a mark, the version, the number of the
//! commit, the fingerprint, the process, the instance, the progress of each pipeline, and the first four bytes of their XXH3 hash. Times are
//! written as distances from the one before, so the text stays below 300 bytes for 16 pipelines whose
//! events have one time.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use uuid::Uuid;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::wire::{Malformed, Wire, put_bytes, put_i64, put_u64};
use crate::commit::kafka::{CommitMetadata, METADATA_VERSION, Progress};

/// Most pipelines whose progress fits beside an offset.
pub const MAX_PIPELINES: usize = 16;

/// Longest text the broker takes by default (`offset.metadata.max.bytes`).
const MAX_TEXT_BYTES: usize = 4_096;

/// Told apart from what other programs write there.
const MARK: u8 = 0xb7;
/// Offsets of a group's first state; those of a later one say which, since version 2.
const FIRST_VERSION: u8 = METADATA_VERSION;
const VERSION: u8 = 2;
const CHECKSUM_BYTES: usize = 4;
/// A longer instance id is kept as its hash.
const MAX_ID_BYTES: usize = 16;

/// What is committed beside the offset of one input partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetMetadata {
    /// Number of the commit of this partition, one more each time.
    pub commit_seq: u64,
    /// Hash of what makes results comparable: keys, windows, aggregations.
    pub fingerprint: u64,
    /// Who committed.
    pub instance: InstanceTag,
    /// Random number of the process that committed.
    pub incarnation: u64,
    /// Number of the state the position belongs to; 0 unless a state was begun beside another.
    pub generation: u32,
    /// W(p) and what belongs to it, for each pipeline in the order of the configuration.
    pub pipelines: Vec<OffsetProgress>,
}

/// Progress of one pipeline in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OffsetProgress {
    /// W(p) in epoch milliseconds; `None` before the first event.
    pub watermark: Option<i64>,
    /// Greatest event time in epoch milliseconds.
    pub greatest_time: Option<i64>,
    /// Whether the partition was idle.
    pub is_idle: bool,
}

/// An instance id, short: a UUID as it is, text up to 16 bytes as it is, longer text as its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceTag(Tag);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tag {
    Uuid([u8; 16]),
    Text(String),
    Hash([u8; 16]),
}

/// Why the text beside an offset cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OffsetMetadataError {
    /// Another program committed.
    #[error(
        "{found:?} is not ours: another program committed for this group; give this one a group_id of its own, or \
         remove the committed offsets"
    )]
    Foreign {
        /// The beginning of what was found.
        found: String,
    },
    /// A later release committed.
    #[error(
        "version {version} was written by a later release; this one reads up to {VERSION}: run the later release"
    )]
    Newer {
        /// Its version.
        version: u8,
    },
    /// It is ours and cannot be read.
    #[error("it is damaged: {found:?}")]
    Damaged {
        /// What was found.
        found: String,
    },
    /// It would not fit.
    #[error(
        "{pipelines} pipelines take {bytes} bytes; at most {MAX_PIPELINES} pipelines and {MAX_TEXT_BYTES} bytes fit"
    )]
    TooLong {
        /// How many there are.
        pipelines: usize,
        /// Length of the text.
        bytes: usize,
    },
}

impl OffsetMetadata {
    /// The text to commit.
    ///
    /// # Errors
    /// [`OffsetMetadataError::TooLong`] with more than [`MAX_PIPELINES`] pipelines.
    ///
    /// ```
    /// use llm_optimizer_processor::kafka::{InstanceTag, OffsetMetadata, OffsetProgress};
    /// let progress = OffsetProgress { watermark: Some(1_000), greatest_time: Some(6_000), is_idle: false };
    /// let metadata = OffsetMetadata { commit_seq: 7, fingerprint: 42, instance: InstanceTag::of("a"), incarnation: 5, generation: 0, pipelines: vec![progress] };
    /// let text = metadata.encode()?;
    /// assert_eq!(OffsetMetadata::decode(&text)?, metadata);
    /// # Ok::<(), llm_optimizer_processor::kafka::OffsetMetadataError>(())
    /// ```
    pub fn encode(&self) -> Result<String, OffsetMetadataError> {
        let mut bytes = vec![MARK];
        if self.generation == 0 {
            bytes.push(FIRST_VERSION);
        } else {
            bytes.push(VERSION);
            put_u64(&mut bytes, u64::from(self.generation));
        }
        put_u64(&mut bytes, self.commit_seq);
        bytes.extend_from_slice(&self.fingerprint.to_le_bytes());
        bytes.extend_from_slice(&self.incarnation.to_le_bytes());
        self.instance.put(&mut bytes);
        put_u64(&mut bytes, self.pipelines.len() as u64);
        let mut last = 0;
        for progress in &self.pipelines {
            progress.put(&mut bytes, &mut last);
        }
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        let text = STANDARD_NO_PAD.encode(&bytes);
        if self.pipelines.len() > MAX_PIPELINES || text.len() > MAX_TEXT_BYTES {
            let (pipelines, bytes) = (self.pipelines.len(), text.len());
            return Err(OffsetMetadataError::TooLong { pipelines, bytes });
        }
        Ok(text)
    }

    /// Reads what was committed.
    ///
    /// # Errors
    /// [`OffsetMetadataError::Foreign`], `Newer` or `Damaged`.
    pub fn decode(text: &str) -> Result<Self, OffsetMetadataError> {
        let short = || text.chars().take(40).collect::<String>();
        let foreign = || OffsetMetadataError::Foreign { found: short() };
        let damaged = |_| OffsetMetadataError::Damaged { found: short() };
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| foreign())?;
        let mut wire = Wire::new(&bytes);
        if wire.byte() != Ok(MARK) {
            return Err(foreign());
        }
        let version = wire.byte().map_err(damaged)?;
        if version > VERSION {
            return Err(OffsetMetadataError::Newer { version });
        }
        let end = bytes.len().saturating_sub(CHECKSUM_BYTES);
        let Some((body, sum)) = bytes.split_at_checked(end) else { return Err(damaged(Malformed)) };
        if sum != checksum(body) {
            return Err(damaged(Malformed));
        }
        let mut wire = Wire::new(body.get(2..).unwrap_or_default());
        let metadata = Self::take(&mut wire, version).map_err(damaged)?;
        wire.end().map_err(damaged)?;
        Ok(metadata)
    }

    fn take(wire: &mut Wire<'_>, version: u8) -> Result<Self, Malformed> {
        let generation = match version {
            0 => return Err(Malformed),
            FIRST_VERSION => 0,
            _ => u32::try_from(wire.u64()?).map_err(|_| Malformed)?,
        };
        let commit_seq = wire.u64()?;
        let fingerprint = u64::from_le_bytes(wire.array()?);
        let incarnation = u64::from_le_bytes(wire.array()?);
        let instance = InstanceTag::take(wire)?;
        let count = usize::try_from(wire.u64()?).map_err(|_| Malformed)?;
        if count > MAX_PIPELINES {
            return Err(Malformed);
        }
        let mut last = 0;
        let pipelines =
            (0..count).map(|_| OffsetProgress::take(wire, &mut last)).collect::<Result<_, _>>()?;
        Ok(Self { commit_seq, fingerprint, instance, incarnation, generation, pipelines })
    }
}

impl OffsetMetadata {
    /// What the machine of commits says about one partition.
    #[must_use]
    pub fn of(metadata: &CommitMetadata) -> Self {
        let Progress { watermarks, greatest_time, is_idle } = &metadata.progress;
        let (greatest_time, is_idle) = (*greatest_time, *is_idle);
        let progress = |watermark: &Option<i64>| OffsetProgress {
            watermark: *watermark,
            greatest_time,
            is_idle,
        };
        Self {
            commit_seq: metadata.commit_seq,
            fingerprint: metadata.fingerprint,
            instance: InstanceTag::of(&metadata.instance_id),
            incarnation: metadata.incarnation,
            generation: 0,
            pipelines: watermarks.iter().map(progress).collect(),
        }
    }

    /// The same for the machine; `own_id` stands for its own tag, which may be a hash.
    #[must_use]
    pub fn for_machine(&self, own_id: &str) -> CommitMetadata {
        let is_own = self.instance == InstanceTag::of(own_id);
        CommitMetadata {
            version: METADATA_VERSION,
            commit_seq: self.commit_seq,
            incarnation: self.incarnation,
            instance_id: if is_own { own_id.to_owned() } else { self.instance.to_string() },
            progress: Progress {
                watermarks: self.pipelines.iter().map(|progress| progress.watermark).collect(),
                greatest_time: self
                    .pipelines
                    .iter()
                    .filter_map(|progress| progress.greatest_time)
                    .max(),
                is_idle: !self.pipelines.is_empty()
                    && self.pipelines.iter().all(|progress| progress.is_idle),
            },
            fingerprint: self.fingerprint,
        }
    }
}

const HAS_TIME: u8 = 1;
const HAS_WATERMARK: u8 = 2;
const IDLE: u8 = 4;

impl OffsetProgress {
    /// Appends it; times as distances from `last`, which moves on.
    pub(super) fn put(self, bytes: &mut Vec<u8>, last: &mut i64) {
        let flag = |is: bool, flag| if is { flag } else { 0 };
        bytes.push(
            flag(self.greatest_time.is_some(), HAS_TIME)
                | flag(self.watermark.is_some(), HAS_WATERMARK)
                | flag(self.is_idle, IDLE),
        );
        for at in [self.greatest_time, self.watermark].into_iter().flatten() {
            put_i64(bytes, at.wrapping_sub(*last));
            *last = at;
        }
        // The next pipeline is nearer to the time than to the watermark.
        *last = self.greatest_time.unwrap_or(*last);
    }

    /// Reads what `put` appended.
    pub(super) fn take(wire: &mut Wire<'_>, last: &mut i64) -> Result<Self, Malformed> {
        let flags = wire.byte()?;
        if flags & !(HAS_TIME | HAS_WATERMARK | IDLE) != 0 {
            return Err(Malformed);
        }
        let mut at = |flag| -> Result<Option<i64>, Malformed> {
            if flags & flag == 0 {
                return Ok(None);
            }
            *last = last.wrapping_add(wire.i64()?);
            Ok(Some(*last))
        };
        let (greatest_time, watermark) = (at(HAS_TIME)?, at(HAS_WATERMARK)?);
        *last = greatest_time.unwrap_or(*last);
        Ok(Self { watermark, greatest_time, is_idle: flags & IDLE != 0 })
    }
}

impl InstanceTag {
    /// The tag of an instance id. Two ids have one tag only if they are the same UUID.
    #[must_use]
    pub fn of(instance_id: &str) -> Self {
        if let Ok(uuid) = Uuid::try_parse(instance_id) {
            return Self(Tag::Uuid(*uuid.as_bytes()));
        }
        if instance_id.len() <= MAX_ID_BYTES {
            return Self(Tag::Text(instance_id.to_owned()));
        }
        Self(Tag::Hash(xxh3_128(instance_id.as_bytes()).to_be_bytes()))
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        let (kind, content) = match &self.0 {
            Tag::Uuid(uuid) => (0, uuid.as_slice()),
            Tag::Text(text) => (1, text.as_bytes()),
            Tag::Hash(hash) => (2, hash.as_slice()),
        };
        bytes.push(kind);
        put_bytes(bytes, content);
    }

    fn take(wire: &mut Wire<'_>) -> Result<Self, Malformed> {
        let kind = wire.byte()?;
        let content = wire.bytes()?;
        let fixed = || <[u8; 16]>::try_from(content).map_err(|_| Malformed);
        Ok(Self(match kind {
            0 => Tag::Uuid(fixed()?),
            1 => Tag::Text(str::from_utf8(content).map_err(|_| Malformed)?.to_owned()),
            2 => Tag::Hash(fixed()?),
            _ => return Err(Malformed),
        }))
    }
}

impl std::fmt::Display for InstanceTag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Tag::Uuid(uuid) => write!(f, "{}", Uuid::from_bytes(*uuid)),
            Tag::Text(text) => f.write_str(text),
            Tag::Hash(hash) => write!(f, "#{:032x}", u128::from_be_bytes(*hash)),
        }
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let [a, b, c, d, ..] = xxh3_64(bytes).to_le_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn metadata(pipelines: Vec<OffsetProgress>) -> OffsetMetadata {
        OffsetMetadata {
            commit_seq: 41,
            fingerprint: 0x0123_4567_89ab_cdef,
            instance: InstanceTag::of("67e55044-10b1-426f-9247-bb680e5fe0c8"),
            incarnation: 0xfedc_ba98_7654_3210,
            generation: 0,
            pipelines,
        }
    }

    fn progress(watermark: i64, greatest_time: i64, is_idle: bool) -> OffsetProgress {
        OffsetProgress { watermark: Some(watermark), greatest_time: Some(greatest_time), is_idle }
    }

    /// Never change these: they are in the groups of users.
    #[test]
    fn golden_texts_are_read_for_ever() {
        let one = metadata(vec![progress(1_700_000_000_000, 1_700_000_005_000, false)]);
        let two = OffsetMetadata {
            commit_seq: 0,
            fingerprint: 0,
            instance: InstanceTag::of("processor-0"),
            incarnation: 0,
            generation: 0,
            pipelines: vec![
                OffsetProgress { is_idle: true, ..OffsetProgress::default() },
                progress(-1, 0, true),
            ],
        };
        let written = [one.encode().unwrap(), two.encode().unwrap()];
        assert_eq!(written, [GOLDEN_ONE, GOLDEN_TWO]);
        assert_eq!(OffsetMetadata::decode(GOLDEN_ONE), Ok(one));
        assert_eq!(OffsetMetadata::decode(GOLDEN_TWO), Ok(two.clone()));
        let later = OffsetMetadata { generation: 300, ..two };
        assert_eq!(later.encode().unwrap(), GOLDEN_LATER);
        assert_eq!(OffsetMetadata::decode(GOLDEN_LATER), Ok(later));
    }

    const GOLDEN_LATER: &str = "twKsAgAAAAAAAAAAAAAAAAAAAAAAAQtwcm9jZXNzb3ItMAIEBwABzipMWQ";

    const GOLDEN_ONE: &str = "twEp782riWdFIwEQMlR2mLrc/gAQZ+VQRBCxQm+SR7toDl/gyAEDkO6r/vlij05QZCC/";
    const GOLDEN_TWO: &str = "twEAAAAAAAAAAAAAAAAAAAAAAAELcHJvY2Vzc29yLTACBAcAAcrRw6Q";

    fn any_progress() -> impl Strategy<Value = OffsetProgress> {
        (any::<Option<i64>>(), any::<Option<i64>>(), any::<bool>()).prop_map(
            |(watermark, greatest_time, is_idle)| OffsetProgress {
                watermark,
                greatest_time,
                is_idle,
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            commit_seq: u64,
            fingerprint: u64,
            incarnation: u64,
            generation: u32,
            id in ".{0,40}",
            pipelines in prop::collection::vec(any_progress(), 0..=16),
        ) {
            let metadata = OffsetMetadata { commit_seq, fingerprint, instance: InstanceTag::of(&id), incarnation, generation, pipelines };
            let text = metadata.encode().unwrap();
            prop_assert_eq!(OffsetMetadata::decode(&text), Ok(metadata));
        }

        #[test]
        fn a_changed_character_is_found(at in 0_usize..60, other in "[A-Za-z0-9+/]") {
            let text = metadata(vec![progress(1, 2, false); 2]).encode().unwrap();
            let mut changed = text.clone();
            changed.replace_range(at..=at, &other);
            prop_assume!(changed != text);
            prop_assert!(OffsetMetadata::decode(&changed).is_err(), "{} {}", text, changed);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            prop_assert!(OffsetMetadata::decode(&text).is_err());
        }
    }

    #[test]
    fn sixteen_pipelines_with_one_event_time_stay_below_300_bytes() {
        let mut metadata = metadata(
            (0..16)
                .map(|i| progress(8_640_000_000_000_000 - i * 60_000, 8_640_000_000_000_000, true))
                .collect(),
        );
        (metadata.commit_seq, metadata.instance) = (u64::MAX, InstanceTag::of("a-name-16-bytes-"));
        let text = metadata.encode().unwrap();
        assert!(text.len() < 300, "{} bytes", text.len());
    }

    #[test]
    fn what_the_machine_commits_it_gets_back() {
        for id in [
            "67e55044-10b1-426f-9247-bb680e5fe0c8",
            "processor-0",
            "a-very-long-instance-id-of-a-stateful-set-0",
        ] {
            let metadata = CommitMetadata {
                version: METADATA_VERSION,
                commit_seq: 3,
                instance_id: id.to_owned(),
                incarnation: 77,
                progress: Progress {
                    watermarks: vec![Some(5), None],
                    greatest_time: Some(9),
                    is_idle: true,
                },
                fingerprint: 11,
            };
            let text = OffsetMetadata::of(&metadata).encode().unwrap();
            assert_eq!(OffsetMetadata::decode(&text).unwrap().for_machine(id), metadata);
        }
    }

    #[test]
    fn a_seventeenth_pipeline_is_refused() {
        let refused = metadata(vec![OffsetProgress::default(); 17]).encode();
        assert!(matches!(refused, Err(OffsetMetadataError::TooLong { pipelines: 17, .. })));
    }

    #[test]
    fn what_others_committed_is_named_foreign() {
        for text in ["", "some text", "eyJhIjoxfQ", "leader-epoch:4"] {
            let error = OffsetMetadata::decode(text).unwrap_err();
            assert!(matches!(&error, OffsetMetadataError::Foreign { .. }), "{text}: {error}");
            assert!(error.to_string().contains("group_id of its own"), "{error}");
        }
    }

    #[test]
    fn a_later_version_says_so() {
        let mut bytes = STANDARD_NO_PAD.decode(metadata(vec![]).encode().unwrap()).unwrap();
        bytes[1] = 3;
        let error = OffsetMetadata::decode(&STANDARD_NO_PAD.encode(&bytes)).unwrap_err();
        assert_eq!(error, OffsetMetadataError::Newer { version: 3 });
    }

    #[test]
    fn instance_ids_are_told_apart() {
        let long = "a-very-long-instance-id-of-a-stateful-set-0";
        let tags = ["a", "b", long, "67e55044-10b1-426f-9247-bb680e5fe0c8"].map(InstanceTag::of);
        for (index, tag) in tags.iter().enumerate() {
            assert_eq!(tags.iter().position(|other| other == tag), Some(index));
        }
        assert_eq!(tags[3].to_string(), "67e55044-10b1-426f-9247-bb680e5fe0c8");
        assert_eq!(tags[0].to_string(), "a");
    }
}
