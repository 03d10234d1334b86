//! "Did you mean".

use strsim::damerau_levenshtein;

/// The candidate that `written` was probably meant to be.
pub(crate) fn closest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let folded = written.to_lowercase().replace('-', "_");
    let longest = (folded.chars().count() / 3).clamp(1, 6);
    candidates
        .into_iter()
        .map(|candidate| (distance(&folded, candidate), candidate))
        .filter(|(distance, _)| *distance <= longest)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between the two; a whole word that is one's beginning counts as one edit.
fn distance(written: &str, candidate: &str) -> usize {
    let candidate = candidate.to_lowercase();
    let begins = written.len() >= 3
        && (candidate.starts_with(&format!("{written}_"))
            || written.starts_with(&format!("{candidate}_")));
    if begins { 1 } else { damerau_levenshtein(written, &candidate) }
}

/// `did you mean `x`?`, if some candidate is close.
pub(crate) fn did_you_mean<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    closest(written, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// Words as a reader lists them: `` `a`, `b` or `c` ``.
pub(crate) fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn finds_the_key_that_was_meant() {
        let keys = ["parallelism", "buffer_size", "slide_secs", "size_secs", "key"];
        assert_eq!(closest("paralelism", keys), Some("parallelism"));
        assert_eq!(closest("slide", keys), Some("slide_secs"));
        assert_eq!(closest("Buffer-Size", keys), Some("buffer_size"));
        assert_eq!(closest("kye", keys), Some("key"));
        assert_eq!(closest("totally_else", keys), None);
        assert_eq!(closest("", keys), None);
    }
}
