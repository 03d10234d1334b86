//! Files, read once and followed.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use llm_optimizer_config::settings::CsvConfig;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{FileSource, FileSourceConfig, FollowTiming};
use crate::{
    error::{ProcessorError, ProcessorResult},
    record::RecordFormat,
    source::{
        Source, SourceEvent,
        clock::SystemClock,
        testing::{Row, Running, all_rows, batches, start, story, wait_for},
        text::{BatchLimits, TextFormat},
    },
};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, content: &str) -> FileSourceConfig {
        let path = self.path("events");
        fs::write(&path, content).unwrap();
        FileSourceConfig::ndjson(path)
    }
}

fn open(config: FileSourceConfig) -> ProcessorResult<FileSource> {
    FileSource::open(config, Arc::new(SystemClock::new()))
}

fn read(config: FileSourceConfig) -> Vec<SourceEvent> {
    let (events, outcome) = start(open(config).unwrap(), 10_000).all();
    outcome.unwrap();
    events
}

fn row(text: &str, offset: i64, line: u64) -> Row {
    (text.into(), offset, Some(line))
}

fn csv(config: FileSourceConfig) -> FileSourceConfig {
    FileSourceConfig { text: TextFormat::Csv(CsvConfig::default()), ..config }
}

#[test]
fn bounded_file_is_read_to_its_last_line() {
    let folder = Folder::new();
    let source = open(folder.file("one\r\n\n \nlast")).unwrap();
    let progress = source.progress();
    assert_eq!((source.size_bytes(), source.is_bounded()), (Some(12), true));
    let (events, outcome) = start(source, 10).all();
    outcome.unwrap();
    assert_eq!(story(&events), "ABE");
    assert_eq!(all_rows(&events), [row("one", 0, 1), row(" ", 6, 3), row("last", 8, 4)]);
    let batch = batches(&events)[0];
    assert_eq!((batch.next_position.offset, &batch.format), (12, &RecordFormat::Json));
    assert_eq!(progress.bytes(), 12);
}

#[test]
fn empty_file_ends_at_once() {
    assert_eq!(story(&read(Folder::new().file(""))), "AE");
}

#[test]
fn csv_header_is_no_record() {
    let folder = Folder::new();
    let events = read(csv(folder.file("a,b\n1,\"x\ny\"\n2,z\n")));
    assert_eq!(all_rows(&events), [row("1,\"x\ny\"", 4, 2), row("2,z", 12, 4)]);
}

#[test]
fn csv_without_a_header_is_an_error() {
    for empty in ["", "\n\r\n"] {
        let folder = Folder::new();
        let (events, outcome) = start(open(csv(folder.file(empty))).unwrap(), 10).all();
        assert_eq!(story(&events), "A");
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("events") && error.contains("no CSV header"), "{error}");
    }
    assert_eq!(story(&read(csv(Folder::new().file("a,b\n")))), "AE");
}

#[test]
fn duplicate_column_is_an_error() {
    let folder = Folder::new();
    let error = start(open(csv(folder.file("a,a\n1,2\n"))).unwrap(), 10).all().1.unwrap_err();
    assert!(matches!(&error, ProcessorError::Source { .. }));
    assert!(error.to_string().contains("\"a\" twice"), "{error}");
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    let folder = Folder::new();
    let refusal = |config| open(config).err().unwrap().to_string();
    let missing = refusal(FileSourceConfig::ndjson(folder.path("absent")));
    assert!(missing.ends_with("absent: no such file; correct source.path"), "{missing}");
    let relative = refusal(FileSourceConfig::ndjson("absent-from-here"));
    assert!(relative.contains("absent-from-here") && relative.contains("working directory"));
    let directory = refusal(FileSourceConfig::ndjson(folder.path("")));
    assert!(directory.contains("is a directory"), "{directory}");
    let mut device = FileSourceConfig::ndjson("/dev/null");
    assert_eq!(story(&read(device.clone())), "AE");
    device.follow = Some(FollowTiming::default());
    assert!(refusal(device).contains("source.follow: false"));
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let denied = super::open::explain(Path::new("secret"), denied).to_string();
    assert!(denied.contains("secret: permission denied; allow"), "{denied}");
}

