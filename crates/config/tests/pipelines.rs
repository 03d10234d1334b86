//! Several queries over one read: what an entry takes from the top level, and what is refused.

#![allow(clippy::unwrap_used)] // in helpers of tests

use llm_optimizer_config::{
    NamedPipeline, Place, ProcessorConfig, SideSinkSpec, WindowSettings, load_str,
    settings::{PipelineConfig, Secs, WindowTypeName},
};

fn pipelines(body: &str) -> Vec<NamedPipeline> {
    let indented = body.replace('\n', "\n  ");
    let text = format!("processor:\n  {indented}\n");
    load_str(&text, "c.yaml", []).unwrap_or_else(|e| panic!("{e}")).config.pipelines()
}

/// The faults of a file whose `processor:` section is `body`, in one line each.
#[track_caller]
fn refused(body: &str, expected: &[&str]) {
    let indented = body.replace('\n', "\n  ");
    let error = load_str(&format!("processor:\n  {indented}\n"), "c.yaml", []).unwrap_err();
    let line = |fault: &llm_optimizer_config::Fault| {
        let Place::File { line, column, .. } = &fault.place else { panic!("{fault}") };
        let path = fault.path.trim_start_matches("processor.");
        format!("{line}:{column} {path}: {}", fault.message)
    };
    let found: Vec<String> = error.faults().iter().map(line).collect();
    assert_eq!(found, expected, "\n{body}");
}

#[test]
fn without_a_list_there_is_one_called_default() {
    let [only] = pipelines("windows: { default_type: session }").try_into().unwrap();
    assert_eq!(only.name, "default");
    assert!(matches!(only.config.window(), WindowSettings::Session { .. }));
}

#[test]
fn what_an_entry_does_not_write_comes_from_the_top_level_key_by_key() {
    let body = "\
event: { profile: custom, timestamp: at, key: [service, model], values: { a: x, b: y } }
windows: { tumbling: { size_secs: 7, allowed_lateness_secs: 3 }, sliding: { slide_secs: 30 } }
watermark: { max_out_of_orderness_secs: 4, max_watermark_drift_secs: 99 }
aggregation: { percentiles: [50] }
limits: { max_keys: 5, max_record_bytes: 77 }
side_outputs: { late: { type: kafka, topic: l, bootstrap_servers: 'b:1' }, dead_letter: { type: file, path: d } }
pipelines:
- name: same
- name: other
  event: { key: [service], values: { c: z } }
  windows: { default_type: sliding, tumbling: { offset_secs: 1 } }
  watermark: { max_out_of_orderness_secs: 0 }
  aggregation: { enabled: [count] }
  limits: { max_windows_per_key: 6 }
  sinks: [ { type: console } ]
  side_outputs: { late: { type: file, path: m } }";
    let [same, other] = pipelines(body).try_into().unwrap();
    assert_eq!((same.name.as_str(), other.name.as_str()), ("same", "other"));
    assert_eq!(same.config.event.key.unwrap(), ["service", "model"]);
    assert_eq!(same.config.limits.max_keys, 5);

    let config = other.config;
    assert_eq!(config.event.timestamp.as_deref(), Some("at"));
    assert_eq!(config.event.key.clone().unwrap(), ["service"]);
    assert_eq!(config.event.values.clone().unwrap().0, [("c".into(), "z".into())], "one thing");
    assert_eq!(config.windows.sliding.slide_secs, Secs::new(30));
    assert_eq!(config.windows.tumbling.size_secs, Secs::new(7));
    assert_eq!(config.windows.tumbling.offset_secs, Secs::new(1));
    assert_eq!(config.max_watermark_drift_ms(), 99_000);
    assert_eq!(config.watermark.max_out_of_orderness_secs, Secs::new(0));
    assert_eq!(config.aggregation.percentiles.len(), 1);
    let limits = &config.limits;
    assert_eq!((limits.max_keys, limits.max_windows_per_key, limits.max_record_bytes), (5, 6, 77));
    assert_eq!(config.sinks().unwrap().len(), 1);
    let late = Some(SideSinkSpec::File { path: "m".into() });
    assert_eq!(config.late_output(), Ok(late), "nothing is left of the topic");
    assert_eq!(config.dead_letter_output(), Ok(Some(SideSinkSpec::File { path: "d".into() })));
}

#[test]
fn names_tell_one_from_the_others() {
    refused(
        "pipelines:\n- name: a\n- name: a\n- name: 1st\n- windows: {}\n- name: 'x y'",
        &[
            "4:11 pipelines[1].name: `a` is also the name of pipelines[0]",
            "5:11 pipelines[2].name: `1st` is no name of a pipeline",
            "6:5 pipelines[3].name: the pipeline has no name",
            "7:11 pipelines[4].name: `x y` is no name of a pipeline",
        ],
    );
    refused("pipelines: []", &["2:3 pipelines: the list is empty"]);
    refused("pipelines: { name: a }", &["2:14 pipelines: expected a list, found a map"]);
    refused(
        "event: { profile: custom, timestamp: t }\npipelines: [ a ]",
        &["3:16 pipelines[0]: expected a section with keys such as `name:`, found `a`"],
    );
}

