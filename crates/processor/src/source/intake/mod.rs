//! What `http` and `otlp` share: records that others send are kept before they are acknowledged.
//!
//! ```text
//!  request ─▶ Inbox: admitted? ─▶ writer: one synced write for all who wait ─▶ answer
//!                                        │ rows in the store
//!                                        ▼
//!                             source ─▶ queue ─▶ … ─▶ commit deletes the rows behind its position
//! ```
//! A record's number in the inbox is its offset: rows are contiguous, and the position of the newest
//! commit lies in the first of them or at their end. So nothing that was acknowledged is lost or
//! processed twice, whenever the process dies. Nothing here knows HTTP.

mod inbox;
mod metrics;
mod reader;
mod records;
mod recover;
mod requests;
mod row;
mod source;
#[cfg(test)]
mod tests;
mod writer;

pub use inbox::{Inbox, InboxStatistics, Receipt, Refusal};
pub use records::Records;
pub use requests::RequestName;
pub use source::IntakeSource;

pub(crate) use metrics::{Ending, IntakeMetrics};
pub(crate) use recover::{carry_over, load};
pub(crate) use source::position_in;

/// Name of the one partition.
pub const PARTITION_NAME: &str = "inbox";
