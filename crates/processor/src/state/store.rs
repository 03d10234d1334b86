//! What every store of bytes promises, whatever it is made of.
//!
//! Nothing here knows pipelines or windows: a store is one sorted map that changes in atomic batches.

use std::{fmt::Debug, ops::ControlFlow};

use super::WriteBatch;
use crate::error::ProcessorResult;

/// What a crash may take of a batch that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Nothing: the batch, and all before it, is on the disk when `write` returns.
    Synced,
    /// The batch, but only together with everything after it; the next synced batch makes it durable.
    Buffered,
}

/// What [`Store::scan`] calls for each row: key, value, and whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// A sorted map of bytes that changes in atomic batches.
///
/// | call | afterwards |
/// | --- | --- |
/// | `write(batch, Synced)` returned `Ok` | all of the batch, and of all before it, survives a crash |
/// | `write(batch, Buffered)` returned `Ok` | readers see all of it; a crash may take it, but never it without what came after, and never a part |
/// | `write(batch, _)` returned `Err` | readers of this handle see nothing of it; after opening anew all or nothing of it is there |
/// | `get(key)` | the value of the last batch that put it, unless a later change of it or of a later batch deleted it |
/// | `scan(from, to, visit)` | `visit` saw the rows with `from <= key < to` of one moment, in the order of their bytes, until it broke off |
/// | `snapshot()` | a view that stays as it is whatever is written later |
/// | `compact()` | same rows, possibly fewer bytes on disk |
/// | any read of a damaged row | an error that names the store and the key; never other bytes, never silence |
///
/// The changes of one batch apply in their order. A store is shared by reference: writes come one after
/// the other, reads do not wait for each other. `visit` must not write to the store it reads.
pub trait Store: Send + Sync + Debug {
    /// The value under `key`.
    ///
    /// # Errors
    /// [`State`](crate::ProcessorError::State) if the row is damaged, [`Io`](crate::ProcessorError::Io)
    /// if the store cannot be read.
    fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>>;

    /// Applies all changes of `batch`, or none.
    ///
    /// # Errors
    /// [`Io`](crate::ProcessorError::Io) if the system refuses (disk full, sync failed),
    /// [`State`](crate::ProcessorError::State) for all else.
    fn write(&self, batch: &WriteBatch, durability: Durability) -> ProcessorResult<()>;

    /// Shows the rows from `from` to before `to` (`None`: to the end), in the order of their bytes.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> ProcessorResult<()>;

    /// Everything as it is now, for reading while others write.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn snapshot(&self) -> ProcessorResult<Box<dyn StoreView>>;

    /// Gives back room that deleted rows left. May take as long as writing the whole store.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn compact(&self) -> ProcessorResult<()>;

    /// Bytes the store takes: on disk, or in memory where it has no disk.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn size_bytes(&self) -> ProcessorResult<u64>;

    /// Which store this is, as long as it lives in this process; what wraps a store gives the
    /// identity of the store it wraps.
    ///
    /// ```
    /// use llm_optimizer_processor::state::{MemoryStore, Store};
    /// let (one, other) = (Box::new(MemoryStore::new()), Box::new(MemoryStore::new()));
    /// assert_eq!(one.identity(), one.identity());
    /// assert_ne!(one.identity(), other.identity());
    /// ```
    fn identity(&self) -> usize {
        std::ptr::from_ref(self).cast::<()>().addr()
    }
}

/// A store at one moment, for reading only. Its laws are those of [`Store::get`] and [`Store::scan`].
///
/// While it lives, the store may not be able to give back room.
pub trait StoreView: Send + Debug {
    /// The value under `key`.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn get(&self, key: &[u8]) -> ProcessorResult<Option<Vec<u8>>>;

    /// Shows the rows from `from` to before `to` (`None`: to the end), in the order of their bytes.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> ProcessorResult<()>;
}

/// The first key after all keys that begin with `prefix`; `None` if there is none.
///
/// ```
/// use llm_optimizer_processor::state::prefix_end;
/// assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
/// assert_eq!(prefix_end(b"a\xff"), Some(b"b".to_vec()));
/// assert_eq!(prefix_end(b"\xff"), None);
/// ```
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    let last = end.last_mut()?;
    *last += 1;
    Some(end)
}
