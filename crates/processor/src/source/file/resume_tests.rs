//! Going on in a file where a commit stopped.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use llm_optimizer_config::settings::CsvConfig;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{FileSource, FileSourceConfig, FollowTiming};
use crate::{
    error::ProcessorResult,
    record::{PartitionKey, Position, RecordFormat, SourceKind},
    source::{
        Source, SourceEvent,
        clock::SystemClock,
        testing::{Row, all_rows, batches, start},
        text::{BatchLimits, TextFormat},
    },
};

struct Place(TempDir);

impl Place {
    fn new(content: &str) -> Self {
        let place = Self(TempDir::new().unwrap());
        fs::write(place.path("events"), content).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// One record per batch, so that there is a position behind each.
    fn config(&self) -> FileSourceConfig {
        let limits = BatchLimits { max_records: 1, ..BatchLimits::default() };
        FileSourceConfig { limits, ..FileSourceConfig::ndjson(self.path("events")) }
    }

    fn followed(&self) -> FileSourceConfig {
        let timing = FollowTiming {
            poll: Duration::from_millis(1),
            rotation_grace: Duration::from_millis(5),
        };
        FileSourceConfig { follow: Some(timing), ..self.config() }
    }

    fn stored(&self, position: Position) -> Vec<(PartitionKey, Position)> {
        let name = self.path("events").display().to_string();
        vec![(PartitionKey { source: SourceKind::File, name, partition: 0 }, position)]
    }

    /// A source that goes on at `position`.
    fn resumed(&self, config: FileSourceConfig, position: Position) -> ProcessorResult<FileSource> {
        let mut source = FileSource::open(config, Arc::new(SystemClock::new()))?;
        source.resume(&self.stored(position)).map(|()| source)
    }
}

fn read(source: FileSource) -> Vec<SourceEvent> {
    let (events, outcome) = start(source, 10_000).all();
    outcome.unwrap();
    events
}

/// All rows, and the position behind each.
fn rows_and_positions(config: FileSourceConfig) -> Vec<(Row, Position)> {
    let events = read(FileSource::open(config, Arc::new(SystemClock::new())).unwrap());
    let rows = all_rows(&events).into_iter();
    rows.zip(batches(&events).into_iter().map(|batch| batch.next_position)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Wherever reading stops, the rest is what would have come.
    #[test]
    fn nothing_is_read_twice_or_left_out(
        lines in prop::collection::vec("[a-z\"\r]{0,6}", 1..20),
        ends_in_newline: bool,
        is_csv: bool,
    ) {
        let mut text = if is_csv { "h1,h2\n".to_owned() } else { String::new() };
        text.push_str(&lines.join("\n"));
        if ends_in_newline {
            text.push('\n');
        }
        let place = Place::new(&text);
        let mut config = place.config();
        if is_csv {
            config.text = TextFormat::Csv(CsvConfig::default());
        }
        let all = rows_and_positions(config.clone());
        let rows: Vec<Row> = all.iter().map(|(row, _)| row.clone()).collect();
        for (number, (_, position)) in all.iter().enumerate() {
            let events = read(place.resumed(config.clone(), *position).unwrap());
            prop_assert_eq!(&all_rows(&events), &rows[number + 1..], "behind {}", number);
            for batch in batches(&events) {
                let is_right = matches!(&batch.format, RecordFormat::Csv { columns, .. } if columns[0] == "h1");
                prop_assert_eq!(is_right, is_csv);
            }
        }
    }
}

const LINES: &str = "first\nsecond\nthird\n";

/// The position behind the first line.
fn behind_first(place: &Place) -> Position {
    rows_and_positions(place.config())[0].1
}

#[test]
fn a_file_that_grew_goes_on() {
    let place = Place::new(LINES);
    let position = behind_first(&place);
    place.append("events", "fourth");
    let rows = all_rows(&read(place.resumed(place.config(), position).unwrap()));
    let texts: Vec<_> = rows.iter().map(|row| (row.0.as_str(), row.1, row.2)).collect();
    assert_eq!(texts, [("second", 6, Some(2)), ("third", 13, Some(3)), ("fourth", 19, Some(4))]);
}

#[test]
fn another_file_of_the_name_is_refused_with_what_to_do() {
    for (what, change) in [
        ("truncated", (|place| fs::write(place.path("events"), "f").unwrap()) as fn(&Place)),
        ("truncated", |place| fs::write(place.path("events"), "other\nlines\nof text\n").unwrap()),
        ("replaced", |place| {
            fs::rename(place.path("events"), place.path("events.1")).unwrap();
            fs::write(place.path("events"), LINES).unwrap();
        }),
        ("gone", |place| {
            fs::write(place.path("new"), LINES).unwrap();
            fs::rename(place.path("new"), place.path("events")).unwrap();
        }),
    ] {
        let place = Place::new(LINES);
        let position = behind_first(&place);
        change(&place);
        let refused = place.resumed(place.config(), position).err().unwrap().to_string();
        assert!(refused.contains(what) && refused.contains("--new-state"), "{what}: {refused}");
    }
}

#[test]
fn a_followed_file_that_was_rotated_meanwhile_is_read_to_its_end_and_then_the_new_one() {
    let place = Place::new(LINES);
    let position = behind_first(&place);
    fs::rename(place.path("events"), place.path("events.1")).unwrap();
    place.append("events.1", "last of the old\n");
    fs::write(place.path("events"), "new 1\nnew 2\n").unwrap();
    let running = start(place.resumed(place.followed(), position).unwrap(), 100);
    let texts: Vec<_> = running.rows(5).into_iter().map(|row| (row.0, row.2)).collect();
    let expected =
        [("second", 2), ("third", 3), ("last of the old", 4), ("new 1", 1), ("new 2", 2)];
    assert_eq!(texts, expected.map(|(text, line)| (text.to_owned(), Some(line))));
    running.stop_latency();
}

#[test]
fn a_followed_file_that_was_truncated_is_read_from_its_start_and_one_that_is_gone_is_refused() {
    let place = Place::new(LINES);
    let position = behind_first(&place);
    fs::write(place.path("events"), "anew\n").unwrap();
    let running = start(place.resumed(place.followed(), position).unwrap(), 100);
    assert_eq!(running.rows(1)[0].0, "anew");
    running.stop_latency();
    let place = Place::new(LINES);
    let position = behind_first(&place);
    fs::write(place.path("new"), LINES).unwrap();
    fs::rename(place.path("new"), place.path("events")).unwrap();
    let refused = place.resumed(place.followed(), position).err().unwrap().to_string();
    assert!(refused.contains("is gone"), "{refused}");
}

#[test]
fn a_position_of_another_partition_changes_nothing() {
    let place = Place::new(LINES);
    let mut source = FileSource::open(place.config(), Arc::new(SystemClock::new())).unwrap();
    let key = PartitionKey { source: SourceKind::File, name: "elsewhere".into(), partition: 0 };
    source.resume(&[(key, Position::at(7))]).unwrap();
    assert_eq!(all_rows(&read(source)).len(), 3);
}
