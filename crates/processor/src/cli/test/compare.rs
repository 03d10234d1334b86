//! When two values count as equal.

use serde_json::Value;

/// Whether `actual` is `expected`; numbers may differ by `tolerance` times the larger one.
///
/// Maps agree if every entry of `expected` does: only what is named is compared.
pub(in crate::cli) fn agrees(expected: &Value, actual: &Value, tolerance: f64) -> bool {
    match (expected, actual) {
        (Value::Number(expected), Value::Number(actual)) => {
            expected == actual || near(expected.as_f64(), actual.as_f64(), tolerance)
        }
        (Value::Array(expected), Value::Array(actual)) => {
            expected.len() == actual.len()
                && expected.iter().zip(actual).all(|(e, a)| agrees(e, a, tolerance))
        }
        (Value::Object(expected), Value::Object(actual)) => expected.iter().all(|(name, value)| {
            actual.get(name).is_some_and(|found| agrees(value, found, tolerance))
        }),
        (expected, actual) => expected == actual,
    }
}

fn near(expected: Option<f64>, actual: Option<f64>, tolerance: f64) -> bool {
    let (Some(expected), Some(actual)) = (expected, actual) else { return false };
    (expected - actual).abs() <= tolerance * expected.abs().max(actual.abs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_agree_within_the_tolerance_and_not_beyond() {
        assert!(agrees(&json!(10), &json!(10.0), 0.0));
        assert!(agrees(&json!(100.0), &json!(101.0), 0.01));
        assert!(!agrees(&json!(100.0), &json!(102.0), 0.01));
        assert!(!agrees(&json!(0), &json!(0.1), 0.01));
        assert!(!agrees(&json!("1"), &json!(1), 1.0));
    }

    #[test]
    fn only_what_is_named_is_compared() {
        let top = json!([{ "item": "a", "count": 2 }]);
        assert!(agrees(&json!([{ "item": "a" }]), &top, 0.0));
        assert!(!agrees(&json!([{ "item": "b" }]), &top, 0.0));
        assert!(!agrees(&json!([]), &top, 0.0));
    }
}
