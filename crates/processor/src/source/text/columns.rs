//! From the header of a CSV input to the field path of each column.

use std::{collections::HashSet, sync::Arc};

use csv_core::{ReadFieldResult, ReaderBuilder, Terminator};
use llm_optimizer_config::settings::CsvConfig;

use crate::record::RecordFormat;

/// The separator as a byte.
///
/// # Errors
/// What is wrong with it and what to do, if it cannot separate cells.
pub(crate) fn delimiter_byte(csv: &CsvConfig) -> Result<u8, String> {
    match u8::try_from(csv.delimiter) {
        Ok(byte) if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(byte),
        _ => Err(format!(
            "csv.delimiter {:?} cannot separate cells; use one ASCII character such as ',', ';' or '\\t'",
            csv.delimiter
        )),
    }
}

/// The format of the records behind `first`, which is the header or, without one, a record.
///
/// # Errors
/// What is wrong with the header and what to do.
pub(crate) fn record_format(
    first: &[u8],
    csv: &CsvConfig,
    delimiter: u8,
) -> Result<RecordFormat, String> {
    let cells = split_cells(first, delimiter);
    let names = if csv.has_header { header_names(cells)? } else { numbered(cells.len()) };
    if let Some(unknown) = csv.columns.keys().find(|name| !names.contains(name)) {
        return Err(format!(
            "csv.columns names the column {unknown:?}, which is not there; the columns are {}",
            names.join(", ")
        ));
    }
    let paths: Vec<String> =
        names.into_iter().map(|name| csv.columns.get(&name).cloned().unwrap_or(name)).collect();
    if let Some(twice) = first_duplicate(&paths) {
        return Err(format!("two columns become the field {twice:?}; change csv.columns"));
    }
    Ok(RecordFormat::Csv { columns: Arc::from(paths), delimiter })
}

fn header_names(cells: Vec<Vec<u8>>) -> Result<Vec<String>, String> {
    let mut names = Vec::with_capacity(cells.len());
    for (index, cell) in cells.into_iter().enumerate() {
        let name = String::from_utf8(cell)
            .map_err(|_| format!("the header names column {} in no UTF-8", index + 1))?;
        let is_blank = name.trim().is_empty();
        names.push(if is_blank { format!("column_{}", index + 1) } else { name });
    }
    if let Some(twice) = first_duplicate(&names) {
        return Err(format!(
            "the header names the column {twice:?} twice; rename one, or set csv.has_header: false if the first line is no header"
        ));
    }
    Ok(names)
}

fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("column_{number}")).collect()
}

fn first_duplicate(names: &[String]) -> Option<&String> {
    let mut seen = HashSet::new();
    names.iter().find(|name| !seen.insert(*name))
}

fn split_cells(record: &[u8], delimiter: u8) -> Vec<Vec<u8>> {
    let mut reader =
        ReaderBuilder::new().delimiter(delimiter).terminator(Terminator::Any(b'\n')).build();
    // With its newline back the last cell ends like the others.
    let input = [record, b"\n"].concat();
    let mut cell = vec![0; input.len()];
    let (mut cells, mut at) = (Vec::new(), 0);
    loop {
        let rest = input.get(at..).unwrap_or_default();
        let (result, taken, written) = reader.read_field(rest, &mut cell);
        at += taken;
        if result != ReadFieldResult::End {
            cells.push(cell.get(..written).unwrap_or_default().to_vec());
        }
        if result != (ReadFieldResult::Field { record_end: false }) {
            return cells;
        }
    }
}
