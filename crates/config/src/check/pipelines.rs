//! `pipelines:` as a list: there is one, and every name tells one from the others.

use super::Checks;

/// Longest name, in characters.
const MAX_NAME: usize = 64;

pub(super) fn check(checks: &mut Checks<'_>) {
    let Some(pipelines) = &checks.config.pipelines else { return };
    if pipelines.is_empty() {
        let help = "name at least one pipeline, or remove `pipelines`";
        checks.fault("pipelines", "the list is empty", help);
    }
    for (index, pipeline) in pipelines.iter().enumerate() {
        let key = format!("pipelines[{index}].name");
        let name = pipeline.name.as_str();
        if name.is_empty() {
            let help = "write `name: <name>`; it is in every result";
            checks.fault(&key, "the pipeline has no name", help);
        } else if !is_name(name) {
            let help = format!(
                "begin with a letter and use letters, digits, `.`, `_` and `-`, at most {MAX_NAME}"
            );
            checks.fault(&key, format!("`{name}` is no name of a pipeline"), &help);
        } else if let Some(other) =
            pipelines.iter().take(index).position(|other| other.name == *name)
        {
            let message = format!("`{name}` is also the name of pipelines[{other}]");
            checks.fault(&key, message, "give each its own name");
        }
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= MAX_NAME
        && name.chars().all(allowed)
}
