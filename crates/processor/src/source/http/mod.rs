//! `POST /v1/events`: records over HTTP.
//!
//! | content type | a record is |
//! | --- | --- |
//! | `application/x-ndjson`, `application/ndjson`, `application/jsonl`, `application/x-jsonlines` | a line |
//! | `application/json` | the object, or an element of the array |
//! | `application/cloudevents+json` | the object |
//! | `application/cloudevents-batch+json` | an element of the array |
//! | any, with a header `ce-specversion` | a `CloudEvent` of the `ce-` headers, its `data` the body |
//!
//! A body may be packed with gzip. What cannot be split into records is refused as a whole; what is in a
//! record is judged by decode, as from any other source.

mod body;
mod cloud_event;
mod door;
mod json;
mod problem;
mod routes;
mod split;
#[cfg(test)]
mod tests;

pub(crate) use body::read_body;
pub(crate) use door::Door;
pub(crate) use problem::Problem;

pub(crate) use routes::routes;
