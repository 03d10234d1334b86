//! Configuration files: every text is read or refused with reasons that have a place in it.

use llm_optimizer_processor::config::{Place, load_str};

/// The input as a file, and once more with a part of it as an environment variable.
pub(crate) fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines = text.lines().count();
    match load_str(&text, "fuzz.yaml", []) {
        Ok(loaded) => {
            let shown = loaded.config.redacted();
            assert!(shown.is_object(), "settings are an object: {shown}");
        }
        Err(error) => {
            assert!(!error.faults().is_empty(), "a refusal has a reason");
            for fault in error.faults() {
                if let Place::File { line, column, .. } = &fault.place {
                    assert!((1..=lines.max(1) + 1).contains(line), "line {line} of {lines}");
                    assert!(*column >= 1, "columns count from 1");
                }
            }
            let _ = error.to_string();
        }
    }
    let value = text.chars().take(40).collect::<String>();
    let variable = ("PROCESSOR_WATERMARK__IDLE_TIMEOUT_SECS".to_owned(), value);
    let _ = load_str("processor: { source: { type: stdin } }", "fuzz.yaml", [variable]);
}
