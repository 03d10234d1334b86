//! Whole lines, once each, whatever fails.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use llm_optimizer_engine::core::PartitionId;
use llm_optimizer_types::{
    SideRecord,
    output::{SideKind, SideReason},
};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    FileSink, OpenMode, SideFileSink,
    lines::{LineFile, Target},
    sink::JsonLines,
};
use crate::{
    error::ProcessorError,
    record::{PartitionOrigin, RecordBatch, RecordFormat, SourceKind},
    sink::{ResultSink, SideSink, side::side_output, testing::output_of_lines as output},
};

#[test]
fn each_result_is_a_line_at_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("results.ndjson");
    let mut sink = FileSink::open(&path, OpenMode::Truncate).unwrap();
    sink.deliver(&output(&["{1}", "{2}"])).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{1}\n{2}\n");
    sink.deliver(&output(&[])).unwrap();
    sink.deliver(&output(&["{3}"])).unwrap();
    sink.close().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{1}\n{2}\n{3}\n");
    assert_eq!(sink.name(), path.display().to_string());
}

#[test]
fn earlier_content_is_replaced_or_kept() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("results.ndjson");
    let run = |mode, line| {
        let mut sink = FileSink::open(&path, mode).unwrap();
        sink.deliver(&output(&[line])).unwrap();
        sink.close().unwrap();
        fs::read_to_string(&path).unwrap()
    };
    assert_eq!(run(OpenMode::Append, "a"), "a\n");
    assert_eq!(run(OpenMode::Append, "b"), "a\nb\n");
    assert_eq!(run(OpenMode::Truncate, "c"), "c\n");
    fs::write(&path, "c\nto").unwrap();
    assert_eq!(run(OpenMode::Append, "d"), "c\nto\nd\n");
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let refusal = |path: &Path| {
        let error = FileSink::open(path, OpenMode::Truncate).err().unwrap();
        assert!(matches!(error, ProcessorError::Sink { .. }));
        error.to_string()
    };
    let missing = refusal(&folder.path().join("absent/results"));
    assert!(missing.contains("absent/results: its directory does not exist"), "{missing}");
    assert!(refusal(folder.path()).contains("is a directory"));
}

#[test]
fn device_is_written_without_sync() {
    let mut sink = FileSink::open(Path::new("/dev/null"), OpenMode::Append).unwrap();
    sink.deliver(&output(&["a"])).unwrap();
    sink.close().unwrap();
}

#[test]
fn full_disk_is_an_error() {
    let mut sink = FileSink::open(Path::new("/dev/full"), OpenMode::Truncate).unwrap();
    let error = sink.deliver(&output(&["a"])).unwrap_err();
    assert!(error.to_string().starts_with("cannot write /dev/full: No space left"), "{error}");
}

#[test]
fn side_records_are_json_lines() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("dead.ndjson");
    let origin = PartitionOrigin {
        id: PartitionId(0),
        kind: SourceKind::File,
        name: "in".into(),
        partition: 0,
    };
    let mut batch = RecordBatch::new(Arc::new(origin), RecordFormat::Json, 0);
    batch.push(b"oops", 5, Some(2));
    batch.push(b"\xff", 10, Some(3));
    let dead = |index| {
        let (kind, reason) = (SideKind::DeadLetter, SideReason::InvalidJson);
        side_output(&batch, index, kind, reason, "no object".into(), None)
    };
    let mut sink = SideFileSink::open(&path, OpenMode::Truncate).unwrap();
    sink.deliver(&[dead(0), dead(1)]).unwrap();
    sink.close().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let records: Vec<SideRecord> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records[0].record.as_deref(), Some("oops"));
    assert_eq!(records[1].record_base64.as_deref(), Some("/w=="));
    assert_eq!(records[1].origin.offset, 10);
}

/// A disk that takes so many bytes before it fails, and then again, and so on.
#[derive(Default)]
struct Flaky {
    content: Vec<u8>,
    budgets: Vec<usize>,
    fails_to_cut: bool,
}

impl Write for Flaky {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(budget) = self.budgets.last_mut() else {
            self.content.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        let taken = bytes.len().min(*budget);
        *budget -= taken;
        self.content.extend_from_slice(&bytes[..taken]);
        if taken == 0 {
            self.budgets.pop();
            return Err(io::Error::other("disk on strike"));
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Flaky {
    fn cut_to(&mut self, len: u64) -> io::Result<()> {
        if self.fails_to_cut {
            self.fails_to_cut = false;
            return Err(io::Error::other("no cutting today"));
        }
        self.content.truncate(usize::try_from(len).unwrap());
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

proptest! {
    #[test]
    fn retries_neither_tear_nor_double_lines(
        deliveries in proptest::collection::vec(proptest::collection::vec("[a-z]{1,8}", 0..5), 1..8),
        budgets in proptest::collection::vec(0_usize..40, 0..8),
        fails_to_cut: bool,
    ) {
        let disk = Flaky { budgets, fails_to_cut, ..Flaky::default() };
        let mut sink = JsonLines::new(LineFile::new(disk, Path::new("flaky"), 0, true));
        let mut expected = String::new();
        for lines in &deliveries {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let output = output(&lines);
            while sink.results(&output).is_err() {}
            for line in lines {
                expected.push_str(line);
                expected.push('\n');
            }
            prop_assert_eq!(sink.file.target().content.as_slice(), expected.as_bytes());
        }
    }

    #[test]
    fn close_after_a_failed_write_leaves_whole_lines(budget in 0_usize..6) {
        let disk = Flaky { budgets: vec![0, 4 + budget], ..Flaky::default() };
        let mut sink = JsonLines::new(LineFile::new(disk, Path::new("flaky"), 0, true));
        sink.results(&output(&["one"])).unwrap();
        prop_assert!(sink.results(&output(&["three"])).is_err());
        sink.file.close().unwrap();
        prop_assert_eq!(sink.file.target().content.as_slice(), b"one\n");
    }
}