#[test]
fn long_line_takes_bounded_memory() {
    let folder = Folder::new();
    let mut config = folder.file(&format!("{}\nnext\n", "x".repeat(3_000_000)));
    config.limits.max_record_bytes = 1_000;
    let events = read(config);
    let rows = all_rows(&events);
    assert_eq!((rows[0].0.len(), rows[0].1), (1_001, 0));
    assert_eq!(rows[1], row("next", 3_000_001, 2));
    let kept: usize = batches(&events).iter().map(|batch| batch.arena.len()).sum();
    assert_eq!(kept, 1_005);
}

#[test]
fn stops_while_the_queue_is_full() {
    let folder = Folder::new();
    let mut config = folder.file(&"line\n".repeat(1_000));
    config.limits.max_records = 10;
    let running = start(open(config).unwrap(), 2);
    running.wait_until_queue_is_full();
    assert!(running.stop_latency() < Duration::from_millis(200));
}

#[test]
fn sample_data_is_read_in_full() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data/azure-llm-conv-2023.csv");
    let rows = all_rows(&read(csv(FileSourceConfig::ndjson(path))));
    assert_eq!(rows.len(), 19_366);
    assert_eq!(rows[0], row("2023-11-16 18:15:46.6805900,374,44", 41, 2));
    assert_eq!(rows[19_365].0, "2023-11-16 19:14:08.4025270,197,183");
}

