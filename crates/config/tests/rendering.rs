//! How faults read: input and message in one glance.

#![allow(clippy::expect_used, reason = "a test may panic")]

use std::{fmt::Write, fs};

use llm_optimizer_config::{ConfigError, load, load_str};

fn env(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn error(yaml: &str, variables: &[(&str, &str)]) -> ConfigError {
    load_str(yaml, "processor.yaml", env(variables)).expect_err("the text has a fault")
}

#[track_caller]
fn check(yaml: &str, expected: &str) {
    assert_eq!(error(yaml, &[]).to_string().trim(), expected.trim());
}

#[test]
fn all_faults_come_at_once_in_the_order_of_the_file() {
    check(
        "processor:
  paralelism: 4
  windows:
    default_type: tumblin
    sliding: { size_secs: 60, slide_secs: 90 }
  aggregation:
    percentiles: [50, 101, p99]
",
        "
error: processor.paralelism: unknown key `paralelism`
  --> processor.yaml:2:3
  |
2 |   paralelism: 4
  |   ^^^^^^^^^^
  = help: did you mean `parallelism`?

error: processor.windows.default_type: unknown value `tumblin`; it is `tumbling`, `sliding` or `session`
  --> processor.yaml:4:19
  |
4 |     default_type: tumblin
  |                   ^^^^^^^
  = help: did you mean `tumbling`?

error: processor.windows.sliding.slide_secs: 90 exceeds size_secs 60
  --> processor.yaml:5:43
  |
5 |     sliding: { size_secs: 60, slide_secs: 90 }
  |                                           ^^
  = help: events between two windows would be in none; slide by at most the size

error: processor.aggregation.percentiles[1]: 101 is not in 0..=100
  --> processor.yaml:7:23
  |
7 |     percentiles: [50, 101, p99]
  |                       ^^^

error: processor.aggregation.percentiles[2]: expected a number, found `p99`
  --> processor.yaml:7:28
  |
7 |     percentiles: [50, 101, p99]
  |                            ^^^

configuration refused: 5 faults",
    );
}

#[test]
fn a_variable_is_named_with_its_fault() {
    let error = error(
        "processor: {}",
        &[("PROCESSOR_STATE_BACKEND", "memory"), ("PROCESSOR_PARALLELISM", "many")],
    );
    assert_eq!(
        error.to_string(),
        "\
error: processor.parallelism: expected a whole number, found `many`
  --> environment variable PROCESSOR_PARALLELISM

error: processor.state_backend: `PROCESSOR_STATE_BACKEND` names no key
  --> environment variable PROCESSOR_STATE_BACKEND
  = help: did you mean `PROCESSOR_STATE__BACKEND`?

configuration refused: 2 faults"
    );
}

#[test]
fn a_missing_root_says_what_to_indent() {
    check(
        "windows:\n  default_type: session\n",
        "
error: the root key `processor:` is missing
  --> processor.yaml:1:1
  |
1 | windows:
  | ^
  = help: indent `windows:` and the other keys below `processor:`

configuration refused: 1 fault",
    );
    check(
        "procesor: {}\n",
        "
error: the root key `processor:` is missing
  --> processor.yaml:1:1
  |
1 | procesor: {}
  | ^
  = help: write `processor:` for `procesor:`

configuration refused: 1 fault",
    );
}

#[test]
fn an_empty_file_is_no_configuration() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "\u{feff}", "~"] {
        check(
            text,
            "
error: the file is empty
  --> processor.yaml
  = help: begin with `processor:` and its keys below it

configuration refused: 1 fault",
        );
    }
}

#[test]
fn a_key_written_twice_is_shown_at_its_second_place() {
    check(
        "processor:\n  parallelism: 1\n  buffer_size: 5\n  parallelism: 2\n",
        "
error: processor.parallelism: `parallelism` is written twice; first on line 2
  --> processor.yaml:4:3
  |
4 |   parallelism: 2
  |   ^^^^^^^^^^^
  = help: remove one of them

configuration refused: 1 fault",
    );
}

