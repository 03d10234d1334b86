//! Reads the body of a request, no further than it may be long.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use axum::{body::Body, http::StatusCode};
use futures::StreamExt;

use super::Problem;

/// Longest time a body may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// As many bodies of the greatest length may be in memory at once.
const BODIES_AT_ONCE: u64 = 8;

/// How long one body may be, and how much of bodies is in memory.
#[derive(Debug)]
pub(crate) struct BodyLimits {
    max_bytes: u64,
    held_bytes: AtomicU64,
}

impl BodyLimits {
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self { max_bytes, held_bytes: AtomicU64::new(0) }
    }
}

/// A body, which counts as held until this is dropped.
#[derive(Debug)]
pub(crate) struct HeldBody<'a> {
    pub(crate) bytes: Vec<u8>,
    limits: &'a BodyLimits,
}

impl HeldBody<'_> {
    fn extend(&mut self, chunk: &[u8]) -> Result<(), Problem> {
        let BodyLimits { max_bytes, held_bytes } = self.limits;
        if (self.bytes.len() + chunk.len()) as u64 > *max_bytes {
            return Err(too_long(*max_bytes));
        }
        let held = held_bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        self.bytes.extend_from_slice(chunk);
        if held + chunk.len() as u64 > max_bytes.saturating_mul(BODIES_AT_ONCE) {
            let message = "too many long bodies are being received at once";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, message));
        }
        Ok(())
    }
}

impl Drop for HeldBody<'_> {
    fn drop(&mut self) {
        self.limits.held_bytes.fetch_sub(self.bytes.len() as u64, Ordering::Relaxed);
    }
}

/// All of `body`.
///
/// # Errors
/// 413 if it is longer than it may be, 429 if too many long ones are received at once, 408 if it takes too
/// long, 400 if it breaks off or is not packed as it says.
pub(crate) async fn read_body(body: Body, limits: &BodyLimits) -> Result<HeldBody<'_>, Problem> {
    let mut held = HeldBody { bytes: Vec::new(), limits };
    let reading = async {
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| {
                Problem::new(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}"))
            })?;
            held.extend(&chunk)?;
        }
        Ok(())
    };
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Ok(())) => Ok(held),
        Ok(Err(problem)) => Err(problem),
        Err(_) => {
            let message = format!("the body took longer than {} s", PATIENCE.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, message))
        }
    }
}

fn too_long(max_bytes: u64) -> Problem {
    let message = format!("the body is longer than {max_bytes} bytes (`source.max_body_bytes`)");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}
