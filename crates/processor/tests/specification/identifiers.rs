//! Every identifier of the specification's Rust blocks is used here, or is nobody's to use.
//! `scripts/spec-identifiers` made the lists from the specification and compares them with it.

use std::collections::BTreeSet;

const USED: &str = include_str!("identifiers.txt");
const PRIVATE: &str = include_str!("private.txt");

const SOURCES: [&str; 5] = [
    include_str!("../specification.rs"),
    include_str!("architecture.rs"),
    include_str!("reference.rs"),
    include_str!("sinks.rs"),
    include_str!("stream_processor.rs"),
];

/// The first word of each line.
fn list(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

/// The words of code: without comments and texts.
fn words() -> BTreeSet<&'static str> {
    let code = SOURCES.iter().flat_map(|source| source.lines());
    let code = code.map(|line| line.split("//").next().unwrap_or_default());
    let outside_texts = code.flat_map(|line| line.split('"').step_by(2));
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    outside_texts.flat_map(|text| text.split(move |c| !is_word(c))).collect()
}

#[test]
fn every_identifier_is_used() {
    let words = words();
    let missing: Vec<_> = list(USED).into_iter().filter(|name| !words.contains(name)).collect();
    assert!(missing.is_empty(), "without a use: {missing:?}");
}

#[test]
fn every_identifier_is_in_one_list() {
    let all = [USED, PRIVATE].map(list).concat();
    let distinct: BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len(), "a name stands in two places");
    for text in [USED, PRIVATE] {
        assert!(list(text).is_sorted());
    }
}

#[test]
fn what_is_nobodys_to_use_has_a_reason() {
    for line in PRIVATE.lines() {
        assert!(line.split_whitespace().count() > 1, "{line} has no reason");
    }
}