#[test]
fn a_key_written_twice_in_a_list_says_in_which_item() {
    let error =
        error("processor:\n  sinks: [{ type: console }, { type: console, type: file }]\n", &[]);
    assert_eq!(error.faults()[0].path, "processor.sinks[1].type");
}

#[test]
fn broken_yaml_is_shown_where_it_breaks() {
    for (yaml, place) in [
        ("processor:\n\tparallelism: 1\n", ":2:"),
        ("processor: [1, 2\n", ":"),
        ("processor:\n  a: b: c\n", ":2:"),
        ("processor:\n  x: \"open\n", ":"),
        ("processor: *nowhere\n", ":1:"),
        ("processor: {}\n---\nprocessor: {}\n", ":2:1"),
        ("processor: { ? [a] : b }\n", ":1:"),
    ] {
        let error = error(yaml, &[]);
        let text = error.to_string();
        assert_eq!(error.faults().len(), 1, "{text}");
        assert!(text.contains("this is not YAML: "), "{text}");
        assert!(text.contains(&format!("processor.yaml{place}")), "{yaml}: {text}");
        assert!(text.contains('^'), "{text}");
    }
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut yaml = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let alias = format!("*a{}, ", level - 1).repeat(10);
        writeln!(yaml, "a{level}: &a{level} [{alias}]").unwrap();
    }
    assert!(error(&yaml, &[]).to_string().contains("more than 100000 values"));
    let deep = format!("processor: {}", "[".repeat(100));
    assert!(error(&deep, &[]).to_string().contains("nested deeper"));
}

#[test]
fn aliases_stand_for_what_they_name() {
    let yaml = "processor:\n  windows:\n    tumbling: { size_secs: &size 60 }\n    sliding: { size_secs: *size, slide_secs: 10 }\n";
    let config = load_str(yaml, "processor.yaml", []).unwrap().config;
    assert_eq!(config.windows.sliding.size_secs, config.windows.tumbling.size_secs);
}

#[test]
fn a_file_that_cannot_be_read_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent.yaml");
    let text = load(&absent, []).unwrap_err().to_string();
    assert!(text.contains("the file cannot be read: ") && text.contains("absent.yaml"), "{text}");

    let binary = folder.path().join("latin1.yaml");
    fs::write(&binary, b"processor:\n  # caf\xe9\n").unwrap();
    let text = load(&binary, []).unwrap_err().to_string();
    assert!(text.contains("not UTF-8") && text.contains("latin1.yaml:2:8"), "{text}");
}

#[test]
fn passwords_never_show() {
    let yaml = "processor:
  sasl_password: hunter2
  sinks:
    - { type: postgres, url: 'postgres://app:hunter2@db/x', topic: t }
    - { type: kafka, bootstrap_servers: 'app:hunter2@a:x' }
";
    let error = error(yaml, &[("PROCESSOR_KAFKA__CONSUMER__BOOTSTRAP_SERVERS", "u:hunter2@b:0")]);
    assert_eq!(error.faults().len(), 5, "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");

    let yaml = "processor:
  sinks: [{ type: postgres, url: 'postgres://app:hunter2@db/x', table: t }]
  kafka: { producer: { bootstrap_servers: 'app:hunter2@a:9092' } }
";
    let loaded = load_str(yaml, "processor.yaml", []).unwrap();
    let shown = format!("{loaded:?} {} {:?}", loaded.config.redacted(), loaded.config.sinks());
    assert!(shown.contains("postgres://app:***@db/x"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_long_line_is_cut_around_the_caret() {
    let yaml = format!("processor: {{ parallelism: 1, {} bufer: 1 }}", " ".repeat(500));
    let text = error(&yaml, &[]).to_string();
    assert!(text.lines().all(|line| line.chars().count() < 160), "{text}");
    let caret = text.lines().find(|line| line.trim_end().ends_with("^^^^^"));
    assert_eq!(caret.map(|line| line.chars().count()), Some(4 + 70 + 5), "{text}");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let text = error("processor:\n  \"\\e[31mred\": 1\n", &[]).to_string();
    assert!(!text.contains('\u{1b}'), "{text:?}");
}
