//! Rows that changed, side by side in one buffer.

/// Rows that changed since the last cut, in the order in which they are to be applied; a deletion says
/// that the row is gone.
///
/// ```
/// use llm_optimizer_engine::state::StateChanges;
/// let mut changes = StateChanges::default();
/// changes.put(b"a", b"1");
/// changes.delete(b"b");
/// let rows: Vec<_> = changes.iter().collect();
/// assert_eq!(rows, [(&b"a"[..], Some(&b"1"[..])), (&b"b"[..], None)]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateChanges {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// Where a row ends in the buffer; it begins where the one before it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    key_end: usize,
    end: usize,
    is_gone: bool,
}

impl StateChanges {
    /// The row has this value now.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.push(key, value, false);
    }

    /// The row is gone.
    pub fn delete(&mut self, key: &[u8]) {
        self.push(key, &[], true);
    }

    /// Rows and their values, `None` for those that are gone, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut begin = 0;
        self.entries.iter().map(move |entry| {
            let key = self.bytes.get(begin..entry.key_end).unwrap_or_default();
            let value = self.bytes.get(entry.key_end..entry.end).unwrap_or_default();
            begin = entry.end;
            (key, (!entry.is_gone).then_some(value))
        })
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no row changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and values together, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Adds the rows of `other` behind its own.
    pub(crate) fn append(&mut self, other: &Self) {
        let moved = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.entries.extend(other.entries.iter().map(|entry| Entry {
            key_end: entry.key_end + moved,
            end: entry.end + moved,
            is_gone: entry.is_gone,
        }));
    }

    /// Memory held, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    fn push(&mut self, key: &[u8], value: &[u8], is_gone: bool) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.entries.push(Entry { key_end, end: self.bytes.len(), is_gone });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_the_order_they_were_added() {
        let (mut first, mut second) = (StateChanges::default(), StateChanges::default());
        first.put(b"key", b"value");
        second.delete(b"gone");
        second.put(b"", b"");
        first.append(&second);
        let rows: Vec<_> = first.iter().collect();
        let expected: [(&[u8], Option<&[u8]>); 3] =
            [(b"key", Some(b"value")), (b"gone", None), (b"", Some(b""))];
        assert_eq!(rows, expected);
        assert_eq!((first.len(), first.size_bytes()), (3, 12));
        first.clear();
        assert!(first.is_empty() && first.size_bytes() == 0);
    }
}
