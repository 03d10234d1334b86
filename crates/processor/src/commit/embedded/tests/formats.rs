//! What lies in the store stays readable: golden bytes of each version, for ever.

use std::sync::Arc;

use llm_optimizer_engine::state::{PartitionProgress, TaskProgress};
use llm_optimizer_types::{
    SideRecord,
    output::{Origin, SideKind, SideReason},
};

use crate::{
    commit::{
        Commit, PipelineCommit,
        embedded::{CommitPoint, Cursor, cursors::StoredCursor, entry::Entry},
    },
    record::{FileIdentity, PartitionKey, Position, SourceKind},
    runtime::Counters,
    sink::{Output, SideOutput, SinkMark, testing::output},
    trace::TraceContext,
};

const POINT: &str = r#"{"version":1,"sequence":7,"positions":[{"partition":{"source":"file","name":"events.ndjson","partition":0},"position":{"offset":812,"line":5,"file":{"device":1,"inode":2,"head_bytes":256,"head_hash":3}}}],"pipelines":[{"name":"default","progress":{"watermark":1000,"greatest_time":6000},"partitions":[{"partition":{"source":"file","name":"events.ndjson","partition":0},"progress":{"watermark":1000,"greatest_time":6000,"is_idle":false}}],"counters":{"records_read":4,"accepted":3,"filtered":0,"late_dropped":0,"lost_in_part":0,"dead_letters":{"invalid_json":1},"skipped":0,"shed":0,"keys_overflowed":0,"aggregation_errors":0,"windows_fired":0,"results_emitted":0}}]}"#;

fn commit() -> Commit {
    let partition =
        PartitionKey { source: SourceKind::File, name: "events.ndjson".into(), partition: 0 };
    let file = FileIdentity { device: 1, inode: 2, head_bytes: 256, head_hash: 3 };
    let position = Position { line: Some(5), file: Some(file), ..Position::at(812) };
    let progress =
        PartitionProgress { watermark: Some(1_000), greatest_time: Some(6_000), is_idle: false };
    let counters = Counters {
        records_read: 4,
        accepted: 3,
        dead_letters: [(SideReason::InvalidJson, 1)].into(),
        ..Counters::default()
    };
    let pipeline = PipelineCommit {
        name: "default".into(),
        progress: TaskProgress { watermark: Some(1_000), greatest_time: Some(6_000) },
        partitions: vec![(partition.clone(), progress)],
        counters,
        ..PipelineCommit::default()
    };
    Commit { sequence: 7, positions: vec![(partition, position)], pipelines: vec![pipeline] }
}

#[test]
fn version_1_of_a_commit_point_stays() {
    let point = CommitPoint::of(&commit());
    assert_eq!(String::from_utf8(point.to_json().unwrap()).unwrap(), POINT);
    assert_eq!(CommitPoint::from_json(POINT.as_bytes()).unwrap(), point);
}

#[test]
fn another_version_of_a_commit_point_is_refused_with_what_to_do() {
    for json in [POINT.replacen("\"version\":1", "\"version\":2", 1), "{".into(), "{}".into()] {
        let refused = CommitPoint::from_json(json.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains("--new-state"), "{refused}");
    }
}

