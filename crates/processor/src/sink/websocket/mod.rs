//! Results as messages to a WebSocket server, of which this is a client.
//!
//! | file | subject |
//! | --- | --- |
//! | `link` | a connection: sends, reads what comes, waits until the server has what was sent |
//! | `keeper` | a thread that answers pings while there are no results |
//! | `sink` | what is not confirmed is kept, and sent again on the next connection |
//!
//! One message per result, its JSON as text. A message counts as delivered when the server has shown that
//! it read it; what a server that died had not shown comes again, so a receiver tells repeated messages
//! apart by `result_id`.

mod keeper;
mod link;
mod sink;
#[cfg(test)]
mod tests;

pub use sink::{WebSocketSettings, WebSocketSink};
