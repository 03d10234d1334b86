//! Where a record ends.
//!
//! NDJSON: at a newline. CSV: at a newline outside quotes, exactly where `csv_core` with the
//! terminator `\n` ends one (a property test says so), but at the speed of `memchr`.
//!
//! A record longer than the limit is kept cut to the limit + 1 bytes and ends at the next newline,
//! quoted or not, so that one forgotten quote does not swallow the rest of the input.

use memchr::{memchr, memchr_iter, memchr2};

/// What ends a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Every newline.
    Lines,
    /// Every newline outside quotes.
    Quoted {
        /// Separator of cells: a quote opens only at the beginning of a cell.
        delimiter: u8,
    },
}

/// A record as the splitter found it; never empty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    /// Its bytes without line end, cut to the limit + 1.
    pub(crate) bytes: &'a [u8],
    /// Byte of the input at which it begins.
    pub(crate) offset: u64,
    /// Line of the input on which it begins, from 1.
    pub(crate) line: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Plain,
    InQuotes,
    /// After a quote inside quotes: the closing one, or the first half of a doubled one.
    AfterQuote,
}

/// Cuts chunks of bytes into records. The outcome does not depend on how the input is chunked.
#[derive(Debug)]
pub(crate) struct Splitter {
    dialect: Dialect,
    max_kept: usize,
    place: Place,
    /// First bytes of a record that began in an earlier chunk, at most `max_kept`.
    kept: Vec<u8>,
    /// Length so far of the record that is not finished yet, cut or not.
    raw_len: usize,
    last_byte: u8,
    offset: u64,
    line: u64,
    /// Newlines inside the quotes of the unfinished record.
    inner_lines: u64,
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl Splitter {
    /// At the beginning of an input.
    pub(crate) fn new(dialect: Dialect, max_record_bytes: usize) -> Self {
        Self::at(dialect, max_record_bytes, 0, 1)
    }

    /// At the beginning of the record at byte `offset`, on `line`.
    pub(crate) fn at(dialect: Dialect, max_record_bytes: usize, offset: u64, line: u64) -> Self {
        Self {
            dialect,
            max_kept: max_record_bytes.saturating_add(1),
            place: Place::Plain,
            kept: Vec::new(),
            raw_len: 0,
            last_byte: 0,
            offset,
            line,
            inner_lines: 0,
        }
    }

    /// Byte of the input at which the next (or the unfinished) record begins.
    pub(crate) fn position(&self) -> u64 {
        self.offset
    }

    /// Line of the input on which that record begins, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Whether a record has begun that has no end yet.
    pub(crate) fn has_unfinished(&self) -> bool {
        self.raw_len > 0
    }

    /// Takes bytes from the front of `chunk` up to the end of a line or of the chunk; takes at
    /// least one byte if there is any. The record is `None` if none ended there.
    pub(crate) fn next<'a>(&'a mut self, chunk: &'a [u8]) -> (usize, Option<Found<'a>>) {
        let end = match self.dialect {
            Dialect::Lines => memchr(b'\n', chunk),
            Dialect::Quoted { delimiter } => self.quoted_end(chunk, delimiter),
        };
        if let Some(end) = end {
            return (end + 1, self.end_record(chunk.get(..end).unwrap_or_default(), 1));
        }
        self.keep(chunk);
        (chunk.len(), None)
    }

    /// The last record, which has no newline; the splitter then waits for more input behind it.
    pub(crate) fn finish(&mut self) -> Option<Found<'_>> {
        self.end_record(&[], 0)
    }

    fn keep(&mut self, part: &[u8]) {
        if self.raw_len == 0 {
            self.kept.clear();
        }
        let room = self.max_kept - self.kept.len();
        self.kept.extend_from_slice(part.get(..room).unwrap_or(part));
        self.raw_len += part.len();
        self.last_byte = part.last().copied().unwrap_or(self.last_byte);
    }

    /// Ends the record whose last part is `part`, and the line with `newlines` bytes of line end.
    fn end_record<'a>(&'a mut self, part: &'a [u8], newlines: u8) -> Option<Found<'a>> {
        let whole = self.raw_len == 0;
        if !whole {
            self.keep(part);
        }
        let raw_len = if whole { part.len() } else { self.raw_len };
        let (offset, line) = (self.offset, self.line);
        self.offset += raw_len as u64 + u64::from(newlines);
        self.line += self.inner_lines + u64::from(newlines);
        (self.raw_len, self.inner_lines, self.place) = (0, 0, Place::Plain);
        let bytes = if whole { part } else { self.kept.as_slice() };
        trim(bytes.get(..self.max_kept).unwrap_or(bytes), raw_len, offset, line)
    }

    /// Index of the newline that ends the record.
    fn quoted_end(&mut self, chunk: &[u8], delimiter: u8) -> Option<usize> {
        let reach = self.max_kept.saturating_sub(self.raw_len).min(chunk.len());
        let within = chunk.get(..reach)?;
        let mut at = 0;
        while at < reach {
            at = match self.place {
                Place::Plain => match self.next_special(within, at, delimiter) {
                    Some(found) if within.get(found) == Some(&b'\n') => return Some(found),
                    found => found.map_or(reach, |quote| quote + 1),
                },
                Place::InQuotes => self.closing_quote(within, at).map_or(reach, |quote| quote + 1),
                Place::AfterQuote => {
                    let doubled = within.get(at) == Some(&b'"');
                    self.place = if doubled { Place::InQuotes } else { Place::Plain };
                    at + usize::from(doubled)
                }
            };
        }
        let is_cut = self.raw_len.saturating_add(reach) >= self.max_kept;
        let newline = if is_cut { memchr(b'\n', chunk.get(reach..)?) } else { None };
        newline.map(|newline| reach + newline)
    }

    /// Index at or behind `at` of a newline, or of a quote, which opens if a cell begins there.
    fn next_special(&mut self, chunk: &[u8], at: usize, delimiter: u8) -> Option<usize> {
        let found = at + memchr2(b'\n', b'"', chunk.get(at..)?)?;
        let before = match found.checked_sub(1) {
            Some(index) => chunk.get(index).copied(),
            None => (self.raw_len > 0).then_some(self.last_byte),
        };
        let opens = chunk.get(found) == Some(&b'"') && before.is_none_or(|byte| byte == delimiter);
        self.place = if opens { Place::InQuotes } else { Place::Plain };
        Some(found)
    }

    /// Index at or behind `at` of a quote inside quotes.
    fn closing_quote(&mut self, chunk: &[u8], at: usize) -> Option<usize> {
        let rest = chunk.get(at..)?;
        let quote = memchr(b'"', rest);
        let inside = rest.get(..quote.unwrap_or(rest.len())).unwrap_or_default();
        self.inner_lines += memchr_iter(b'\n', inside).count() as u64;
        self.place = if quote.is_some() { Place::AfterQuote } else { Place::InQuotes };
        quote.map(|quote| at + quote)
    }
}

/// Strips a byte order mark and the carriage return; `None` if nothing remains.
fn trim(bytes: &[u8], raw_len: usize, offset: u64, line: u64) -> Option<Found<'_>> {
    let mark = if offset == 0 && bytes.starts_with(BYTE_ORDER_MARK) { 3 } else { 0 };
    let mut bytes = bytes.get(mark..).unwrap_or_default();
    let is_cut = raw_len > bytes.len() + mark;
    if !is_cut && let Some(stripped) = bytes.strip_suffix(b"\r") {
        bytes = stripped;
    }
    (!bytes.is_empty()).then_some(Found { bytes, offset: offset + mark as u64, line })
}