#[test]
fn version_1_of_a_cursor_stays() {
    let mark = Some(SinkMark { length: 10, device: 1, inode: 2 });
    for (cursor, json) in [
        (
            Cursor { sequence: 7, mark },
            r#"{"version":1,"sequence":7,"mark":{"length":10,"device":1,"inode":2}}"#,
        ),
        (Cursor { sequence: 7, mark: None }, r#"{"version":1,"sequence":7}"#),
    ] {
        let stored = StoredCursor::of(cursor).to_json().unwrap();
        assert_eq!(String::from_utf8(stored).unwrap(), json);
        assert_eq!(StoredCursor::read("s", json.as_bytes()).unwrap(), cursor);
    }
    assert!(StoredCursor::read("s", br#"{"version":2,"sequence":7}"#).is_err());
}

fn side(payload: &[u8]) -> SideOutput {
    SideOutput {
        record: SideRecord {
            schema_version: 1,
            kind: SideKind::Late,
            reason: SideReason::TooLate,
            detail: "x".into(),
            record: Some(String::from_utf8(payload.to_vec()).unwrap()),
            record_base64: None,
            origin: Origin {
                source: "file".into(),
                name: "f".into(),
                partition: 0,
                offset: 3,
                line: None,
            },
            lateness_ms: Some(9),
            pipeline: None,
        },
        payload: payload.to_vec(),
        key: Some(b"k".to_vec()),
        headers: vec![("h".into(), None), ("i".into(), Some(b"v".to_vec()))],
        judged: None,
    }
}

/// A row of two pipelines, the second without output.
const ROW: &str = include_str!("golden/outbox-1.hex");

fn with_output() -> Commit {
    let results = output(vec![crate::sink::testing::record(&[("count", 2.0)])]);
    let all = Output {
        results: results.results.clone(),
        late: vec![side(b"late")],
        dead_letters: vec![],
        trace: None,
    };
    let named = |name: &str, output: Output| PipelineCommit {
        name: name.into(),
        output: Arc::new(output),
        ..PipelineCommit::default()
    };
    let pipelines = vec![named("a", all), named("b", Output::default())];
    Commit { sequence: 9, positions: vec![], pipelines }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[test]
fn version_1_of_an_outbox_row_stays() {
    let (_, row) = Entry::of(&with_output()).unwrap();
    assert_eq!(hex(&row), ROW.trim(), "if the format changes, its version does");
    let names = ["b".to_owned(), "a".to_owned(), "new".to_owned()];
    let entry = Entry::read(9, &row, &names).unwrap();
    assert_eq!((entry.sequence, entry.bytes), (9, row.len() as u64));
    assert!(entry.outputs[0].is_empty() && entry.outputs[2].is_empty());
    let read = &entry.outputs[1];
    let written = &with_output().pipelines[0].output.clone();
    assert_eq!(read.results[0].json, written.results[0].json);
    assert_eq!(read.results[0].record, written.results[0].record);
    let (read, written) = (&read.late[0], &written.late[0]);
    assert_eq!(
        (&read.record, &read.payload, &read.key, &read.headers),
        (&written.record, &written.payload, &written.key, &written.headers)
    );
}

/// The same row, of a commit that is part of a trace.
const ROW_2: &str = include_str!("golden/outbox-2.hex");

fn traced() -> Commit {
    let mut commit = with_output();
    let parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for pipeline in &mut commit.pipelines {
        let output =
            Output { trace: TraceContext::parse(parent, None), ..(*pipeline.output).clone() };
        pipeline.output = Arc::new(output);
    }
    commit
}

#[test]
fn version_2_of_an_outbox_row_stays_and_says_which_span_the_commit_was() {
    let (_, row) = Entry::of(&traced()).unwrap();
    assert_eq!(hex(&row), ROW_2.trim(), "if the format changes, its version does");
    let entry = Entry::read(9, &row, &["b".to_owned(), "a".to_owned()]).unwrap();
    let written = &traced().pipelines[0].output;
    assert!(written.trace.is_some());
    assert_eq!(entry.outputs[1].trace, written.trace);
    assert_eq!(entry.outputs[1].results[0].json, written.results[0].json);
    for length in 0..row.len() {
        assert!(Entry::read(9, &row[..length], &[]).is_err(), "{length} bytes");
    }
}

#[test]
fn a_row_that_is_cut_anywhere_is_refused() {
    let (_, row) = Entry::of(&with_output()).unwrap();
    for length in 0..row.len() {
        assert!(Entry::read(9, &row[..length], &[]).is_err(), "{length} bytes");
    }
    assert!(Entry::read(9, &[row, vec![0]].concat(), &[]).is_err(), "one more");
}
