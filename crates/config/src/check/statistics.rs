//! `aggregation.statistics:`.

use super::{Checks, event::field_path};
use crate::{
    FieldCondition,
    resolved::tests,
    settings::{
        ConditionConfig, FieldConditionConfig, FurtherFunction as F, StatisticConfig,
        StatisticName, WindowTypeName,
    },
    suggest::{did_you_mean, listed},
};

/// Most different conditions of one pipeline.
const MAX_CONDITIONS: usize = 64;
/// Most items of `top_k`.
const MAX_K: u16 = 100;

pub(super) fn check(checks: &mut Checks<'_>) {
    let statistics = &checks.config.aggregation.statistics;
    let mut taken = checks.config.enabled_result_names();
    let mut numbers = taken.clone();
    for (index, statistic) in statistics.iter().enumerate() {
        let path = format!("aggregation.statistics[{index}]");
        name(checks, &path, statistic, &mut taken);
        let Some(function) = statistic.function else {
            let help = "write `function:`, such as count, sum, distinct, ratio or ema";
            checks.fault(&format!("{path}.function"), "the function is missing", help);
            continue;
        };
        keys(checks, &path, statistic, function);
        numbers_of_event(checks, &path, statistic, function);
        parameters(checks, &path, statistic, function);
        operands(checks, &path, statistic, function, &numbers);
        if let Some(condition) = &statistic.condition {
            conditions(checks, &format!("{path}.where"), condition);
        }
        if function != F::TopK {
            numbers.push(statistic.name.clone());
        }
    }
    let mut distinct: Vec<Vec<FieldCondition>> = Vec::new();
    for all in statistics.iter().map(StatisticConfig::conditions).filter(|all| !all.is_empty()) {
        if !distinct.contains(&all) {
            distinct.push(all);
        }
    }
    if distinct.len() > MAX_CONDITIONS {
        let message = format!("{} different conditions exceed {MAX_CONDITIONS}", distinct.len());
        let help = "share conditions between statistics, or divide them among pipelines";
        checks.fault("aggregation.statistics", message, help);
    }
}

fn name(checks: &mut Checks<'_>, path: &str, statistic: &StatisticConfig, taken: &mut Vec<String>) {
    let key = format!("{path}.name");
    if statistic.name.trim().is_empty() {
        checks.fault(&key, "the name is missing", "name the statistic as results shall show it");
        return;
    }
    let mut names = vec![statistic.name.clone()];
    if statistic.function == Some(F::Anomaly) {
        names.push(format!("{}_is_anomaly", statistic.name));
    }
    for name in names {
        if taken.contains(&name) {
            let message = format!("`{name}` would name two results");
            checks.conflict(&key, &["aggregation.enabled"], message, "give one another name");
        }
        taken.push(name);
    }
}

/// The keys a function knows beside `name` and `function`.
fn known_keys(function: F) -> &'static [&'static str] {
    match function {
        F::Count => &["where"],
        F::Sum | F::Min | F::Max | F::Stddev => &["value", "where"],
        F::Average => &["value", "weight", "where"],
        F::Percentile => &["value", "p", "where"],
        F::Distinct => &["of", "where"],
        F::TopK => &["of", "k", "where"],
        F::Ratio => &["numerator", "denominator"],
        F::Rate => &["of"],
        F::Ema => &["of", "span", "alpha"],
        F::Anomaly => &["of", "threshold", "min_windows"],
    }
}

/// Keys that are written, but mean nothing to the function; and those it lacks.
fn keys(checks: &mut Checks<'_>, path: &str, statistic: &StatisticConfig, function: F) {
    let written = [
        ("value", statistic.value.is_some()),
        ("weight", statistic.weight.is_some()),
        ("where", statistic.condition.is_some()),
        ("p", statistic.p.is_some()),
        ("of", statistic.of.is_some()),
        ("k", statistic.k.is_some()),
        ("numerator", statistic.numerator.is_some()),
        ("denominator", statistic.denominator.is_some()),
        ("span", statistic.span.is_some()),
        ("alpha", statistic.alpha.is_some()),
        ("threshold", statistic.threshold.is_some()),
        ("min_windows", statistic.min_windows.is_some()),
    ];
    let (known, name) = (known_keys(function), function.name());
    for (key, _) in written.iter().filter(|(key, is)| *is && !known.contains(key)) {
        let message = format!("`{key}` means nothing to function `{name}`");
        let help = format!("its keys are {}", listed(known));
        checks.fault(&format!("{path}.{key}"), message, &help);
    }
    let needed: &[&str] = match function {
        F::Percentile => &["p"],
        F::Distinct | F::TopK | F::Ema | F::Anomaly => &["of"],
        F::Ratio => &["numerator", "denominator"],
        _ => &[],
    };
    for key in needed.iter().filter(|key| written.contains(&(**key, false))) {
        let message = format!("function `{name}` needs `{key}`");
        checks.fault(&format!("{path}.{key}"), message, "");
    }
}