fn named_pipe(folder: &Folder) -> FileSourceConfig {
    let path = folder.path("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    FileSourceConfig::ndjson(path)
}

#[test]
fn named_pipe_is_read_until_its_writer_closes() {
    let folder = Folder::new();
    let config = named_pipe(&folder);
    let running = start(open(config.clone()).unwrap(), 10);
    let mut writer = OpenOptions::new().write(true).open(&config.path).unwrap();
    writer.write_all(b"a\nb").unwrap();
    assert_eq!(running.rows(1), [row("a", 0, 1)]);
    drop(writer);
    assert_eq!(all_rows(&running.all().0), [row("b", 2, 2)]);
}

#[test]
fn stops_while_nobody_writes_to_the_pipe() {
    let folder = Folder::new();
    let running = start(open(named_pipe(&folder)).unwrap(), 10);
    assert!(matches!(running.next(), SourceEvent::Assigned(_)));
    assert!(running.stop_latency() < Duration::from_millis(200));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn size_of_reads_and_batches_does_not_change_the_records(
        lines in proptest::collection::vec("[a-c \"\\r,]{0,12}", 0..30),
        read_bytes in 1_usize..40, max_records in 1_usize..10, max_record_bytes in 1_usize..20,
        is_csv: bool,
    ) {
        let folder = Folder::new();
        let mut config = folder.file(&format!("h\n{}", lines.join("\n")));
        config.limits.max_record_bytes = max_record_bytes;
        if is_csv {
            config.text = TextFormat::Csv(CsvConfig { has_header: true, ..CsvConfig::default() });
        }
        let expected = all_rows(&read(config.clone()));
        config.read_bytes = read_bytes;
        config.limits.max_records = max_records;
        let events = read(config);
        prop_assert!(batches(&events).iter().all(|batch| batch.records.len() <= max_records));
        prop_assert_eq!(all_rows(&events), expected);
    }
}

// Followed files.

fn followed(config: &FileSourceConfig) -> Running {
    let timing =
        FollowTiming { poll: Duration::from_millis(2), rotation_grace: Duration::from_millis(30) };
    let mut config = config.clone();
    config.follow = Some(timing);
    let source = open(config).unwrap();
    assert_eq!((source.size_bytes(), source.is_bounded()), (None, false));
    start(source, 1_000)
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn appended_lines_follow_and_an_unfinished_line_is_held_back() {
    let folder = Folder::new();
    let config = folder.file("one\ntw");
    let running = followed(&config);
    assert_eq!(running.rows_until_caught_up(), [row("one", 0, 1)]);
    append(&config.path, "o\nthree\n");
    assert_eq!(running.rows(2), [row("two", 4, 2), row("three", 8, 3)]);
    assert!(matches!(running.next(), SourceEvent::CaughtUp(_)));
    append(&config.path, "four\n");
    assert_eq!(running.rows_until_caught_up(), [row("four", 14, 4)]);
    assert!(running.stop_latency() < Duration::from_millis(200));
}

#[test]
fn renamed_file_is_read_out_before_its_successor() {
    let folder = Folder::new();
    let config = folder.file("one\n");
    let running = followed(&config);
    running.rows_until_caught_up();
    let rotated = folder.path("events.1");
    fs::rename(&config.path, &rotated).unwrap();
    append(&rotated, "two\ncut");
    assert_eq!(running.rows(1), [row("two", 4, 2)]);
    fs::write(&config.path, "new\n").unwrap();
    assert_eq!(running.rows(2), [row("cut", 8, 3), row("new", 0, 1)]);
}

#[test]
fn writer_that_notices_the_rotation_late_loses_nothing() {
    let folder = Folder::new();
    let config = folder.file("one\n");
    let mut old = OpenOptions::new().append(true).open(&config.path).unwrap();
    let running = followed(&config);
    running.rows_until_caught_up();
    fs::rename(&config.path, folder.path("events.1")).unwrap();
    old.write_all(b"two\n").unwrap();
    File::create(&config.path).unwrap();
    old.write_all(b"three\n").unwrap();
    assert_eq!(running.rows(2), [row("two", 4, 2), row("three", 8, 3)]);
    append(&config.path, "four\n");
    assert_eq!(running.rows(1), [row("four", 0, 1)]);
}

#[test]
fn truncated_file_is_read_from_its_start() {
    let folder = Folder::new();
    let config = folder.file("first\nsecond\n");
    let running = followed(&config);
    assert_eq!(running.rows_until_caught_up().len(), 2);
    fs::write(&config.path, "new\n").unwrap();
    assert_eq!(running.rows(1), [row("new", 0, 1)]);
}

#[test]
fn file_written_anew_and_longer_is_read_from_its_start() {
    let folder = Folder::new();
    let config = folder.file("a\n");
    let running = followed(&config);
    running.rows_until_caught_up();
    fs::write(folder.path("longer"), "b\nc\nd\n").unwrap();
    // One step, so that no moment shows the file shorter than it was.
    let file = OpenOptions::new().write(true).open(&config.path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"b\nc\nd\n", 0).unwrap();
    assert_eq!(running.rows(3), [row("b", 0, 1), row("c", 2, 2), row("d", 4, 3)]);
}

#[test]
fn csv_header_may_come_late_and_anew_after_rotation() {
    let folder = Folder::new();
    let config = csv(folder.file(""));
    let running = followed(&config);
    assert!(running.rows_until_caught_up().is_empty());
    append(&config.path, "a,b\n1,2\n");
    assert_eq!(running.rows(1), [row("1,2", 4, 2)]);
    fs::rename(&config.path, folder.path("events.1")).unwrap();
    fs::write(&config.path, "b,a\n4,3\n").unwrap();
    let batch = loop {
        if let SourceEvent::Batch(batch) = running.next() {
            break batch;
        }
    };
    let RecordFormat::Csv { columns, .. } = &batch.format else { panic!("no CSV") };
    assert_eq!(columns.as_ref(), ["b", "a"]);
}

#[test]
fn followed_file_gives_what_a_bounded_read_gives() {
    let folder = Folder::new();
    let config = folder.file("");
    let running = followed(&config);
    let mut text = String::new();
    for number in 0..500 {
        let before = text.len();
        write!(text, "line {number}\n{}", if number % 7 == 0 { "\n" } else { "" }).unwrap();
        // In halves, so that lines are seen unfinished.
        let middle = before + (text.len() - before) / 2;
        append(&config.path, &text[before..middle]);
        append(&config.path, &text[middle..]);
    }
    let expected =
        all_rows(&read(FileSourceConfig { limits: BatchLimits::default(), ..config.clone() }));
    assert_eq!(running.rows(500), expected);
}

#[test]
fn stop_is_seen_while_the_file_is_gone() {
    let folder = Folder::new();
    let config = folder.file("a\n");
    let running = followed(&config);
    running.rows_until_caught_up();
    fs::remove_file(&config.path).unwrap();
    wait_for(|| !config.path.exists());
    assert!(running.stop_latency() < Duration::from_millis(200));
}
