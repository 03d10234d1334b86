//! Lines of a file as records.

use std::{fs, io, path::Path};

use super::LogRecord;

/// The records of a file with one JSON document a line.
///
/// # Errors
/// What the file system reports.
pub fn read_lines(path: &Path) -> io::Result<Vec<LogRecord>> {
    Ok(split_lines(&fs::read(path)?))
}

/// The records of such a file's bytes.
///
/// An empty line, also one with only a carriage return, is no record; a last line without a newline
/// is one. A carriage return before the newline is not part of the record.
///
/// ```
/// use llm_optimizer_sim::records::split_lines;
/// let records = split_lines(b"{}\r\n\n\r\n {}");
/// let places: Vec<_> = records.iter().map(|record| (record.offset, record.line)).collect();
/// assert_eq!(places, [(0, Some(1)), (7, Some(4))]);
/// ```
#[must_use]
pub fn split_lines(bytes: &[u8]) -> Vec<LogRecord> {
    let mut records = Vec::new();
    let mut offset = 0;
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let record = line.strip_suffix(b"\r").unwrap_or(line);
        if !record.is_empty() {
            records.push(LogRecord {
                offset,
                line: Some(number as u64 + 1),
                bytes: record.to_vec(),
            });
        }
        offset += i64::try_from(line.len()).unwrap_or(i64::MAX) + 1;
    }
    records
}
