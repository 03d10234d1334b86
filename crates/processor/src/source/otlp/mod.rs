//! OTLP/HTTP traces: each span of a call of a language model becomes one record.
//!
//! `POST /v1/traces` takes Protobuf and JSON, packed with gzip or not. A span that carries an attribute of
//! the `gen_ai` conventions, of today or of before, becomes a JSON object for profile `gen_ai`; any
//! other span is counted and not kept. Contents of messages are never taken.

mod names;
mod record;
mod reply;
mod routes;
#[cfg(test)]
mod tests;

pub(crate) use routes::routes;