fn numbers_of_event(checks: &mut Checks<'_>, path: &str, statistic: &StatisticConfig, function: F) {
    let values = checks.config.event.values.as_ref().map_or(0, |values| values.0.len());
    if known_keys(function).contains(&"value") && statistic.value.is_none() && values > 1 {
        let message =
            format!("the event has {values} values, function `{}` is of one", function.name());
        let help = "write `value:` with the name of one of them, or the path of another field";
        checks.conflict(&format!("{path}.value"), &["event.values"], message, help);
    }
    for (key, number) in [("value", &statistic.value), ("weight", &statistic.weight)] {
        if let Some(number) = number {
            field_path(checks, &format!("{path}.{key}"), number);
        }
    }
    if let (F::Distinct | F::TopK, Some(field)) = (function, &statistic.of) {
        field_path(checks, &format!("{path}.of"), field);
    }
}

fn parameters(checks: &mut Checks<'_>, path: &str, statistic: &StatisticConfig, function: F) {
    let mut in_range = |key: &str, is_right: bool, message: String| {
        if !is_right {
            checks.fault(&format!("{path}.{key}"), message, "");
        }
    };
    if let Some(k) = statistic.k {
        in_range("k", (1..=MAX_K).contains(&k), format!("{k} is not in 1..={MAX_K}"));
    }
    if let Some(span) = statistic.span {
        in_range("span", span >= 1.0, format!("{span} must be at least 1"));
    }
    if let Some(alpha) = statistic.alpha {
        let message = format!("{alpha} must be above 0 and at most 1");
        in_range("alpha", alpha > 0.0 && alpha <= 1.0, message);
    }
    if let Some(threshold) = statistic.threshold {
        in_range("threshold", threshold > 0.0, format!("{threshold} must be above 0"));
    }
    if let Some(windows) = statistic.min_windows {
        in_range("min_windows", windows >= 2, format!("{windows} must be at least 2"));
    }
    if function == F::Ema && statistic.span.is_some() == statistic.alpha.is_some() {
        let message = "function `ema` needs one of `span` and `alpha`";
        checks.fault(&format!("{path}.span"), message, "write `span: 10`");
    }
    let over_windows = matches!(function, F::Ema | F::Anomaly);
    if over_windows && checks.config.windows.default_type == WindowTypeName::Session {
        let message = format!("function `{}` is not for session windows", function.name());
        let help = "sessions of a key merge and move; use tumbling or sliding windows";
        checks.conflict(&format!("{path}.function"), &["windows.default_type"], message, help);
    }
}

/// The statistics that a derived one is computed from.
fn operands(
    checks: &mut Checks<'_>,
    path: &str,
    statistic: &StatisticConfig,
    function: F,
    numbers: &[String],
) {
    let operands = match function {
        F::Ratio => {
            vec![("numerator", &statistic.numerator), ("denominator", &statistic.denominator)]
        }
        F::Rate | F::Ema | F::Anomaly => vec![("of", &statistic.of)],
        _ => Vec::new(),
    };
    for (key, operand) in operands {
        let Some(operand) = operand else { continue };
        if numbers.contains(operand) {
            continue;
        }
        let help = did_you_mean(operand, numbers.iter().map(String::as_str))
            .unwrap_or_else(|| why_unknown(checks, operand));
        let message = format!("`{operand}` is no number computed before this statistic");
        let others = ["aggregation.enabled", "aggregation.percentiles", "event.values"];
        checks.conflict(&format!("{path}.{key}"), &others, message, &help);
    }
}

fn why_unknown(checks: &Checks<'_>, operand: &str) -> String {
    let aggregation = &checks.config.aggregation;
    let listed_below = aggregation.statistics.iter().find(|other| other.name == operand);
    let plain = serde_json::from_value::<StatisticName>(operand.into()).is_ok();
    match listed_below {
        Some(other) if other.function == Some(F::TopK) => format!("`{operand}` is a list"),
        Some(_) => format!("list `{operand}` before it"),
        None if plain => format!("add `{operand}` to aggregation.enabled"),
        None => "name a statistic of aggregation.enabled or one listed before".into(),
    }
}

fn conditions(checks: &mut Checks<'_>, path: &str, condition: &ConditionConfig) {
    let own = condition.own();
    if own != FieldConditionConfig::default() || condition.all.is_empty() {
        field_condition(checks, path, &own);
    }
    for (index, one) in condition.all.iter().enumerate() {
        field_condition(checks, &format!("{path}.all[{index}]"), one);
    }
}

fn field_condition(checks: &mut Checks<'_>, path: &str, condition: &FieldConditionConfig) {
    let Some(field) = &condition.field else {
        let help = "write `field:` with the dotted path of a field";
        checks.fault(&format!("{path}.field"), "the condition names no field", help);
        return;
    };
    field_path(checks, &format!("{path}.field"), field);
    if tests(condition).is_empty() {
        let help = "write exists, equals, not_equals, above, below, at_least or at_most";
        checks.fault(path, format!("nothing is asked of `{field}`"), help);
    }
}
