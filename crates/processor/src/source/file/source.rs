//! Reads a file.

use std::{
    fs::File,
    io::{ErrorKind, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crossbeam_channel::Sender;
use llm_optimizer_config::settings::CsvConfig;
use llm_optimizer_engine::core::PartitionId;

use tracing::{info, warn};

use super::{
    follow::Follower,
    identity::{Fate, KnownFile, Resumed, find, not_the_same},
    open::{explain, inspect, open, refused},
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    record::{PartitionKey, PartitionOrigin, Position, RecordFormat, SourceKind},
    source::{
        Source, SourceEvent, StopToken,
        clock::Clock,
        send::Halt,
        text::{
            BatchLimits, ByteStream, READ_BYTES, ReadProgress, TextBatcher, TextFormat, TextPump,
            pump_stream,
        },
    },
};

/// How a followed file is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowTiming {
    /// Pause between two looks at a file that did not grow (100 ms).
    pub poll: Duration,
    /// How long a file whose name has gone to another one must stay quiet before it is left,
    /// because its writer may not have noticed yet (500 ms).
    pub rotation_grace: Duration,
}

impl Default for FollowTiming {
    fn default() -> Self {
        Self { poll: Duration::from_millis(100), rotation_grace: Duration::from_millis(500) }
    }
}

/// What to read and how.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSourceConfig {
    /// The file; a relative path is relative to the working directory.
    pub path: PathBuf,
    /// How its bytes become records.
    pub text: TextFormat,
    /// `None` ends at the end of the file; otherwise what is appended is read too.
    pub follow: Option<FollowTiming>,
    /// How large batches and records may become.
    pub limits: BatchLimits,
    /// Bytes asked of the system in one read (256 KiB).
    pub read_bytes: usize,
}

impl FileSourceConfig {
    /// Reads NDJSON from `path` once.
    #[must_use]
    pub fn ndjson(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            text: TextFormat::Ndjson,
            follow: None,
            limits: BatchLimits::default(),
            read_bytes: READ_BYTES,
        }
    }

    /// Reads CSV from `path` once; its first line names the columns.
    #[must_use]
    pub fn csv(path: impl Into<PathBuf>) -> Self {
        Self { text: TextFormat::Csv(CsvConfig::default()), ..Self::ndjson(path) }
    }
}

/// Reads one file, which is its one partition.
///
/// | input | becomes |
/// | --- | --- |
/// | last line without newline | a record; when following, nothing until its newline comes |
/// | empty line, lone carriage return, CSV header | no record |
/// | line of white space | a record, which decode refuses |
/// | line longer than the limit | a record cut to the limit + 1 bytes |
///
/// A followed file may be renamed and created anew, or be truncated; both are logged, and offsets
/// and lines then begin again. Not noticed: a file cut and written anew between two looks so that
/// its length or its first 256 bytes are the same as before.
pub struct FileSource {
    config: FileSourceConfig,
    clock: Arc<dyn Clock>,
    progress: ReadProgress,
    input: Input,
    /// Where to go on, in a file that was read before.
    from: Option<Position>,
}

enum Input {
    Regular {
        file: File,
        known: KnownFile,
        size_bytes: u64,
    },
    /// A named pipe or a device: reading it may block.
    Blocking,
}

impl FileSource {
    /// Opens the file.
    ///
    /// # Errors
    /// [`ProcessorError::Source`] for an absent file, a directory, one that may not be read or
    /// cannot be followed; [`ProcessorError::Io`] for any other failure.
    pub fn open(config: FileSourceConfig, clock: Arc<dyn Clock>) -> ProcessorResult<Self> {
        let found = inspect(&config.path)?;
        let input = if found.is_file() {
            let known = KnownFile::of(&found);
            Input::Regular { file: open(&config.path)?, known, size_bytes: found.len() }
        } else if config.follow.is_none() {
            Input::Blocking
        } else {
            let reason = "is no regular file and cannot be followed; set source.follow: false";
            return Err(refused(&config.path, reason.into()));
        };
        Ok(Self { config, clock, progress: ReadProgress::default(), input, from: None })
    }

    /// How much is read; goes on counting while the source runs.
    #[must_use]
    pub fn progress(&self) -> ReadProgress {
        self.progress.clone()
    }
}

impl Source for FileSource {
    /// # Errors
    /// [`ProcessorError::Io`] if a read fails, [`ProcessorError::Source`] for a CSV header that
    /// cannot be used.
    fn run(self: Box<Self>, queue: &Sender<SourceEvent>, stop: &StopToken) -> ProcessorResult<()> {
        let mut this = *self;
        let origin = Arc::new(PartitionOrigin {
            id: PartitionId(0),
            kind: SourceKind::File,
            name: this.config.path.display().to_string(),
            partition: 0,
        });
        let text = (this.config.text.clone(), this.config.limits);
        let clock = Arc::clone(&this.clock);
        let mut pump =
            TextPump::new(&origin, text, (queue, stop), Arc::clone(&clock), this.progress)?;
        if let (Some(from), Input::Regular { file, .. }) = (&this.from, &mut this.input) {
            pump.resume(from, go_on(file, &this.config, &origin, from)?);
        }
        let read = this.from.map_or(0, |from| u64::try_from(from.offset).unwrap_or(0));
        let outcome = pump.assigned().and_then(|()| match (this.input, this.config.follow) {
            (Input::Blocking, _) => pump_blocking(&mut pump, this.config.path, &clock),
            (Input::Regular { file, known, .. }, Some(timing)) => {
                Follower::new((file, known, read), this.config, timing, clock).run(&mut pump)
            }
            (Input::Regular { mut file, mut known, .. }, None) => {
                let mut buffer = vec![0; this.config.read_bytes.max(1)];
                let path = &this.config.path;
                while read_some(&mut file, path, &mut buffer, &mut known, &mut pump)? > 0 {}
                pump.ended()
            }
        });
        Halt::conclude(outcome)
    }