#[test]
fn a_fault_is_where_it_is_written() {
    // In an entry; at the top level, once for all that take it; where the two meet, in the entry.
    refused(
        "windows: { sliding: { slide_secs: 30 } }\npipelines:\n- name: a\n  windows: { sliding: { size_secs: 20 } }\n- name: b",
        &["5:38 pipelines[0].windows.sliding.slide_secs: 30 exceeds size_secs 20"],
    );
    refused(
        "windows: { session: { gap_secs: 0 } }\npipelines:\n- name: a\n- name: b\n- name: c\n  windows: { session: { gap_secs: -1 } }",
        &[
            "2:35 windows.session.gap_secs: 0 must be greater than 0",
            "7:37 pipelines[2].windows.session.gap_secs: -1 must be greater than 0",
        ],
    );
    refused(
        "pipelines:\n- name: a\n  event: { profile: custom, values: { v: v } }\n  limits: { max_keys: 0 }\n  aggregation: { enabled: [] }",
        &[
            "4:23 pipelines[0].event.timestamp: profile custom needs the field that holds the event time",
            "5:25 pipelines[0].limits.max_keys: 0 must be greater than 0",
            "6:20 pipelines[0].aggregation.enabled: the list is empty",
        ],
    );
}

#[test]
fn a_section_that_is_whole_only_together_with_an_entry_is_accepted() {
    let body = "event: { profile: custom, timestamp: t }\npipelines:\n";
    assert_eq!(pipelines(&format!("{body}- name: a\n  event: {{ values: {{ v: v }} }}")).len(), 1);
    refused(
        &format!("{body}- name: a\n  event: {{ values: {{ v: v }} }}\n- name: b"),
        &["2:21 event.values: profile custom needs the fields to aggregate"],
    );
}

#[test]
fn unknown_keys_of_an_entry() {
    refused(
        "pipelines: [ { name: a, window: {}, limits: { max_record_bytes: 1 }, parallelism: 2 } ]",
        &[
            "2:27 pipelines[0].window: unknown key `window`",
            "2:49 pipelines[0].limits.max_record_bytes: unknown key `max_record_bytes`",
            "2:72 pipelines[0].parallelism: unknown key `parallelism`",
        ],
    );
}

#[test]
fn pipelines_share_outputs_of_one_kind_only() {
    let shared = "source: { type: stdin }\nsinks: [ { type: file, path: r }, { type: console }, { type: kafka } ]\nside_outputs: { late: { type: file, path: l } }\npipelines: [ { name: a }, { name: b } ]";
    assert_eq!(pipelines(shared).len(), 2);
    refused(
        "source: { type: file, path: e }\npipelines:\n- name: a\n  sinks: [ { type: file, path: r }, { type: console, format: table } ]\n- name: b\n  sinks: [ { type: file, path: ./e }, { type: console } ]\n  side_outputs: { late: { type: file, path: x/../r }, dead_letter: { type: kafka, topic: t } }\n- name: c\n  sinks: [ { type: kafka, topic: t } ]",
        &[
            "7:34 pipelines[1].sinks[0].path: `e` is the file the source reads: it would be overwritten",
            "7:41 pipelines[1].sinks[1].format: standard output has another format in pipelines[0].sinks[1]",
            "8:47 pipelines[1].side_outputs.late.path: `r` is also written by pipelines[0].sinks[0].path",
            "10:36 pipelines[2].sinks[0].topic: `t` is also written by pipelines[1].side_outputs.dead_letter.topic",
        ],
    );
}

#[test]
fn an_own_dead_letter_output_takes_the_place_of_the_topic_of_all() {
    let body = "error_handling: { dead_letter_topic: d }\npipelines:\n- name: a\n- name: b\n  side_outputs: { dead_letter: { type: file, path: x } }";
    let [a, b] = pipelines(body).try_into().unwrap();
    assert!(matches!(a.config.dead_letter_output(), Ok(Some(SideSinkSpec::Kafka { .. }))));
    assert!(matches!(b.config.dead_letter_output(), Ok(Some(SideSinkSpec::File { .. }))));
}

#[test]
fn pipelines_made_in_code_are_checked_as_well() {
    let mut config = ProcessorConfig::default();
    let mut sessions = PipelineConfig::like(&config, "sessions");
    sessions.windows.default_type = WindowTypeName::Session;
    sessions.windows.session.gap_secs = Secs::new(0);
    config.pipelines = Some(vec![PipelineConfig::like(&config, "tumbling"), sessions]);
    let faults = config.validate().unwrap_err().to_string();
    let expected = "processor.pipelines[1].windows.session.gap_secs: 0 must be greater than 0";
    assert!(faults.contains(expected) && faults.contains("1 fault"), "{faults}");
}

#[test]
fn the_default_drift_is_four_windows_or_ten_minutes() {
    let drift = |body: &str| pipelines(body)[0].config.max_watermark_drift_ms();
    assert_eq!(drift("windows: { tumbling: { size_secs: 60 } }"), 600_000);
    assert_eq!(drift("windows: { tumbling: { size_secs: 200 } }"), 800_000);
    assert_eq!(drift("windows: { default_type: sliding, sliding: { size_secs: 900 } }"), 3_600_000);
    assert_eq!(drift("windows: { default_type: session, session: { gap_secs: 151 } }"), 604_000);
    assert_eq!(drift("watermark: { max_watermark_drift_secs: 0.5 }"), 500);
}
