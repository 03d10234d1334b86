//! Standard input: end, stop, latency.

use std::{
    io::{self, Read, Write, pipe},
    sync::Arc,
    time::Duration,
};

use llm_optimizer_config::settings::CsvConfig;

use super::StdinSource;
use crate::{
    ProcessorError,
    record::{RecordFormat, SourceKind},
    source::{
        Source, SourceEvent,
        clock::SystemClock,
        testing::{Running, all_rows, batches, start, story},
        text::{BatchLimits, TextFormat},
    },
};

fn source(input: impl Read + Send + 'static, text: TextFormat) -> StdinSource {
    let clock = Arc::new(SystemClock::new());
    StdinSource::with_input(Box::new(input), text, BatchLimits::default(), clock)
}

fn read(input: &'static str, text: TextFormat) -> Running {
    start(source(input.as_bytes(), text), 100)
}

#[test]
fn ends_when_the_input_closes() {
    let (events, outcome) = read("{\"a\":1}\n\n{\"a\":2}", TextFormat::Ndjson).all();
    outcome.unwrap();
    assert_eq!(story(&events), "ABE");
    let SourceEvent::Assigned(origins) = &events[0] else { panic!("{events:?}") };
    assert_eq!((origins[0].kind, origins[0].name.as_str()), (SourceKind::Stdin, "-"));
    assert_eq!(
        all_rows(&events),
        [("{\"a\":1}".into(), 0, Some(1)), ("{\"a\":2}".into(), 9, Some(3))]
    );
}

#[test]
fn reads_csv_with_a_header() {
    let (events, outcome) = read("a,b\n1,2\n", TextFormat::Csv(CsvConfig::default())).all();
    outcome.unwrap();
    assert_eq!(all_rows(&events), [("1,2".into(), 4, Some(2))]);
    let RecordFormat::Csv { columns, .. } = &batches(&events)[0].format else { panic!("no CSV") };
    assert_eq!(columns.as_ref(), ["a", "b"]);
}

#[test]
fn record_leaves_while_the_writer_is_silent() {
    let (reader, mut writer) = pipe().unwrap();
    let running = start(source(reader, TextFormat::Ndjson), 100);
    for text in ["first", "second"] {
        writeln!(writer, "{text}").unwrap();
        assert_eq!(running.rows(1)[0].0, text);
    }
    drop(writer);
    assert_eq!(story(&running.all().0), "E");
}

#[test]
fn stops_although_a_read_blocks() {
    let (reader, writer) = pipe().unwrap();
    let running = start(source(reader, TextFormat::Ndjson), 100);
    assert!(matches!(running.next(), SourceEvent::Assigned(_)));
    assert!(running.stop_latency() < Duration::from_millis(200));
    drop(writer);
}

#[test]
fn failed_read_keeps_what_was_read_before() {
    struct Failing(&'static [u8]);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::other("unplugged")),
                bytes => Ok(bytes),
            }
        }
    }
    let (events, outcome) = start(source(Failing(b"a\n"), TextFormat::Ndjson), 100).all();
    assert_eq!(story(&events), "AB");
    let error = outcome.unwrap_err();
    assert!(matches!(error, ProcessorError::Io { action: "read", .. }));
    assert_eq!(error.to_string(), "cannot read <stdin>: unplugged");
}

#[test]
fn progress_counts_bytes() {
    let source = source("abc\nd".as_bytes(), TextFormat::Ndjson);
    let progress = source.progress();
    assert!(source.is_bounded());
    start(source, 100).all().1.unwrap();
    assert_eq!(progress.bytes(), 5);
}