    /// Goes on in the file that was read, wherever it is now.
    ///
    /// | the file | read to its end | followed |
    /// | --- | --- | --- |
    /// | is there, perhaps longer | goes on | goes on |
    /// | was renamed within its folder | refused | goes on in it, then in the one of its name |
    /// | was truncated or written anew | refused | the new content is read from its start |
    /// | is gone | refused | refused |
    ///
    /// # Errors
    /// [`ProcessorError::Source`] where the table says refused, with what to do.
    fn resume(&mut self, stored: &[(PartitionKey, Position)]) -> ProcessorResult<()> {
        let path = &self.config.path;
        let name = path.display().to_string();
        let Some(position) = self.stored_of_this(stored) else {
            for (key, position) in stored {
                info!(path = %name, other = key.name, offset = position.offset, "begins at its start; the state also knows another input");
            }
            return Ok(());
        };
        let (Input::Regular { .. }, Some(identity)) = (&self.input, &position.file) else {
            let reason = "cannot go on where it stopped: it is no regular file";
            return Err(refused(path, reason.into()));
        };
        let fate = find(path, position, identity)?;
        let follows = self.config.follow.is_some();
        match fate {
            Fate::Found(Resumed { file, known }) => {
                let found = file.metadata().map_err(|cause| explain(path, cause))?;
                let named = path.metadata().ok();
                let is_named = named.is_some_and(|named| named.ino() == found.ino());
                if !is_named && !follows {
                    return Err(not_the_same(path, "the file was renamed or replaced"));
                }
                info!(path = %name, offset = position.offset, is_named, "going on where reading stopped");
                self.input = Input::Regular { file, known, size_bytes: found.len() };
                self.from = Some(*position);
                self.progress.add(usize::try_from(position.offset).unwrap_or(0));
                Ok(())
            }
            Fate::Rewritten if follows => {
                warn!(path = %name, "followed file was truncated or written anew; reading it from its start");
                Ok(())
            }
            Fate::Rewritten => Err(not_the_same(path, "the file was truncated or written anew")),
            Fate::Gone => Err(not_the_same(path, "the file that was being read is gone")),
        }
    }

    fn size_bytes(&self) -> Option<u64> {
        match self.input {
            Input::Regular { size_bytes, .. } if self.is_bounded() => Some(size_bytes),
            _ => None,
        }
    }

    fn is_bounded(&self) -> bool {
        self.config.follow.is_none()
    }
}

/// Sets `file` to the position, and finds out at its beginning how a CSV file is to be read.
fn go_on(
    file: &mut File,
    config: &FileSourceConfig,
    origin: &Arc<PartitionOrigin>,
    from: &Position,
) -> ProcessorResult<Option<RecordFormat>> {
    let failed = |cause| ProcessorError::Io { action: "read", path: config.path.clone(), cause };
    let mut format = None;
    if matches!(config.text, TextFormat::Csv(_)) {
        let limits = BatchLimits { max_records: 1, ..config.limits };
        let fault = |reason| refused(&config.path, reason);
        let mut first =
            TextBatcher::new(Arc::clone(origin), config.text.clone(), limits).map_err(fault)?;
        let mut buffer = vec![0; config.read_bytes.max(1)];
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        while first.format().is_none() {
            let bytes = file.read(&mut buffer).map_err(failed)?;
            if bytes == 0 {
                break;
            }
            first.feed(buffer.get(..bytes).unwrap_or_default(), &|| 0).map_err(fault)?;
        }
        format = first.format().cloned();
    }
    let offset = u64::try_from(from.offset).unwrap_or(0);
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    Ok(format)
}

impl FileSource {
    /// The position of the file of this name, or of this file under another one.
    fn stored_of_this<'a>(&self, stored: &'a [(PartitionKey, Position)]) -> Option<&'a Position> {
        let name = self.config.path.display().to_string();
        let mut files = stored.iter().filter(|(key, _)| key.source == SourceKind::File);
        let named = files.clone().find(|(key, _)| key.name == name);
        let found = named.or_else(|| {
            let Input::Regular { known, .. } = &self.input else { return None };
            files.find(|(_, position)| position.file.is_some_and(|file| known.is(&file)))
        });
        found.map(|(_, position)| position)
    }
}

fn pump_blocking(
    pump: &mut TextPump<'_>,
    path: PathBuf,
    clock: &Arc<dyn Clock>,
) -> Result<(), Halt> {
    let opened = path.clone();
    let open = move || File::open(opened).map(|file| Box::new(file) as Box<dyn Read>);
    let stream = ByteStream::start(path, Box::new(open))?;
    pump_stream(pump, &stream, clock)
}

/// Reads once and passes the bytes on; 0 at the end of the file.
pub(super) fn read_some(
    file: &mut File,
    path: &Path,
    buffer: &mut [u8],
    known: &mut KnownFile,
    pump: &mut TextPump<'_>,
) -> Result<usize, Halt> {
    loop {
        match file.read(buffer) {
            Ok(bytes) => {
                let chunk = buffer.get(..bytes).unwrap_or_default();
                known.saw(chunk);
                pump.reads(known.identity());
                pump.bytes(chunk)?;
                return Ok(bytes);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(cause) => {
                pump.flush()?;
                let path = path.to_owned();
                return Err(ProcessorError::Io { action: "read", path, cause }.into());
            }
        }
    }
}
