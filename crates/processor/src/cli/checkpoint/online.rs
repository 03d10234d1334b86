//! A savepoint of a processor that runs: asked for over its HTTP server.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use llm_optimizer_config::settings::HttpConfig;
use serde_json::Value;

use super::Failure;
use crate::{cli::exit::Exit, server::own_address};

/// How long the answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// An answer is not longer.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// The manifest of a savepoint that the running processor has kept.
pub(super) fn create(http: &HttpConfig) -> Result<Value, Failure> {
    let failed = |message: String| Failure { exit: Exit::Unavailable, message };
    let (status, body) = post(http, "/api/v1/checkpoints").map_err(|why| {
        failed(format!(
            "a processor uses this state, and its http server at {} does not answer: {why}; stop the processor, or set `http.bind` \
             to where it listens",
            http.bind
        ))
    })?;
    let value: Value = serde_json::from_str(&body).unwrap_or_default();
    if status == 201 {
        return Ok(value);
    }
    let why = value.get("error").and_then(Value::as_str).unwrap_or(&body);
    Err(failed(format!("the processor at {} kept no savepoint ({status}): {why}", http.bind)))
}

/// One request; status and body.
fn post(http: &HttpConfig, path: &str) -> std::io::Result<(u16, String)> {
    let none = || std::io::Error::other("there is no such address");
    let address = own_address(http).ok_or_else(none)?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let token = http.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
    let token = token.unwrap_or_default();
    // 1.0: the answer ends with the connection, and has no chunks.
    write!(stream, "POST {path} HTTP/1.0\r\nHost: {address}\r\n{token}Content-Length: 0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("it does not speak HTTP"))?;
    Ok((status, body.to_owned()))
}
