//! Splitting and batching, whatever the chunks.

use std::{collections::BTreeMap, sync::Arc};

use csv_core::{ReadRecordResult, ReaderBuilder, Terminator};
use llm_optimizer_config::settings::CsvConfig;
use llm_optimizer_engine::core::PartitionId;
use proptest::prelude::*;

use super::{
    BatchLimits, TextFormat,
    batcher::TextBatcher,
    columns::record_format,
    splitter::{Dialect, Splitter},
};
use crate::record::{PartitionOrigin, RecordBatch, RecordFormat, SourceKind};

type Cut = (Vec<u8>, u64, u64);

fn split(dialect: Dialect, limit: usize, input: &[u8], chunk: usize) -> Vec<Cut> {
    let mut splitter = Splitter::new(dialect, limit);
    let mut cuts = Vec::new();
    for mut part in input.chunks(chunk.max(1)) {
        while !part.is_empty() {
            let (taken, found) = splitter.next(part);
            cuts.extend(found.map(|f| (f.bytes.to_vec(), f.offset, f.line)));
            part = &part[taken..];
        }
    }
    cuts.extend(splitter.finish().map(|f| (f.bytes.to_vec(), f.offset, f.line)));
    assert_eq!(splitter.position(), input.len() as u64);
    cuts
}

fn check(dialect: Dialect, limit: usize, input: &str, expected: &[(&str, u64, u64)]) {
    let expected: Vec<Cut> = expected
        .iter()
        .map(|(text, offset, line)| (text.as_bytes().to_vec(), *offset, *line))
        .collect();
    for chunk in 1..=input.len() + 1 {
        assert_eq!(split(dialect, limit, input.as_bytes(), chunk), expected, "chunk {chunk}");
    }
}

const CSV: Dialect = Dialect::Quoted { delimiter: b',' };

#[test]
fn empty_lines_are_no_records_and_white_space_is_one() {
    check(Dialect::Lines, 100, "a\n\n\r\nb\r\n  \n\r", &[("a", 0, 1), ("b", 5, 4), ("  ", 8, 5)]);
}

#[test]
fn last_line_without_newline_is_a_record() {
    check(Dialect::Lines, 100, "a\nb", &[("a", 0, 1), ("b", 2, 2)]);
    check(Dialect::Lines, 100, "a\nb\r", &[("a", 0, 1), ("b", 2, 2)]);
    check(Dialect::Lines, 100, "", &[]);
}

#[test]
fn long_line_is_kept_cut_to_the_limit_and_one() {
    check(
        Dialect::Lines,
        3,
        "abc\nabcd\nabcdefgh\nabc\r\nab\r\r\nx\n",
        &[
            ("abc", 0, 1),
            ("abcd", 4, 2),
            ("abcd", 9, 3),
            ("abc", 18, 4),
            ("ab\r", 23, 5),
            ("x", 28, 6),
        ],
    );
}

#[test]
fn byte_order_mark_is_skipped() {
    check(Dialect::Lines, 100, "\u{feff}a\n\u{feff}b\n", &[("a", 3, 1), ("\u{feff}b", 5, 2)]);
    check(Dialect::Lines, 100, "\u{feff}\na\n", &[("a", 4, 2)]);
}

#[test]
fn quoted_cells_hold_newlines_and_quotes() {
    check(
        CSV,
        100,
        "a,\"x\ny\"\r\n\"\"\"\n\",2\nb\"\n,\"c\n",
        &[("a,\"x\ny\"", 0, 1), ("\"\"\"\n\",2", 9, 3), ("b\"", 17, 5), (",\"c\n", 20, 6)],
    );
}

#[test]
fn open_quote_costs_no_more_than_the_limit() {
    check(
        CSV,
        8,
        "\"abc\ndefghijk\nnext,1\n\"q\"\n",
        &[("\"abc\ndefg", 0, 1), ("next,1", 14, 3), ("\"q\"", 21, 4)],
    );
}

/// Records of `csv_core`, as cells.
fn reference(input: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut reader = ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build();
    let (mut rest, mut records) = (input, Vec::new());
    loop {
        let (mut out, mut ends) = (vec![0; input.len() + 1], vec![0; input.len() + 2]);
        let (mut wrote, mut ended) = (0, 0);
        loop {
            let (result, taken, bytes, cells) =
                reader.read_record(rest, &mut out[wrote..], &mut ends[ended..]);
            rest = &rest[taken..];
            wrote += bytes;
            ended += cells;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return records,
                full => panic!("{full:?}"),
            }
        }
        let mut from = 0;
        records.push(
            ends[..ended]
                .iter()
                .map(|&end| out[std::mem::replace(&mut from, end)..end].to_vec())
                .collect(),
        );
    }
}

fn csv_text() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(proptest::sample::select(b"ab,,\"\"\"\n\n\r ".to_vec()), 0..60)
}

