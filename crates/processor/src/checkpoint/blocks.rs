//! Rows in a data file: blocks of ordered rows, each with its lengths and a checksum.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `PROCROW1` |
//! | per block: 4, 4, 4 | length of the rows, length as stored, number of rows, little-endian |
//! | 8 | XXH3-64 of the twelve bytes before and the stored bytes |
//! | as stored | the rows, as one LZ4 block if that is shorter |
//!
//! A row is: length of key (4), length of value (4), key, value. That a file is whole is told by the
//! manifest: length, rows and checksum of the file.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::Path,
};

use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::{
    error::{CheckpointError, failed},
    manifest::{DataFile, hex},
};
use crate::state::codec;

const MAGIC: [u8; 8] = *b"PROCROW1";
const HEADER: usize = 20;
/// Rows are gathered until a block has this many bytes.
const BLOCK_BYTES: usize = 64 << 10;

/// Writes one data file.
pub(super) struct BlockWriter {
    out: BufWriter<File>,
    hash: Xxh3,
    block: Vec<u8>,
    block_rows: u32,
    bytes: u64,
    rows: u64,
}

impl BlockWriter {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let out = BufWriter::with_capacity(256 << 10, File::create_new(path)?);
        let (hash, block) = (Xxh3::new(), Vec::new());
        let mut writer = Self { out, hash, block, block_rows: 0, bytes: 0, rows: 0 };
        writer.emit(&MAGIC)?;
        Ok(writer)
    }

    /// Adds a row; its key is greater than all before.
    pub(super) fn row(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        for part in [key, value] {
            let length = u32::try_from(part.len()).map_err(io::Error::other)?;
            self.block.extend_from_slice(&length.to_le_bytes());
        }
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(value);
        self.block_rows += 1;
        self.rows += 1;
        if self.block.len() >= BLOCK_BYTES { self.end_block() } else { Ok(()) }
    }

    /// Bytes so far, not counting the block that is being gathered.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes what is left, syncs the file and describes it.
    pub(super) fn finish(mut self, name: String) -> io::Result<DataFile> {
        if self.block_rows > 0 {
            self.end_block()?;
        }
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        let checksum = hex(self.hash.digest128());
        Ok(DataFile { name, bytes: self.bytes, rows: self.rows, checksum })
    }

    fn end_block(&mut self) -> io::Result<()> {
        let block = std::mem::take(&mut self.block);
        let stored = codec::compressed(&block);
        let stored = stored.as_deref().unwrap_or(&block);
        let lengths = [block.len(), stored.len()].map(u32::try_from);
        let [Ok(raw), Ok(length)] = lengths else { return Err(io::ErrorKind::FileTooLarge.into()) };
        let mut header = Vec::with_capacity(HEADER);
        for number in [raw, length, self.block_rows] {
            header.extend_from_slice(&number.to_le_bytes());
        }
        header.extend_from_slice(&checksum(&header, stored).to_le_bytes());
        self.emit(&header)?;
        self.emit(stored)?;
        self.block = block;
        self.block.clear();
        self.block_rows = 0;
        Ok(())
    }

    fn emit(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

fn checksum(lengths: &[u8], stored: &[u8]) -> u64 {
    xxh3_64_with_seed(stored, xxh3_64_with_seed(lengths, 0))
}

/// A row: key and value.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// Reads one data file, and checks it on the way.
pub(super) struct BlockReader {
    id: u64,
    about: DataFile,
    input: BufReader<File>,
    hash: Xxh3,
    bytes: u64,
    rows: u64,
    block: Vec<u8>,
    /// Where the next row of the block begins.
    at: usize,
}

impl BlockReader {
    pub(super) fn open(id: u64, folder: &Path, about: &DataFile) -> Result<Self, CheckpointError> {
        let path = folder.join(&about.name);
        let damaged = |reason: String| {
            let file = about.name.clone();
            CheckpointError::Damaged { id, file, reason }
        };
        let file = match File::open(&path) {
            Err(none) if none.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("it is missing".into()));
            }
            file => file.map_err(|cause| failed("open", &path, cause))?,
        };
        let length = file.metadata().map_err(|cause| failed("read", &path, cause))?.len();
        if length != about.bytes {
            return Err(damaged(format!("it has {length} bytes instead of {}", about.bytes)));
        }
        let input = BufReader::with_capacity(256 << 10, file);
        let (hash, block, about) = (Xxh3::new(), Vec::new(), about.clone());
        let mut reader = Self { id, about, input, hash, bytes: 0, rows: 0, block, at: 0 };
        if *reader.take::<8>()? != MAGIC {
            return Err(reader.damaged("it does not begin as a data file"));
        }
        Ok(reader)
    }

    /// The next row; after the last one the file is checked as a whole.
    pub(super) fn next_row(&mut self) -> Result<Option<Row>, CheckpointError> {
        while self.at >= self.block.len() {
            if self.bytes == self.about.bytes {
                return self.check_whole().map(|()| None);
            }
            self.next_block()?;
        }
        let row = self.block.get(self.at..).and_then(split_row);
        let Some((row, length)) = row else { return Err(self.damaged("a row is cut off")) };
        self.at += length;
        self.rows += 1;
        Ok(Some(row))
    }

    fn next_block(&mut self) -> Result<(), CheckpointError> {
        let header = self.take::<HEADER>()?;
        let (lengths, stored_checksum) = header.split_at(12);
        let number = |at: usize| {
            let bytes = lengths.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u32::from_le_bytes) as usize
        };
        let (raw, stored) = (number(0), number(4));
        if stored as u64 > self.about.bytes.saturating_sub(self.bytes) {
            return Err(self.damaged("a block is longer than the file"));
        }
        let mut block = vec![0; stored];
        self.fill(&mut block)?;
        if checksum(lengths, &block).to_le_bytes() != *stored_checksum {
            return Err(self.damaged(&format!("checksum mismatch before byte {}", self.bytes)));
        }
        if stored != raw {
            block = lz4_flex::block::decompress(&block, raw)
                .map_err(|_| self.damaged("a block cannot be decompressed"))?;
        }
        (self.block, self.at) = (block, 0);
        Ok(())
    }

    fn check_whole(&self) -> Result<(), CheckpointError> {
        if self.rows != self.about.rows {
            let reason = format!("it has {} rows instead of {}", self.rows, self.about.rows);
            return Err(self.damaged(&reason));
        }
        if hex(self.hash.digest128()) != self.about.checksum {
            return Err(self.damaged("checksum mismatch"));
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<Box<[u8; N]>, CheckpointError> {
        let mut bytes = Box::new([0; N]);
        self.fill(bytes.as_mut_slice())?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CheckpointError> {
        let read = self.input.read_exact(bytes);
        read.map_err(|cause| match cause.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged("it is cut off"),
            _ => failed("read", Path::new(&self.about.name), cause),
        })?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn damaged(&self, reason: &str) -> CheckpointError {
        let (file, reason) = (self.about.name.clone(), reason.to_owned());
        CheckpointError::Damaged { id: self.id, file, reason }
    }
}

/// The first row of `bytes` and its length there.
fn split_row(bytes: &[u8]) -> Option<(Row, usize)> {
    let (key_length, rest) = bytes.split_first_chunk::<4>()?;
    let (value_length, rest) = rest.split_first_chunk::<4>()?;
    let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_length) as usize)?;
    let value = rest.get(..u32::from_le_bytes(*value_length) as usize)?;
    Some(((key.to_vec(), value.to_vec()), 8 + key.len() + value.len()))
}
