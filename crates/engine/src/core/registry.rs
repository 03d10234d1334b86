//! Keys that hold state, numbered.
//!
//! State refers to a key by its [`KeyId`]. A key stays as long as something retains it; then its
//! number is free for another one.

use hashbrown::{HashTable, hash_table::Entry};
use xxhash_rust::xxh3::xxh3_64;

/// Field name of the key that takes the events of keys beyond the limit.
pub const OVERFLOW_FIELD: &str = "__overflow__";

/// Number of a key that holds state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u32);

impl KeyId {
    /// The number, for dense tables.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The key of a number that [`index`](Self::index) gave.
    pub(crate) fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }
}

/// Room for more keys than this is given back when no key is left.
const SPARE_KEYS: usize = 1_024;

#[derive(Debug)]
struct KeyEntry {
    hash: u64,
    text: Box<str>,
    retained: u32,
}

/// The keys that hold state.
///
/// A key belongs to key group `hash mod key_groups`. When a group has its share of `max_keys`,
/// further keys of the group share the overflow key `__overflow__=<group>`.
#[derive(Debug)]
pub struct KeyRegistry {
    entries: Vec<KeyEntry>,
    index: HashTable<u32>,
    free: Vec<u32>,
    group_sizes: Vec<u32>,
    max_keys_per_group: u32,
    overflowed: u64,
}

impl KeyRegistry {
    /// An empty registry of `key_groups` > 0 groups, together at most `max_keys` keys (rounded up to
    /// a multiple of the groups).
    #[must_use]
    pub fn new(key_groups: u16, max_keys: u64) -> Self {
        let groups = key_groups.max(1);
        let share = max_keys.div_ceil(u64::from(groups)).max(1);
        Self {
            entries: Vec::new(),
            index: HashTable::new(),
            free: Vec::new(),
            group_sizes: vec![0; usize::from(groups)],
            max_keys_per_group: u32::try_from(share).unwrap_or(u32::MAX),
            overflowed: 0,
        }
    }

    /// The number of `key`, whose xxh3-64 is `hash`; a new key is not retained yet.
    pub fn resolve(&mut self, hash: u64, key: &str) -> KeyId {
        if let Some(id) = self.find(hash, key) {
            return id;
        }
        let group = self.group_of(hash);
        let size = self.group_sizes.get(group).copied().unwrap_or(0);
        if size < self.max_keys_per_group {
            return self.insert(hash, key, Some(group));
        }
        self.overflowed += 1;
        let shared = format!("{OVERFLOW_FIELD}={group}");
        let hash = xxh3_64(shared.as_bytes());
        self.find(hash, &shared).unwrap_or_else(|| self.insert(hash, &shared, None))
    }

    /// Keeps the key until [`release`](Self::release).
    pub fn retain(&mut self, id: KeyId) {
        if let Some(entry) = self.entries.get_mut(id.index()) {
            entry.retained += 1;
        }
    }

    /// Gives up one [`retain`](Self::retain); the last one frees the number.
    pub fn release(&mut self, id: KeyId) {
        if let Some(entry) = self.entries.get_mut(id.index()) {
            entry.retained = entry.retained.saturating_sub(1);
        }
        self.drop_unused(id);
    }

    /// Frees the number if nothing retains the key; harmless if it is free already.
    pub fn drop_unused(&mut self, id: KeyId) {
        let Some(entry) = self.entries.get_mut(id.index()) else { return };
        if entry.retained > 0 {
            return;
        }
        let (hash, text) = (entry.hash, std::mem::take(&mut entry.text));
        let Ok(found) = self.index.find_entry(hash, |number| *number == id.0) else { return };
        found.remove();
        self.free.push(id.0);
        if !is_overflow(&text) {
            let group = self.group_of(hash);
            if let Some(size) = self.group_sizes.get_mut(group) {
                *size = size.saturating_sub(1);
            }
        }
        if self.index.is_empty() && self.entries.capacity() > SPARE_KEYS {
            (self.entries, self.free) = (Vec::new(), Vec::new());
            self.index = HashTable::new();
        }
    }

    /// How often the key is retained.
    #[must_use]
    pub fn retained(&self, id: KeyId) -> u32 {
        self.entries.get(id.index()).map_or(0, |entry| entry.retained)
    }

    /// The encoded key.
    #[must_use]
    pub fn text(&self, id: KeyId) -> &str {
        self.entries.get(id.index()).map_or("", |entry| &entry.text)
    }

    /// Key group and text of a key.
    pub(crate) fn named(&self, id: KeyId) -> (u16, &str) {
        let entry = self.entries.get(id.index());
        entry.map_or((0, ""), |entry| (self.group_of_key(entry.hash, &entry.text), &*entry.text))
    }

