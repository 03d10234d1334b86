//! Changes of a store that become visible together.

/// One change of a [`WriteBatch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// `value` stands under `key` from now on.
    Put {
        /// Where.
        key: &'a [u8],
        /// What.
        value: &'a [u8],
    },
    /// Nothing stands under `key` any more.
    Delete {
        /// Where.
        key: &'a [u8],
    },
    /// Nothing stands under keys with `from <= key < to` any more.
    DeleteRange {
        /// The first key.
        from: &'a [u8],
        /// The key after the last; nothing happens if it is not greater than `from`.
        to: &'a [u8],
    },
}

impl<'a> Change<'a> {
    /// The key, or the first one of a range.
    pub(super) fn first_key(&self) -> &'a [u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
            Self::DeleteRange { from, .. } => from,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Put,
    Delete,
    DeleteRange,
}

/// Length of the first and of the second part of a change within the arena.
#[derive(Debug, Clone, Copy)]
struct Entry {
    kind: Kind,
    first: usize,
    second: usize,
}

/// Changes that a [`Store`](super::Store) applies in their order, all or none.
///
/// The bytes lie in one arena, so that a batch that is used again allocates nothing.
///
/// ```
/// use llm_optimizer_processor::state::{Change, WriteBatch};
/// let mut batch = WriteBatch::default();
/// batch.put(b"model=a", b"1");
/// batch.delete(b"model=b");
/// let changes: Vec<_> = batch.iter().collect();
/// assert_eq!(changes[1], Change::Delete { key: b"model=b" });
/// assert_eq!((batch.len(), batch.size_bytes()), (2, 15));
/// ```
#[derive(Debug, Clone, Default)]
pub struct WriteBatch {
    entries: Vec<Entry>,
    arena: Vec<u8>,
}

impl WriteBatch {
    /// Puts `value` under `key`, in the place of what was there.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.push(Kind::Put, key, value);
    }

    /// Removes `key`; that it was not there is no failure.
    pub fn delete(&mut self, key: &[u8]) {
        self.push(Kind::Delete, key, &[]);
    }

    /// Removes all keys with `from <= key < to`.
    pub fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        self.push(Kind::DeleteRange, from, to);
    }

    /// The changes in their order.
    pub fn iter(&self) -> impl Iterator<Item = Change<'_>> {
        let mut rest = self.arena.as_slice();
        self.entries.iter().map(move |entry| {
            let (first, after) = rest.split_at(entry.first);
            let (second, after) = after.split_at(entry.second);
            rest = after;
            match entry.kind {
                Kind::Put => Change::Put { key: first, value: second },
                Kind::Delete => Change::Delete { key: first },
                Kind::DeleteRange => Change::DeleteRange { from: first, to: second },
            }
        })
    }

    /// Number of changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.arena.len()
    }

    /// Forgets all changes; the memory stays for the next ones.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.arena.clear();
    }

    fn push(&mut self, kind: Kind, first: &[u8], second: &[u8]) {
        self.entries.push(Entry { kind, first: first.len(), second: second.len() });
        self.arena.extend_from_slice(first);
        self.arena.extend_from_slice(second);
    }
}
