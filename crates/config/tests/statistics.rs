//! `aggregation.statistics`: what is accepted, what it means, and each fault.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use llm_optimizer_config::{
    FieldTest, FurtherKind, NumberFunction, load_str, load_with_functions,
    settings::{Percentile, ScalarValue},
};

/// A configuration with these statistics, one YAML flow map a line.
fn yaml(statistics: &[&str]) -> String {
    let lines: Vec<String> = statistics.iter().map(|s| format!("      - {s}\n")).collect();
    format!("processor:\n  aggregation:\n    statistics:\n{}", lines.concat())
}

fn faults(text: &str) -> Vec<String> {
    match load_str(text, "c.yaml", []) {
        Ok(_) => Vec::new(),
        Err(error) => error
            .faults()
            .iter()
            .map(|fault| {
                let path = fault.path.trim_start_matches("processor.aggregation.");
                let help = fault.help.as_deref().map_or(String::new(), |help| format!(" ({help})"));
                format!("{path}: {}{help}", fault.message)
            })
            .collect(),
    }
}

#[track_caller]
fn refused(statistics: &[&str], expected: &str) {
    assert_eq!(faults(&yaml(statistics)).join("\n"), expected);
}

const EVERYTHING: [&str; 13] = [
    "{ name: errors, function: count, where: { field: error, exists: true } }",
    "{ name: slow, function: count, where: { field: latency_ms, above: 2000, at_most: 9000 } }",
    "{ name: gpt_cost, function: sum, value: cost, where: { field: model, equals: gpt-4o } }",
    "{ name: cost_per_token, function: average, value: cost, weight: tokens }",
    "{ name: users, function: distinct, of: user_id }",
    "{ name: top_errors, function: top_k, of: error.code, k: 5 }",
    "{ name: error_rate, function: ratio, numerator: errors, denominator: count }",
    "{ name: per_second, function: rate }",
    "{ name: smooth, function: ema, of: average, span: 10 }",
    "{ name: odd, function: anomaly, of: p95 }",
    "{ name: p90, function: percentile, p: 90, where: { all: [{ field: a, equals: 7 }, { field: b, equals: true }] } }",
    "{ name: calm, function: ema, of: odd, alpha: 0.5 }",
    "{ name: cost_rate, function: rate, of: gpt_cost }",
];

#[test]
fn every_function_is_accepted_and_means_what_it_says() {
    let loaded = load_str(&yaml(&EVERYTHING), "c.yaml", []).unwrap();
    let all = loaded.config.aggregation.further().unwrap();
    let kind = |name: &str| all.iter().find(|s| s.name == name).unwrap().kind.clone();
    assert_eq!(all.len(), EVERYTHING.len());
    assert_eq!(kind("gpt_cost"), FurtherKind::Of(NumberFunction::Sum, Some("cost".into())));
    let weighted =
        FurtherKind::WeightedAverage { value: Some("cost".into()), weight: "tokens".into() };
    assert_eq!(kind("cost_per_token"), weighted);
    assert_eq!(kind("top_errors"), FurtherKind::TopK { of: "error.code".into(), k: 5 });
    assert_eq!(kind("smooth"), FurtherKind::Ema { of: "average".into(), alpha: 2.0 / 11.0 });
    let odd = FurtherKind::Anomaly { of: "p95".into(), threshold: 3.0, min_windows: 10 };
    assert_eq!(kind("odd"), odd);
    let p90 = Percentile::from_thousandths(90_000).unwrap();
    assert_eq!(kind("p90"), FurtherKind::Of(NumberFunction::Percentile(p90), None));
    let tests = |name: &str| {
        let conditions = &all.iter().find(|s| s.name == name).unwrap().conditions;
        conditions.iter().map(|c| (c.field.clone(), c.test.clone())).collect::<Vec<_>>()
    };
    let slow = [FieldTest::Above(2000.0), FieldTest::AtMost(9000.0)];
    assert_eq!(tests("slow"), slow.map(|test| ("latency_ms".to_owned(), test)));
    assert_eq!(
        tests("p90"),
        [
            ("a".to_owned(), FieldTest::Equals(ScalarValue::Number(7.0))),
            ("b".to_owned(), FieldTest::Equals(ScalarValue::Bool(true))),
        ]
    );
}

#[test]
fn statistics_alone_are_enough() {
    let text =
        "processor:\n  aggregation: { enabled: [], statistics: [{ name: n, function: count }] }\n";
    assert_eq!(faults(text), Vec::<String>::new());
}

#[test]
fn what_is_missing_is_told() {
    refused(
        &["{ function: count }"],
        "statistics[0].name: the name is missing (name the statistic as results shall show it)",
    );
    refused(
        &["{ name: x }"],
        "statistics[0].function: the function is missing (write `function:`, such as count, sum, \
         distinct, ratio or ema)",
    );
    refused(
        &["{ name: x, function: percentile }"],
        "statistics[0].p: function `percentile` needs `p`",
    );
    refused(&["{ name: x, function: top_k }"], "statistics[0].of: function `top_k` needs `of`");
    refused(
        &["{ name: x, function: ratio, numerator: count }"],
        "statistics[0].denominator: function `ratio` needs `denominator`",
    );
    refused(
        &["{ name: x, function: ema, of: count }"],
        "statistics[0].span: function `ema` needs one of `span` and `alpha` (write `span: 10`)",
    );
}

