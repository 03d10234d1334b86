//! The identity of a result across restarts.

use xxhash_rust::xxh3::Xxh3;

/// Identity of the window `[start_ms, end_ms)` of `key` in `pipeline`: the upsert key of its results.
///
/// XXH3-128 (seed 0) over the fields in this order, each text preceded by its length as eight bytes,
/// all numbers little-endian.
///
/// ```
/// use llm_optimizer_engine::core::window_id;
/// assert_ne!(window_id("p", "a=1", 0, 60_000), window_id("p", "a=1", 0, 60_001));
/// assert_ne!(window_id("pa", "b", 0, 1), window_id("p", "ab", 0, 1));
/// ```
#[must_use]
pub fn window_id(pipeline: &str, key: &str, start_ms: i64, end_ms: i64) -> u128 {
    let mut hash = Xxh3::new();
    for text in [pipeline, key] {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.update(&start_ms.to_le_bytes());
    hash.update(&end_ms.to_le_bytes());
    hash.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_never_changes_between_releases() {
        let id =
            window_id("default", "service=chat::model=gpt-4", 1_700_000_000_000, 1_700_000_060_000);
        assert_eq!(format!("{id:032x}"), "7c724bb0a6d106eb92cbe8112049d147");
    }
}
