//! Splits a CSV record into cells and keeps the wanted ones.
//!
//! A cell may be quoted by `"`, with `""` for a quote inside. An empty cell is a missing field. All
//! other cells are texts; where a number is needed their text is read as one.

use std::{borrow::Cow, sync::Arc};

use csv_core::{ReadRecordResult, ReaderBuilder};
use llm_optimizer_types::SideReason;

use super::{found::Found, outcome::Fault, path::PathTrie};

/// Which column belongs into which slot.
#[derive(Debug)]
pub(super) struct CsvColumns {
    names: Arc<[String]>,
    delimiter: u8,
    slots: Vec<Option<usize>>,
}

impl CsvColumns {
    /// Brings `kept` up to date; costs nothing while batches share their columns.
    pub(super) fn refresh(
        kept: &mut Option<Self>,
        names: &Arc<[String]>,
        delimiter: u8,
        trie: &PathTrie,
    ) {
        let same = |k: &Self| k.delimiter == delimiter && Arc::ptr_eq(&k.names, names);
        if !kept.as_ref().is_some_and(same) {
            let slots = names.iter().map(|name| trie.find(name)).collect();
            *kept = Some(Self { names: Arc::clone(names), delimiter, slots });
        }
    }

    /// Fills `found`, which must be all absent, from the record in `text`.
    pub(super) fn read<'a>(&self, text: &'a str, found: &mut [Found<'a>]) -> Result<(), Fault> {
        if text.trim_ascii().is_empty() {
            return Err(Fault::new(SideReason::InvalidJson, "the record is blank"));
        }
        let text = text.trim_end_matches(['\r', '\n']);
        if text.contains('"') {
            return self.read_quoted(text, found);
        }
        if let Some(at) = text.find(['\r', '\n']) {
            let detail = format!("a line ends inside the record at column {}", at + 1);
            return Err(Fault::new(SideReason::InvalidJson, detail));
        }
        let mut cells = 0;
        for cell in text.split(char::from(self.delimiter)) {
            self.keep(cells, Cow::Borrowed(cell), found);
            cells += 1;
        }
        self.check_count(cells)
    }

    /// The way of a record with quotes: its wanted cells are copied.
    fn read_quoted(&self, text: &str, found: &mut [Found<'_>]) -> Result<(), Fault> {
        let (plain, ends) = unquote(text, self.delimiter)?;
        let mut from = 0;
        for (number, to) in ends.iter().enumerate() {
            let cell = plain.get(from..*to).unwrap_or_default();
            self.keep(number, Cow::Owned(String::from_utf8_lossy(cell).into_owned()), found);
            from = *to;
        }
        self.check_count(ends.len())
    }

    fn keep<'a>(&self, column: usize, cell: Cow<'a, str>, found: &mut [Found<'a>]) {
        let slot = self.slots.get(column).copied().flatten();
        if let Some(place) = slot.and_then(|slot| found.get_mut(slot)) {
            *place = if cell.is_empty() { Found::Absent } else { Found::Text(cell) };
        }
    }

    fn check_count(&self, cells: usize) -> Result<(), Fault> {
        if cells == self.slots.len() {
            return Ok(());
        }
        let detail = format!("{cells} cells, the header has {}", self.slots.len());
        Err(Fault::new(SideReason::InvalidJson, detail))
    }
}

/// The unquoted cells of `text` end to end, and where each ends.
fn unquote(text: &str, delimiter: u8) -> Result<(Vec<u8>, Vec<usize>), Fault> {
    let mut reader = ReaderBuilder::new().delimiter(delimiter).build();
    // Cells hold no more bytes than the text and its newline, nor are there more of them.
    let (mut plain, mut ends) = (vec![0; text.len() + 1], vec![0; text.len() + 1]);
    let (result, read, written, cells) = reader.read_record(text.as_bytes(), &mut plain, &mut ends);
    if matches!(result, ReadRecordResult::Record) && read < text.len() {
        let detail = format!("a line ends inside the record at column {read}");
        return Err(Fault::new(SideReason::InvalidJson, detail));
    }
    let mut total = cells;
    if matches!(result, ReadRecordResult::InputEmpty) {
        // A newline ends the record, or else it is part of a quoted cell that is still open.
        let plain = plain.get_mut(written..).unwrap_or_default();
        let ends = ends.get_mut(cells..).unwrap_or_default();
        let (result, _, _, more) = reader.read_record(b"\n", plain, ends);
        if !matches!(result, ReadRecordResult::Record) {
            return Err(Fault::new(SideReason::InvalidJson, "a quoted cell has no end"));
        }
        total += more;
    }
    ends.truncate(total);
    Ok((plain, ends))
}