    /// Key group of a key: an overflow key has its group in its name.
    pub(crate) fn group_of_text(&self, key: &str) -> u16 {
        self.group_of_key(xxh3_64(key.as_bytes()), key)
    }

    /// The number of a key that held state before, whatever the limit; not retained yet. `None` if it is
    /// not a key of `group`.
    pub(crate) fn restore(&mut self, group: u16, key: &str) -> Option<KeyId> {
        let hash = xxh3_64(key.as_bytes());
        if let Some(id) = self.find(hash, key) {
            return Some(id);
        }
        let is_counted = !is_overflow(key);
        let counted = is_counted.then(|| self.group_of(hash));
        (self.group_of_key(hash, key) == group).then(|| self.insert(hash, key, counted))
    }

    /// The number of a key that holds state.
    pub(crate) fn known(&self, key: &str) -> Option<KeyId> {
        self.find(xxh3_64(key.as_bytes()), key)
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// How often [`resolve`](Self::resolve) gave out an overflow key because a group was full.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let text: usize = self.entries.iter().map(|entry| entry.text.len()).sum();
        self.entries.capacity() * size_of::<KeyEntry>()
            + self.index.allocation_size()
            + self.free.capacity() * size_of::<u32>()
            + self.group_sizes.capacity() * size_of::<u32>()
            + text
    }

    fn find(&self, hash: u64, key: &str) -> Option<KeyId> {
        let same = |number: &u32| {
            self.entries.get(*number as usize).is_some_and(|e| e.hash == hash && *e.text == *key)
        };
        self.index.find(hash, same).copied().map(KeyId)
    }

    fn insert(&mut self, hash: u64, key: &str, group: Option<usize>) -> KeyId {
        let entry = KeyEntry { hash, text: key.into(), retained: 0 };
        let number = match self.free.pop() {
            Some(number) => number,
            None => u32::try_from(self.entries.len())
                .unwrap_or_else(|_| panic!("`max_keys` keeps the keys below 2^32")),
        };
        match self.entries.get_mut(number as usize) {
            Some(free) => *free = entry,
            None => self.entries.push(entry),
        }
        if let Some(size) = group.and_then(|group| self.group_sizes.get_mut(group)) {
            *size += 1;
        }
        let entries = &self.entries;
        let hash_of = |n: &u32| entries.get(*n as usize).map_or(0, |e| e.hash);
        if let Entry::Vacant(free) = self.index.entry(hash, |n| *n == number, hash_of) {
            free.insert(number);
        }
        KeyId(number)
    }

    fn group_of_key(&self, hash: u64, key: &str) -> u16 {
        let named = key.strip_prefix(OVERFLOW_FIELD).and_then(|rest| rest.strip_prefix('='));
        let named = named.and_then(|group| group.parse().ok());
        let named = named.filter(|group| usize::from(*group) < self.group_sizes.len());
        named.unwrap_or_else(|| u16::try_from(self.group_of(hash)).unwrap_or(0))
    }

    fn group_of(&self, hash: u64) -> usize {
        usize::try_from(hash % self.group_sizes.len() as u64).unwrap_or(0)
    }
}

fn is_overflow(key: &str) -> bool {
    key.strip_prefix(OVERFLOW_FIELD).is_some_and(|rest| rest.starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(keys: &mut KeyRegistry, key: &str) -> KeyId {
        keys.resolve(xxh3_64(key.as_bytes()), key)
    }

    #[test]
    fn a_key_keeps_its_number_until_its_last_release() {
        let mut keys = KeyRegistry::new(4, 100);
        let a = resolve(&mut keys, "a=1");
        keys.retain(a);
        keys.retain(a);
        keys.release(a);
        assert_eq!((resolve(&mut keys, "a=1"), keys.text(a)), (a, "a=1"));
        keys.release(a);
        assert!(keys.is_empty());
        assert_eq!(resolve(&mut keys, "b=2"), a, "the number is free for another key");
    }

    #[test]
    fn a_full_group_shares_one_overflow_key() {
        let mut keys = KeyRegistry::new(1, 2);
        for key in ["a=1", "a=2"] {
            let id = resolve(&mut keys, key);
            keys.retain(id);
        }
        let third = resolve(&mut keys, "a=3");
        keys.retain(third);
        let fourth = resolve(&mut keys, "a=4");
        assert_eq!((keys.text(third), fourth), ("__overflow__=0", third));
        assert_eq!((keys.overflowed(), keys.len()), (2, 3));
        let first = resolve(&mut keys, "a=1");
        keys.release(first);
        let fourth = resolve(&mut keys, "a=4");
        assert_eq!(keys.text(fourth), "a=4", "a released key makes room");
    }
}
