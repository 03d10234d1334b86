//! What sinks that are servers need.

use llm_optimizer_config::load_str;

#[test]
fn servers_of_sinks_need_an_address_that_is_one() {
    for (sink, path, words) in [
        ("type: postgres, table: t", "processor.sinks[0].url", "needs the address"),
        ("type: postgres, url: 'postgres://h/d'", "processor.sinks[0].table", "the table to write"),
        (
            "type: postgres, url: 'mysql://a:hunter2@h/d', table: t",
            "processor.sinks[0].url",
            "postgres://",
        ),
        (
            "type: postgres, url: 'postgres://h/d', table: a.b.c",
            "processor.sinks[0].table",
            "more parts",
        ),
        (
            "type: postgres, url: 'postgres://h/d', table: t, batch_size: 0",
            "processor.sinks[0].batch_size",
            "greater",
        ),
        (
            "type: postgres, url: 'postgres://h/d', table: t, token: x",
            "processor.sinks[0].token",
            "does not apply",
        ),
        ("type: websocket", "processor.sinks[0].url", "needs the address"),
        ("type: websocket, url: 'http://h/'", "processor.sinks[0].url", "ws://"),
        ("type: websocket, url: 'ws:///x'", "processor.sinks[0].url", "no host"),
        (
            "type: websocket, url: 'ws://h', headers: { 'a b': c }",
            "processor.sinks[0].headers",
            "no name",
        ),
        (
            "type: websocket, url: 'ws://h', token: a, headers: { Authorization: c }",
            "processor.sinks[0].token",
            "the same",
        ),
        ("type: metrics, max_series: 0", "processor.sinks[0].max_series", "greater"),
        ("type: metrics, stale_after_secs: 0", "processor.sinks[0].stale_after_secs", "greater"),
    ] {
        let yaml = format!("processor: {{ source: {{ type: stdin }}, sinks: [{{ {sink} }}] }}\n");
        let error = load_str(&yaml, "c.yaml", []).unwrap_err();
        let text = error.to_string();
        assert!(!text.contains("hunter2"), "{text}");
        let found = error.faults().iter().any(|fault| fault.path == path);
        assert!(found && text.contains(words), "{sink}: {text}");
    }
}

#[test]
fn a_table_is_written_once_per_pipeline() {
    let table = "{ type: postgres, url: 'postgres://h/d', table: t }";
    let yaml = format!("processor: {{ source: {{ type: stdin }}, sinks: [{table}, {table}] }}\n");
    let text = load_str(&yaml, "c.yaml", []).unwrap_err().to_string();
    assert!(text.contains("the same place is also written by sinks[0].table"), "{text}");
    let shared = format!(
        "processor: {{ source: {{ type: stdin }}, sinks: [{table}], pipelines: [{{ name: a }}, {{ name: b }}] }}\n"
    );
    assert!(load_str(&shared, "c.yaml", []).is_ok());
}

#[test]
fn a_side_output_goes_to_no_database() {
    let yaml = "processor: { source: { type: stdin }, side_outputs: { late: { type: postgres, url: 'postgres://h/d', table: t } } }\n";
    let text = load_str(yaml, "c.yaml", []).unwrap_err().to_string();
    assert!(text.contains("a side output cannot go to type `postgres`"), "{text}");
    assert!(text.contains("use type `file` or `kafka`"), "{text}");
}
