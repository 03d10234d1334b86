//! Reading what may block for ever: standard input, a named pipe.
//!
//! A thread of its own reads and passes chunks on. It is detached: a blocked read cannot be
//! interrupted, so when the source stops the thread is left behind and ends with its next read.

use std::{
    io::{self, ErrorKind, Read},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::{READ_BYTES, TextPump};
use crate::{
    error::ProcessorError,
    source::{
        clock::Clock,
        send::{Halt, STOP_CHECK},
    },
};

/// Opens the input inside the reading thread, because opening a named pipe blocks too.
pub(crate) type Open = Box<dyn FnOnce() -> io::Result<Box<dyn Read>> + Send>;

/// Longest time a record waits for others before it is sent.
const LINGER: Duration = Duration::from_millis(5);

/// Chunks read ahead.
const CHUNKS_AHEAD: usize = 2;

/// Chunks of bytes from a thread that may block.
pub(crate) struct ByteStream {
    chunks: Receiver<io::Result<Vec<u8>>>,
    path: PathBuf,
}

impl ByteStream {
    /// Begins to read; `path` is the name in errors.
    ///
    /// # Errors
    /// [`ProcessorError::Io`] if no thread can be started.
    pub(crate) fn start(path: PathBuf, open: Open) -> Result<Self, ProcessorError> {
        let (sender, chunks) = bounded(CHUNKS_AHEAD);
        let spawned = thread::Builder::new()
            .name("input-reader".into())
            .spawn(move || read_all(open, &sender));
        match spawned {
            Ok(_detached) => Ok(Self { chunks, path }),
            Err(cause) => Err(ProcessorError::Io { action: "start reading", path, cause }),
        }
    }
}

fn read_all(open: Open, chunks: &Sender<io::Result<Vec<u8>>>) {
    let mut input = match open() {
        Ok(input) => input,
        Err(error) => return drop(chunks.send(Err(error))),
    };
    loop {
        let mut chunk = vec![0; READ_BYTES];
        let outcome = match input.read(&mut chunk) {
            Ok(0) => return,
            Ok(bytes) => {
                chunk.truncate(bytes);
                Ok(chunk)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = outcome.is_err();
        if chunks.send(outcome).is_err() || is_last {
            return;
        }
    }
}

/// Sends the records of `stream` until it ends. Records leave in full batches while there is more
/// to read, and otherwise after a few milliseconds.
pub(crate) fn pump_stream(
    pump: &mut TextPump<'_>,
    stream: &ByteStream,
    clock: &Arc<dyn Clock>,
) -> Result<(), Halt> {
    let mut send_at = None;
    loop {
        let patience = match send_at {
            None => STOP_CHECK,
            Some(at) => LINGER.min(Duration::saturating_sub(at, clock.elapsed())),
        };
        match stream.chunks.recv_timeout(patience) {
            Ok(Ok(chunk)) => pump.bytes(&chunk)?,
            Ok(Err(cause)) => {
                pump.flush()?;
                let path = stream.path.clone();
                return Err(ProcessorError::Io { action: "read", path, cause }.into());
            }
            Err(RecvTimeoutError::Timeout) => pump.check_stop()?,
            Err(RecvTimeoutError::Disconnected) => return pump.ended(),
        }
        if send_at.is_some_and(|at| at <= clock.elapsed()) {
            pump.flush()?;
        }
        send_at = if pump.is_empty() { None } else { send_at.or(Some(clock.elapsed() + LINGER)) };
    }
}
