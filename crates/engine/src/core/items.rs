//! Items: what is counted by distinct values or by frequency, a scalar of any type.
//!
//! An item is encoded as one letter for its type and its text: `tgpt-4`, `i-12`, `f0.5`, `btrue`. A
//! number is one item however it is written: 1 and 1.0 are the same, the text "1" is another one.

use std::fmt;

use hashbrown::{HashTable, hash_table::Entry};
use serde_json::{Number, Value};
use xxhash_rust::xxh3::xxh3_64;

/// Longest text of an item that is kept as it is, in bytes.
pub const MAX_ITEM_BYTES: usize = 256;

/// Of a longer text this much is kept, in bytes, with a hash of all of it.
const KEPT_BYTES: usize = 200;

/// A scalar of any type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'a> {
    /// Text; beyond [`MAX_ITEM_BYTES`] its beginning and a hash of all of it.
    Text(&'a str),
    /// A whole number.
    Integer(i64),
    /// A whole number above `i64::MAX`.
    Unsigned(u64),
    /// A finite number.
    Float(f64),
    /// A boolean.
    Bool(bool),
}

/// An item of a batch: its encoding and a hash of that, the same in every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodedItem<'a> {
    /// XXH3-64 of `text`, seed 0.
    pub hash: u64,
    /// The encoding.
    pub text: &'a str,
}

impl fmt::Display for Item<'_> {
    /// The encoding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Text(text) if text.len() <= MAX_ITEM_BYTES => write!(f, "t{text}"),
            Self::Text(text) => {
                let end = text.floor_char_boundary(KEPT_BYTES);
                let begin = text.get(..end).unwrap_or_default();
                write!(f, "t{begin}…{:016x}", xxh3_64(text.as_bytes()))
            }
            Self::Integer(number) => write!(f, "i{number}"),
            Self::Unsigned(number) => write!(f, "i{number}"),
            Self::Float(number) => match whole(number) {
                Some(whole) => write!(f, "i{whole}"),
                None => write!(f, "f{number:e}"),
            },
            Self::Bool(word) => write!(f, "b{word}"),
        }
    }
}

/// The whole number that `number` is, within the range in which doubles tell whole numbers apart.
fn whole(number: f64) -> Option<i64> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "a whole number of at most 2^53")]
    (number.fract() == 0.0 && number.abs() <= LIMIT).then_some(number as i64)
}

impl EncodedItem<'_> {
    /// The item as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        item_value(self.text)
    }
}

/// The item with this encoding as JSON.
#[must_use]
pub fn item_value(encoded: &str) -> Value {
    let mut chars = encoded.chars();
    let (kind, text) = (chars.next(), chars.as_str());
    let number = |number: Option<Number>| number.map(Value::Number);
    let value = match kind {
        Some('i') => {
            let signed = text.parse::<i64>().map(Number::from);
            number(signed.or_else(|_| text.parse::<u64>().map(Number::from)).ok())
        }
        Some('f') => number(text.parse().ok().and_then(Number::from_f64)),
        Some('b') => Some(Value::Bool(text == "true")),
        _ => None,
    };
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// The distinct items of a batch, each stored once.
#[derive(Debug, Clone, Default)]
pub(super) struct ItemPool {
    bytes: String,
    entries: Vec<PoolEntry>,
    index: HashTable<u32>,
}

#[derive(Debug, Clone, Copy)]
struct PoolEntry {
    hash: u64,
    from: usize,
    to: usize,
}

impl ItemPool {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.index.clear();
    }

    /// The number of the item.
    pub(super) fn intern(&mut self, encoded: &str) -> u32 {
        let hash = xxh3_64(encoded.as_bytes());
        let (entries, bytes) = (&self.entries, &self.bytes);
        let entry_of = |number: &u32| entries.get(*number as usize).copied();
        let found = self.index.entry(
            hash,
            |number| entry_of(number).is_some_and(|e| e.hash == hash && text(bytes, e) == encoded),
            |number| entry_of(number).map_or(0, |e| e.hash),
        );
        match found {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(free) => {
                let number = u32::try_from(self.entries.len())
                    .unwrap_or_else(|_| panic!("a batch has fewer than 2^32 events"));
                free.insert(number);
                let from = self.bytes.len();
                self.bytes.push_str(encoded);
                self.entries.push(PoolEntry { hash, from, to: self.bytes.len() });
                number
            }
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<EncodedItem<'_>> {
        let entry = self.entries.get(number as usize).copied()?;
        Some(EncodedItem { hash: entry.hash, text: text(&self.bytes, entry) })
    }
}

fn text(bytes: &str, entry: PoolEntry) -> &str {
    bytes.get(entry.from..entry.to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_comes_back_as_the_json_it_was() {
        let long = "é".repeat(300);
        for (item, json) in [
            (Item::Text("gpt-4 \"x\""), Value::from("gpt-4 \"x\"")),
            (Item::Text(""), Value::from("")),
            (Item::Text("12"), Value::from("12")),
            (Item::Integer(-12), Value::from(-12)),
            (Item::Unsigned(u64::MAX), Value::from(u64::MAX)),
            (Item::Float(0.1), Value::from(0.1)),
            (Item::Float(1e300), Value::from(1e300)),
            (Item::Bool(true), Value::from(true)),
            (Item::Bool(false), Value::from(false)),
        ] {
            assert_eq!(item_value(&item.to_string()), json);
        }
        assert_eq!(Item::Float(12.0).to_string(), Item::Integer(12).to_string());
        assert_ne!(Item::Text("12").to_string(), Item::Integer(12).to_string());
        let shown = Item::Text(&long).to_string();
        assert!(shown.len() < MAX_ITEM_BYTES && shown.contains('…'), "{shown}");
        assert_ne!(
            Item::Text(&format!("{long}1")).to_string(),
            Item::Text(&format!("{long}2")).to_string()
        );
    }

    #[test]
    fn equal_items_of_a_batch_share_a_number() {
        let mut pool = ItemPool::default();
        let numbers = ["ta", "tb", "ta"].map(|item| pool.intern(item));
        assert_eq!(numbers, [0, 1, 0]);
        assert_eq!(pool.get(1).map(|item| item.text), Some("tb"));
        assert_eq!(pool.get(2), None);
    }
}
