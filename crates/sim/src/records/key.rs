//! Keys as one string, from the documentation of the encoding.
//!
//! `name=value` joined by `::`. In a name or a value a backslash before `\` and `=`, and before
//! each colon that has a colon, or nothing, on one side. Text that reads as a number (as Rust reads
//! an `f64`: also `inf`, `nan`, `+1`, `.5`) or boolean, or begins with a quote, is in quotes.

use serde_json::{Map, Value};

/// The string of a key with these fields; `None` if a value can be no key: only text, booleans and
/// integers from −2⁶³ to 2⁶³ − 1 can.
///
/// ```
/// use llm_optimizer_sim::records::encode_key;
/// use serde_json::json;
/// let key = [("a", json!("x::y")), ("b", json!(1)), ("c", json!("1")), ("d", json!(":z:z"))];
/// assert_eq!(encode_key(&key.map(|(n, v)| (n.to_owned(), v))).unwrap(),
///            r#"a=x\:\:y::b=1::c="1"::d=\:z:z"#);
/// assert_eq!(encode_key(&[("a".to_owned(), json!(1.5))]), None);
/// ```
#[must_use]
pub fn encode(fields: &[(String, Value)]) -> Option<String> {
    let parts: Option<Vec<String>> = fields
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Value::Bool(flag) => flag.to_string(),
                Value::Number(number) => number.as_i64()?.to_string(),
                Value::String(text) if reads_as_something_else(text) => {
                    format!("\"{}\"", escape(text))
                }
                Value::String(text) => escape(text),
                _ => return None,
            };
            Some(format!("{}={value}", escape(name)))
        })
        .collect();
    parts.map(|parts| parts.join("::"))
}

/// Names of key fields: the last segment of the path, or the whole path where two share it.
pub(super) fn names(paths: &[String]) -> Vec<String> {
    let last = |path: &String| path.rsplit('.').next().unwrap_or(path).to_owned();
    let all: Vec<String> = paths.iter().map(last).collect();
    let name = |path: &String| {
        let short = last(path);
        if all.iter().filter(|other| **other == short).count() > 1 { path.clone() } else { short }
    };
    paths.iter().map(name).collect()
}

/// Names and values as they are in `key_fields`.
pub(super) fn fields(named: &[(String, Value)]) -> Map<String, Value> {
    named.iter().cloned().collect()
}

fn reads_as_something_else(text: &str) -> bool {
    text == "true" || text == "false" || text.starts_with('"') || text.parse::<f64>().is_ok()
}

fn escape(text: &str) -> String {
    let all: Vec<char> = text.chars().collect();
    let colon_or_nothing = |index: Option<usize>| {
        index.and_then(|index| all.get(index)).is_none_or(|neighbour| *neighbour == ':')
    };
    let mut escaped = String::new();
    for (index, c) in all.iter().enumerate() {
        let at_edge = colon_or_nothing(index.checked_sub(1)) || colon_or_nothing(Some(index + 1));
        if *c == '\\' || *c == '=' || (*c == ':' && at_edge) {
            escaped.push('\\');
        }
        escaped.push(*c);
    }
    escaped
}