proptest! {
    #[test]
    fn chunks_do_not_change_the_records(
        input in csv_text(), chunk in 1_usize..70, limit in 1_usize..30, quoted: bool,
    ) {
        let dialect = if quoted { CSV } else { Dialect::Lines };
        let whole = split(dialect, limit, &input, input.len());
        prop_assert_eq!(&split(dialect, limit, &input, chunk), &whole);
        for (bytes, offset, line) in &whole {
            let offset = usize::try_from(*offset).unwrap();
            prop_assert!(bytes.len() <= limit + 1);
            prop_assert_eq!(&input[offset..offset + bytes.len()], bytes.as_slice());
            let newlines = memchr::memchr_iter(b'\n', &input[..offset]).count();
            prop_assert_eq!(*line, newlines as u64 + 1);
        }
    }

    #[test]
    fn csv_records_end_where_csv_core_ends_them(input in csv_text()) {
        let cells = |bytes: &[u8]| reference(&[bytes, b"\n"].concat());
        let own: Vec<_> = split(CSV, 1_000, &input, input.len())
            .into_iter()
            .flat_map(|(bytes, ..)| cells(&bytes))
            .collect();
        // Without a carriage return before the newline, which is no part of a record here.
        let same = |records: Vec<Vec<Vec<u8>>>| -> Vec<Vec<Vec<u8>>> {
            records
                .into_iter()
                .map(|mut record| {
                    if let Some(cell) = record.last_mut() {
                        while cell.last().is_some_and(u8::is_ascii_whitespace) { cell.pop(); }
                    }
                    record
                })
                .filter(|record| !(record.len() == 1 && record[0].is_empty()))
                .collect()
        };
        prop_assert_eq!(same(own), same(reference(&input)));
    }
}

fn batcher(text: TextFormat, limits: BatchLimits) -> TextBatcher {
    let origin = PartitionOrigin {
        id: PartitionId(0),
        kind: SourceKind::Custom,
        name: "test".into(),
        partition: 0,
    };
    TextBatcher::new(Arc::new(origin), text, limits).unwrap()
}

fn all_batches(mut text: TextBatcher, input: &[u8]) -> Result<Vec<RecordBatch>, String> {
    let (mut rest, mut batches) = (input, Vec::new());
    while !rest.is_empty() {
        let taken = text.feed(rest, &|| 7_000)?;
        rest = &rest[taken..];
        if text.is_full() {
            batches.extend(text.take());
        }
    }
    text.finish(&|| 7_000)?;
    batches.extend(text.take());
    Ok(batches)
}

#[test]
fn batch_ends_at_the_count_or_the_bytes() {
    let limits = BatchLimits { max_records: 3, max_bytes: 10, max_record_bytes: 100 };
    let input = b"a\nb\nc\nd\nlong line no 1\ne\n";
    let batches = all_batches(batcher(TextFormat::Ndjson, limits), input).unwrap();
    let sizes: Vec<_> = batches.iter().map(|batch| batch.records.len()).collect();
    assert_eq!(sizes, [3, 2, 1]);
    let positions: Vec<_> = batches.iter().map(|batch| batch.next_position.offset).collect();
    assert_eq!(positions, [6, 23, 25]);
    assert!(batches.iter().all(|batch| batch.received_ms == 7));
}

fn csv(columns: &[(&str, &str)], has_header: bool) -> CsvConfig {
    let columns: BTreeMap<String, String> =
        columns.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect();
    CsvConfig { has_header, columns, ..CsvConfig::default() }
}

fn columns_of(header: &str, csv: &CsvConfig) -> Result<Vec<String>, String> {
    match record_format(header.as_bytes(), csv, b',')? {
        RecordFormat::Csv { columns, .. } => Ok(columns.to_vec()),
        RecordFormat::Json => panic!("not CSV"),
    }
}

#[test]
fn header_names_the_columns_and_the_settings_rename_them() {
    let config = csv(&[("TIMESTAMP", "timestamp"), ("b c", "metrics.b")], true);
    assert_eq!(
        columns_of("TIMESTAMP,a,\"b c\",,\"x,y\"", &config).unwrap(),
        ["timestamp", "a", "metrics.b", "column_4", "x,y"]
    );
    let config = csv(&[("column_2", "tokens")], false);
    assert_eq!(columns_of("1,2,", &config).unwrap(), ["column_1", "tokens", "column_3"]);
}

#[test]
fn unusable_header_says_what_to_do() {
    let refused =
        |header, columns: &[(&str, &str)]| columns_of(header, &csv(columns, true)).unwrap_err();
    assert_eq!(
        refused("a,b,a", &[]),
        "the header names the column \"a\" twice; rename one, or set csv.has_header: false if the first line is no header"
    );
    assert_eq!(
        refused("a,b", &[("c", "x")]),
        "csv.columns names the column \"c\", which is not there; the columns are a, b"
    );
    assert_eq!(
        refused("a,b", &[("a", "b")]),
        "two columns become the field \"b\"; change csv.columns"
    );
}

#[test]
fn header_too_long_to_be_one_is_refused() {
    let limits = BatchLimits { max_record_bytes: 10, ..BatchLimits::default() };
    let error = all_batches(
        batcher(TextFormat::Csv(csv(&[], true)), limits),
        b"a,\"never closed\n1,2\n3,4\n",
    )
    .unwrap_err();
    assert!(error.contains("limits.max_record_bytes"), "{error}");
}

#[test]
fn unusable_delimiter_is_refused() {
    for delimiter in ['"', '\n', '\r', 'é'] {
        let config = CsvConfig { delimiter, ..CsvConfig::default() };
        let error = super::columns::delimiter_byte(&config).unwrap_err();
        assert!(error.contains("csv.delimiter"), "{error}");
    }
}
