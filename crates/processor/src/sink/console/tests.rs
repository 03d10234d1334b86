//! What people and programs see on standard output.

use std::{
    io::{self, ErrorKind, Write},
    sync::{Arc, Mutex},
};

use llm_optimizer_types::{ResultRecord, output::PaneTiming};

use super::{ConsoleLayout, ConsoleSink};
use crate::sink::{
    ResultSink, is_broken_pipe,
    testing::{output, output_of_lines, record},
};

/// A stream that takes a few bytes at a time and fails when told to.
#[derive(Clone, Default)]
struct Stream(Arc<Mutex<StreamState>>);

#[derive(Default)]
struct StreamState {
    text: Vec<u8>,
    fails_at: Option<(usize, ErrorKind)>,
}

impl Stream {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().text.clone()).unwrap()
    }

    fn fail_at(&self, len: usize, kind: ErrorKind) {
        self.0.lock().unwrap().fails_at = Some((len, kind));
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        let written = state.text.len();
        let room = state.fails_at.map_or(usize::MAX, |(len, _)| len - written);
        if room == 0 {
            let (_, kind) = state.fails_at.take().unwrap();
            return Err(kind.into());
        }
        let taken = bytes.len().min(7).min(room);
        state.text.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn sink(layout: ConsoleLayout) -> (ConsoleSink, Stream) {
    let stream = Stream::default();
    (ConsoleSink::with_stream(Box::new(stream.clone()), layout), stream)
}

const PLAIN: ConsoleLayout = ConsoleLayout::Table { has_colours: false, max_width: None };

fn shown(layout: ConsoleLayout, deliveries: Vec<Vec<ResultRecord>>) -> String {
    let (mut sink, stream) = sink(layout);
    for records in deliveries {
        sink.deliver(&output(records)).unwrap();
    }
    sink.close().unwrap();
    stream.text()
}

#[test]
fn programs_get_one_line_of_json_per_result() {
    let results = vec![record(&[("count", 1.0)]), record(&[("count", 2.0)])];
    let text = shown(ConsoleLayout::Ndjson, vec![results.clone(), vec![]]);
    let read: Vec<ResultRecord> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, results);
}

#[test]
fn people_get_a_table_that_goes_on() {
    let first = [("count", 374.0), ("average", 1_234.567), ("p99", 0.001_25), ("p50", 2.0)];
    let mut late = record(&[("count", 5.0), ("average", 12.345), ("p50", 2.5)]);
    late.pane.timing = PaneTiming::Late;
    late.pane.revision = 1;
    late.window.end = "2023-11-17T00:00:00.250Z".into();
    late.supersedes = vec!["11-0".into()];
    let other = record(&[("count", 12.0), ("average", 9.5), ("p50", 3.0)]);
    let text = shown(PLAIN, vec![vec![record(&first)], vec![other], vec![], vec![late]]);
    let expected = "
 window (UTC)                    key      count     avg  p50       p99
──────────────────────────────────────────────────────────────────────────
 2023-11-16 18:15:00 – 18:16:00  model=m    374  1234.6    2  0.001250
 2023-11-16 18:15:00 – 18:16:00  model=m     12    9.50    3         –

 window (UTC)                                   key      count     avg   p50       p99
─────────────────────────────────────────────────────────────────────────────────────────────────────────────────
 2023-11-16 18:15:00 – 2023-11-17 00:00:00.250  model=m      5   12.35  2.50         –  late, revision 1, merged
";
    assert_eq!(format!("\n{text}"), expected);
}

#[test]
fn narrow_terminal_leaves_out_the_expendable() {
    let all = ["count", "sum", "average", "min", "max", "stddev", "p50", "p95"];
    let statistics = all.map(|name| (name, 1_234.5));
    let layout = ConsoleLayout::Table { has_colours: false, max_width: Some(95) };
    let text = shown(layout, vec![vec![record(&statistics)]]);
    let heading: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heading, ["window", "(UTC)", "key", "count", "avg", "min", "max", "p50", "p95"]);
    assert!(text.lines().all(|line| line.chars().count() <= 95), "{text}");
}

#[test]
fn several_values_are_shown_one_after_the_other() {
    let names = ["b_p99.9", "b_count", "a_ms_p95", "a_ms_p5", "a_ms_average", "a_ms_rate"];
    let text = shown(PLAIN, vec![vec![record(&names.map(|name| (name, 1.0)))]]);
    let heading: Vec<&str> = text.lines().next().unwrap().split_whitespace().skip(3).collect();
    assert_eq!(heading, ["a_ms_avg", "a_ms_p5", "a_ms_p95", "a_ms_rate", "b_count", "b_p99.9"]);
}

#[test]
fn colours_mark_late_results_only() {
    let mut late = record(&[("count", 5.0)]);
    late.pane.timing = PaneTiming::Late;
    let coloured = ConsoleLayout::Table { has_colours: true, max_width: None };
    let text = shown(coloured, vec![vec![record(&[("count", 4.0)]), late.clone()]]);
    let marked: Vec<bool> = text.lines().map(|line| line.contains('\u{1b}')).collect();
    assert_eq!(marked, [false, false, false, true]);
    assert!(!shown(PLAIN, vec![vec![late]]).contains('\u{1b}'));
}

#[test]
fn headings_come_back_after_a_page_and_for_new_statistics() {
    let rows = |count: usize| vec![record(&[("count", 1.0)]); count];
    let text = shown(PLAIN, vec![rows(20), rows(20), rows(1), vec![record(&[("sum", 1.0)])]]);
    let headings: Vec<usize> = text
        .lines()
        .enumerate()
        .filter_map(|(number, line)| line.contains("window (UTC)").then_some(number))
        .collect();
    assert_eq!(headings, [0, 43, 47]);
}

#[test]
fn closed_pipe_is_recognised() {
    let (mut sink, stream) = sink(ConsoleLayout::Ndjson);
    stream.fail_at(3, ErrorKind::BrokenPipe);
    let error = sink.deliver(&output_of_lines(&["{1}", "{2}"])).unwrap_err();
    assert!(is_broken_pipe(&error), "{error}");
    stream.fail_at(3, ErrorKind::Other);
    assert!(!is_broken_pipe(&sink.deliver(&output_of_lines(&["{3}"])).unwrap_err()));
}

#[test]
fn retry_goes_on_where_the_delivery_broke_off() {
    let (mut sink, stream) = sink(ConsoleLayout::Ndjson);
    let output = output_of_lines(&["{\"first\":1}", "{\"second\":2}"]);
    for len in [0, 5, 13] {
        stream.fail_at(len, ErrorKind::Other);
        sink.deliver(&output).unwrap_err();
    }
    sink.deliver(&output).unwrap();
    sink.deliver(&output_of_lines(&["{3}"])).unwrap();
    assert_eq!(stream.text(), "{\"first\":1}\n{\"second\":2}\n{3}\n");
}

#[test]
fn asked_for_format_wins() {
    use llm_optimizer_config::settings::ConsoleFormat;
    assert_eq!(ConsoleLayout::for_stdout(Some(ConsoleFormat::Ndjson)), ConsoleLayout::Ndjson);
    let table = ConsoleLayout::for_stdout(Some(ConsoleFormat::Table));
    assert!(matches!(table, ConsoleLayout::Table { .. }));
}
