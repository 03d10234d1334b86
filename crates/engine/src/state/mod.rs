//! State as rows: out of the engine at a cut, into it after a restart.
//!
//! The engine keeps its state in memory. At a cut it gives out the rows that changed since the last
//! one, and deletions of those that went; after a restart all rows come back, in any order, and the
//! engine goes on as if it had never stopped. What a store does with rows is no concern of this
//! module: keys are ordered bytes, values opaque ones.
//!
//! # Keys
//!
//! All numbers big-endian; instants and starts are `i64` with the sign bit flipped, so that bytes order
//! as numbers do.
//!
//! | field | bytes | |
//! | --- | --- | --- |
//! | key group | 2 | `xxh3_64(key) mod key_groups`; that in its name for an overflow key |
//! | kind | 1 | see below |
//! | end | 8 | last instant the row matters for, before lateness: see below |
//! | key | 4 + n | length, then the encoded key |
//! | pane | 8 | see below |
//! | from | 8 | see below |
//! | column | 2 | 0: the row itself; others hold what may be large |
//! | part | 2 | what is larger than one value holds goes on in further parts |
//!
//! | kind | row | end | pane | from |
//! | --- | --- | --- | --- | --- |
//! | 1 | accumulator of a pane | end of the pane's last window | start of the pane | start of the first window it counts for |
//! | 2 | session | time of the event that began it, which never changes | 0 | 0 |
//! | 3 | window of the user's own | end | start | 0 |
//! | 4 | a window has fired for the key | end | start | 0 |
//! | 5 | what triggers remember of a window of the key | end | start | 0 |
//! | 6 | history of a key for `ema` and `anomaly` | 0 | 0 | 0 |
//! | 7 | a window in that history that is not folded into it yet | end | start | 0 |
//!
//! # Values
//!
//! Every value begins with the version of its form, [`FORMAT`]. Numbers are little-endian, counts
//! are variable in length. Column 0 of an accumulator holds its plain numbers and says what is in the
//! other columns: one for the percentiles of each value, then one for each further statistic that needs
//! more than a few numbers, then one for each function of the user's. Exact values lie 32 to a part, in
//! the order they came, so that an event changes one part only.
//!
//! Values carry no checksum: whoever stores them adds one. Still, a value that cannot be right is a
//! [`StateDamage`], never a panic.

mod bytes;
mod changes;
mod damage;
mod key;
mod progress;
mod rows;

pub(crate) use bytes::{Fault, Reader, Scribe, Writer};
pub use changes::StateChanges;
pub use damage::StateDamage;
pub use key::key_group_of;
pub(crate) use key::{Kind, RowKey};
pub use progress::{PartitionProgress, TaskProgress};
pub(crate) use rows::{Rows, Stored};

/// Version of the form of every value.
pub const FORMAT: u8 = 1;

/// Longest piece of a larger whole that one value holds, in bytes.
pub(crate) const PIECE_BYTES: usize = 512 << 10;
