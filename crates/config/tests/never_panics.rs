//! Whatever the text, loading ends with a config or with faults that have a place.

use llm_optimizer_config::{load_str, reference};
use proptest::prelude::*;

const SPECIFICATION: &str = include_str!("fixtures/specification.yaml");

/// Fragments from which broken configs are made.
fn fragment() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "processor:",
        "windows:",
        "sliding:",
        "slide_secs:",
        "sinks:",
        "type:",
        "kafka",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "\n  ",
        "\n    ",
        ": ",
        ", ",
        "'",
        "\"",
        "&a ",
        "*a",
        "!!str ",
        "|\n",
        "#",
        "60",
        "-1",
        "1e400",
        "~",
        "null",
        "true",
        "0x1f",
        ".nan",
        "é",
        "\t",
        "\r\n",
        "---\n",
        "u:p@h",
        "password: x",
    ]);
    prop::collection::vec(known, 0..40).prop_map(|parts| parts.concat())
}

fn survives(text: &str, env: Vec<(String, String)>) {
    match load_str(text, "c.yaml", env) {
        Ok(loaded) => {
            let _ = (loaded.config.source(), loaded.config.sinks(), loaded.config.window());
            assert!(loaded.config.validate().is_ok(), "{text:?}");
        }
        Err(error) => {
            assert!(!error.faults().is_empty());
            assert!(error.to_string().contains("refused"));
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_text(text in any::<String>()) {
        survives(&text, Vec::new());
        survives(&format!("processor:\n  {text}"), Vec::new());
    }

    #[test]
    fn text_made_of_yaml(text in fragment()) {
        survives(&text, Vec::new());
        survives(&format!("processor:{text}"), Vec::new());
    }

    #[test]
    fn a_valid_file_with_one_part_replaced(at in 0..SPECIFICATION.len(), len in 0..40_usize, text in fragment()) {
        let end = (at + len).min(SPECIFICATION.len());
        survives(&format!("{}{text}{}", &SPECIFICATION[..at], &SPECIFICATION[end..]), Vec::new());
    }

    #[test]
    fn arbitrary_variables(name in "[A-Z_]{0,20}", value in any::<String>(), at in any::<prop::sample::Index>()) {
        survives(SPECIFICATION, vec![(format!("PROCESSOR_{name}"), value.clone())]);
        let reference = reference();
        let keys: Vec<&str> = reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        let name = at.get(&keys).to_uppercase();
        for section in ["", "KAFKA__CONSUMER__", "SOURCE__", "WINDOWS__SLIDING__"] {
            survives(SPECIFICATION, vec![(format!("PROCESSOR_{section}{name}"), value.clone())]);
        }
    }
}