#[test]
fn names_that_clash_are_refused() {
    refused(
        &["{ name: count, function: count }"],
        "statistics[0].name: `count` would name two results (give one another name)",
    );
    refused(
        &["{ name: odd_is_anomaly, function: count }", "{ name: odd, function: anomaly, of: sum }"],
        "statistics[1].name: `odd_is_anomaly` would name two results (give one another name)",
    );
}

#[test]
fn unknown_words_come_with_what_was_meant() {
    refused(
        &["{ name: x, function: distnct, of: a }"],
        "statistics[0].function: unknown value `distnct`; it is `count`, `sum`, `average`, `min`, \
         `max`, `stddev`, `percentile`, `distinct`, `top_k`, `ratio`, `rate`, `ema` or `anomaly` \
         (did you mean `distinct`?)",
    );
    refused(
        &["{ name: x, function: count, wher: { field: a, exists: true } }"],
        "statistics[0].wher: unknown key `wher` (did you mean `where`?)",
    );
    refused(
        &[
            "{ name: errors, function: count }",
            "{ name: x, function: ratio, numerator: erors, denominator: count }",
        ],
        "statistics[1].numerator: `erors` is no number computed before this statistic (did you mean `errors`?)",
    );
}

#[test]
fn a_statistic_of_statistics_needs_them_before_it() {
    refused(
        &["{ name: x, function: rate, of: later }", "{ name: later, function: count }"],
        "statistics[0].of: `later` is no number computed before this statistic (list `later` before it)",
    );
    refused(
        &["{ name: tops, function: top_k, of: a }", "{ name: x, function: rate, of: tops }"],
        "statistics[1].of: `tops` is no number computed before this statistic (`tops` is a list)",
    );
    let text = "processor:\n  aggregation:\n    enabled: [count]\n    statistics:\n    - { name: x, function: rate, of: sum }\n";
    assert_eq!(
        faults(text),
        [
            "statistics[0].of: `sum` is no number computed before this statistic (add `sum` to aggregation.enabled)"
        ]
    );
}

#[test]
fn keys_of_other_functions_are_refused() {
    refused(
        &["{ name: x, function: count, value: cost }"],
        "statistics[0].value: `value` means nothing to function `count` (its keys are `where`)",
    );
    refused(
        &["{ name: x, function: sum, weight: tokens }"],
        "statistics[0].weight: `weight` means nothing to function `sum` (its keys are `value` or `where`)",
    );
}

#[test]
fn parameters_have_bounds() {
    refused(&["{ name: x, function: top_k, of: a, k: 0 }"], "statistics[0].k: 0 is not in 1..=100");
    refused(
        &["{ name: x, function: ema, of: sum, alpha: 1.5 }"],
        "statistics[0].alpha: 1.5 must be above 0 and at most 1",
    );
    refused(
        &["{ name: x, function: ema, of: sum, span: 0.5 }"],
        "statistics[0].span: 0.5 must be at least 1",
    );
    refused(
        &["{ name: x, function: anomaly, of: sum, threshold: 0, min_windows: 1 }"],
        "statistics[0].threshold: 0 must be above 0\nstatistics[0].min_windows: 1 must be at least 2",
    );
}

#[test]
fn conditions_name_a_field_and_ask_something_of_it() {
    refused(
        &["{ name: x, function: count, where: { exists: true } }"],
        "statistics[0].where.field: the condition names no field (write `field:` with the dotted path of a field)",
    );
    refused(
        &["{ name: x, function: count, where: { all: [{ field: a }] } }"],
        "statistics[0].where.all[0]: nothing is asked of `a` (write exists, equals, not_equals, \
         above, below, at_least or at_most)",
    );
    let many: Vec<String> = (0..65)
        .map(|n| format!("{{ name: s{n}, function: count, where: {{ field: a, above: {n} }} }}"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    refused(
        &many,
        "statistics: 65 different conditions exceed 64 (share conditions between statistics, or \
         divide them among pipelines)",
    );
}

#[test]
fn of_several_values_one_is_to_be_named() {
    let text = "processor:\n  event: { values: { latency: a, cost: b } }\n  aggregation:\n    statistics:\n    - { name: x, function: max }\n    - { name: y, function: max, value: cost }\n    - { name: z, function: rate, of: cost_sum }\n";
    assert_eq!(
        faults(text),
        [
            "statistics[0].value: the event has 2 values, function `max` is of one (write `value:` with \
         the name of one of them, or the path of another field)"
        ]
    );
}

#[test]
fn sessions_have_no_consecutive_windows() {
    let text = "processor:\n  windows: { default_type: session }\n  aggregation:\n    statistics:\n    - { name: x, function: ema, of: sum, span: 5 }\n";
    assert_eq!(
        faults(text),
        [
            "statistics[0].function: function `ema` is not for session windows (sessions of a key merge \
         and move; use tumbling or sliding windows)"
        ]
    );
}

#[test]
fn functions_registered_in_code_may_be_enabled() {
    let text = "processor:\n  aggregation: { enabled: [variance] }\n";
    let loaded = load_with_functions(text, "c.yaml", [], &["variance", "other"]).unwrap();
    assert_eq!(loaded.config.aggregation.functions, ["variance"]);
    assert!(loaded.config.aggregation.enabled.is_empty());
    assert_eq!(faults(text).len(), 1, "the binary refuses unknown names");
}
