//! Going on at the end of a file that others write to.

use std::{
    fs::File,
    io::{self, ErrorKind, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    sync::Arc,
    time::Duration,
};

use tracing::{info, warn};

use super::{
    FileSourceConfig, FollowTiming, identity::KnownFile, open::explain, source::read_some,
};
use crate::{
    error::ProcessorError,
    source::{
        clock::Clock,
        send::{Halt, STOP_CHECK},
        text::TextPump,
    },
};

/// Reads a file, and the files that take its place.
pub(super) struct Follower {
    file: File,
    config: FileSourceConfig,
    timing: FollowTiming,
    clock: Arc<dyn Clock>,
    buffer: Vec<u8>,
    /// Bytes read of this file.
    position: u64,
    known: KnownFile,
    /// Since when the name belongs to another file and this one is quiet.
    replaced_since: Option<Duration>,
    says_gone: bool,
}

/// What became of a file that was read to its end.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Nothing,
    Grown,
    Truncated,
    /// The name belongs to another file.
    Replaced,
    /// The name belongs to no file.
    Gone,
}

impl Follower {
    /// In a file that was read up to a position, 0 for its beginning.
    pub(super) fn new(
        (file, known, position): (File, KnownFile, u64),
        config: FileSourceConfig,
        timing: FollowTiming,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let buffer = vec![0; config.read_bytes.max(1)];
        Self {
            file,
            config,
            timing,
            clock,
            buffer,
            position,
            known,
            replaced_since: None,
            says_gone: false,
        }
    }

    /// Reads until the stop.
    pub(super) fn run(mut self, pump: &mut TextPump<'_>) -> Result<(), Halt> {
        self.read_to_end(pump)?;
        loop {
            // Looking comes before reading: bytes of a file written anew must not be taken for
            // appended ones.
            match self.look().map_err(|cause| self.failed("examine", cause))? {
                Change::Grown => self.read_to_end(pump)?,
                Change::Nothing => {
                    self.says_gone = false;
                    self.wait(pump)?;
                }
                Change::Gone => self.wait_for_successor(pump)?,
                Change::Truncated => self.begin_again(pump)?,
                Change::Replaced if self.is_quiet() => self.change_over(pump)?,
                Change::Replaced => self.wait(pump)?,
            }
        }
    }

    fn read_to_end(&mut self, pump: &mut TextPump<'_>) -> Result<(), Halt> {
        self.replaced_since = None;
        loop {
            let Self { file, config, buffer, known, .. } = self;
            let bytes = read_some(file, &config.path, buffer, known, pump)?;
            if bytes == 0 {
                return pump.caught_up();
            }
            self.position += bytes as u64;
        }
    }

    fn look(&self) -> io::Result<Change> {
        let own = self.file.metadata()?;
        if own.len() < self.position {
            return Ok(Change::Truncated);
        }
        if own.len() > self.position {
            let is_same = self.known.has_same_head(&self.file)?;
            return Ok(if is_same { Change::Grown } else { Change::Truncated });
        }
        match self.config.path.metadata() {
            Ok(named) if (named.dev(), named.ino()) == (own.dev(), own.ino()) => {
                Ok(Change::Nothing)
            }
            Ok(_) => Ok(Change::Replaced),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Change::Gone),
            Err(error) => Err(error),
        }
    }

    fn is_quiet(&mut self) -> bool {
        let now = self.clock.elapsed();
        let since = *self.replaced_since.get_or_insert(now);
        now.saturating_sub(since) >= self.timing.rotation_grace
    }

    fn wait(&self, pump: &TextPump<'_>) -> Result<(), Halt> {
        let until = self.clock.elapsed() + self.timing.poll;
        loop {
            pump.check_stop()?;
            let left = until.saturating_sub(self.clock.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            self.clock.pause(left.min(STOP_CHECK));
        }
    }

    fn wait_for_successor(&mut self, pump: &TextPump<'_>) -> Result<(), Halt> {
        if !self.says_gone {
            self.says_gone = true;
            let path = self.config.path.display();
            warn!(%path, "followed file is gone; waiting for one of this name");
        }
        self.wait(pump)
    }

    fn begin_again(&mut self, pump: &mut TextPump<'_>) -> Result<(), Halt> {
        let (path, read_bytes) = (self.config.path.display(), self.position);
        let cut_line = pump.has_unfinished();
        warn!(%path, read_bytes, cut_line, "followed file was truncated; reading it from its start");
        pump.restart()?;
        self.file.seek(SeekFrom::Start(0)).map_err(|cause| self.failed("seek", cause))?;
        self.forget()?;
        self.read_to_end(pump)
    }

    fn change_over(&mut self, pump: &mut TextPump<'_>) -> Result<(), Halt> {
        let file = match File::open(&self.config.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return self.wait(pump),
            Err(error) => return Err(explain(&self.config.path, error).into()),
        };
        let (path, read_bytes) = (self.config.path.display(), self.position);
        let cut_line = pump.has_unfinished();
        info!(%path, read_bytes, cut_line, "followed file was replaced; reading the new one");
        pump.restart()?;
        self.file = file;
        self.forget()?;
        self.read_to_end(pump)
    }

    fn forget(&mut self) -> Result<(), ProcessorError> {
        let found = self.file.metadata().map_err(|cause| self.failed("examine", cause))?;
        self.known = KnownFile::of(&found);
        self.position = 0;
        self.says_gone = false;
        Ok(())
    }

    fn failed(&self, action: &'static str, cause: io::Error) -> ProcessorError {
        ProcessorError::Io { action, path: self.config.path.clone(), cause }
    }
}
