//! Asks the HTTP server of a running processor. One request per connection, plain HTTP, nothing else.
//!
//! HTTP/1.0, so that an answer ends with its connection and has no chunks; no redirects and no TLS: the server has none, and
//! where it is behind a proxy a forwarded port leads to it.

use std::{
    fmt::Write as _,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{check::load, exit::Exit, live_args::ServerArgs};
use crate::server::own_address;

/// How long a connection and an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// A stream says something at least every 15 seconds; three times nothing, and nobody is there.
const SILENCE: Duration = Duration::from_secs(45);
/// An answer is not longer.
const MAX_ANSWER_BYTES: u64 = 64 << 20;
/// A head or an event is not longer.
const MAX_LINE_BYTES: u64 = 8 << 20;

const DEFAULT_ADDRESS: &str = "127.0.0.1:8080";
/// The variables that set `http.bind` and `http.token`; a processor of the same environment reads them too.
const BIND_VARIABLE: &str = "PROCESSOR_HTTP__BIND";
const TOKEN_VARIABLE: &str = "PROCESSOR_HTTP__TOKEN";

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// Says it on standard error; the exit code.
    pub(super) fn tell(self) -> Exit {
        // Nobody reads standard error: the exit code still tells.
        drop(writeln!(io::stderr().lock(), "{}", self.message));
        self.exit
    }
}

/// A running processor.
#[derive(Debug, Clone)]
pub(super) struct Client {
    address: String,
    token: Option<String>,
}

impl Client {
    /// The processor that is meant.
    pub(super) fn of(args: &ServerArgs) -> Result<Self, Failure> {
        let mut token = std::env::var(TOKEN_VARIABLE).ok();
        let mut configured = None;
        if let Some(path) = &args.config {
            let faults = |exit| Failure::new(exit, format!("{}: see above", path.display()));
            let http = load(path).map_err(faults)?.config.http.unwrap_or_default();
            token.clone_from(&http.token);
            configured = own_address(&http).map(|address| address.to_string());
            if args.address.is_none() && configured.as_ref().is_none_or(|a| a.ends_with(":0")) {
                let message = format!(
                    "http.bind {} names no port to ask at: give --address HOST:PORT, as the log says where it listens",
                    http.bind
                );
                return Err(Failure::new(Exit::Usage, message));
            }
        }
        let address = match (&args.address, configured) {
            (Some(address), _) => plain(address)?,
            (None, Some(address)) => address,
            (None, None) => std::env::var(BIND_VARIABLE)
                .map_or_else(|_| DEFAULT_ADDRESS.to_owned(), |bind| reachable(&bind)),
        };
        Ok(Self { address, token })
    }

    /// Host and port.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The answer to a question.
    pub(super) fn get_as<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        let mut answer = self.ask(path, query, PATIENCE)?;
        let mut body = Vec::new();
        let read = answer.by_ref().take(MAX_ANSWER_BYTES).read_to_end(&mut body);
        read.map_err(|cause| self.away(&cause))?;
        serde_json::from_slice(&body).map_err(|cause| {
            let message = format!(
                "{} answers {path} in a way that is not understood here ({cause}): is it a processor of another version?",
                self.address
            );
            Failure::new(Exit::Unavailable, message)
        })
    }

    /// Server-sent events.
    pub(super) fn events(&self, path: &str, query: &[(&str, &str)]) -> Result<Events, Failure> {
        Ok(Events { answer: self.ask(path, query, SILENCE)? })
    }

    /// Sends a question, and reads the head of the answer; one that is no 200 is a failure with what it says.
    fn ask(
        &self,
        path: &str,
        query: &[(&str, &str)],
        patience: Duration,
    ) -> Result<BufReader<TcpStream>, Failure> {
        let stream = self.send(path, query, patience).map_err(|cause| self.away(&cause))?;
        let mut answer = BufReader::new(stream);
        let status = head(&mut answer).map_err(|cause| self.away(&cause))?;
        if status == 200 {
            return Ok(answer);
        }
        let mut body = String::new();
        // What cannot be read says nothing.
        let _ = answer.take(MAX_LINE_BYTES).read_to_string(&mut body);
        Err(self.refused(status, &body, path))
    }

    fn send(
        &self,
        path: &str,
        query: &[(&str, &str)],
        patience: Duration,
    ) -> io::Result<TcpStream> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
                Ok(mut stream) => {
                    stream.set_read_timeout(Some(patience))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    stream.write_all(self.request(path, query).as_bytes())?;
                    return Ok(stream);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn request(&self, path: &str, query: &[(&str, &str)]) -> String {
        let mut target = path.to_owned();
        for (index, (name, value)) in query.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.push_str(&encoded(value));
        }
        let clean = |token: &&String| !token.contains(|c: char| c.is_control());
        let token = self.token.as_ref().filter(clean);
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let address = &self.address;
        format!("GET {target} HTTP/1.0\r\nHost: {address}\r\n{}\r\n", token.unwrap_or_default())
    }

    fn away(&self, cause: &io::Error) -> Failure {
        let why = match cause.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".to_owned(),
            _ => cause.to_string(),
        };
        let message = format!(
            "no processor answers at {}: {why}; name its address with --address, or its configuration with --config",
            self.address
        );
        Failure::new(Exit::Unavailable, message)
    }

    fn refused(&self, status: u16, body: &str, path: &str) -> Failure {
        let json: Value = serde_json::from_str(body).unwrap_or_default();
        let why = json.get("error").and_then(Value::as_str).unwrap_or(body.trim());
        let (exit, hint) = match status {
            401 => (
                Exit::NoPermission,
                " (--config names the file with the token, PROCESSOR_HTTP__TOKEN the token itself)",
            ),
            403 => (Exit::NoPermission, ""),
            404 if json.is_null() => (
                Exit::Unavailable,
                "this processor does not have it: it may be of an older version",
            ),
            400 | 404 => (Exit::Usage, ""),
            _ => (Exit::Unavailable, ""),
        };
        let message =
            format!("the processor at {} refuses {path} ({status}): {why}{hint}", self.address);
        Failure::new(exit, message)
    }
}

/// `host:port` of what was given.
fn plain(address: &str) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::new(Exit::Usage, format!("--address {address}: {why}"));
    if address.starts_with("https://") {
        return Err(wrong(
            "the server has no TLS; forward a port to it (ssh -L, kubectl port-forward) and give that",
        ));
    }
    let rest = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
    let is_clean = !rest.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/');
    let port = rest.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    match (is_clean && !rest.is_empty(), port) {
        (true, Some(_)) => Ok(rest.to_owned()),
        (true, None) => Ok(format!("{rest}:8080")),
        _ => Err(wrong("give HOST:PORT")),
    }
}

/// Where something that listens at `bind` is asked from the same machine.
fn reachable(bind: &str) -> String {
    let http = llm_optimizer_config::settings::HttpConfig {
        bind: bind.to_owned(),
        ..llm_optimizer_config::settings::HttpConfig::default()
    };
    own_address(&http).map_or_else(|| bind.to_owned(), |address| address.to_string())
}

/// Percent-encoded, all but letters, digits and `-._~`.
fn encoded(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Reads the head of an answer; its status.
fn head(answer: &mut impl BufRead) -> io::Result<u16> {
    let foreign = || io::Error::new(io::ErrorKind::InvalidData, "it does not speak HTTP");
    let first = line(answer)?.ok_or_else(foreign)?;
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok()).ok_or_else(foreign)?;
    while !line(answer)?.ok_or_else(foreign)?.is_empty() {}
    Ok(status)
}

/// The next line without its end; `None` at the end of all.
fn line(answer: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    answer.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: String,
}

/// Server-sent events as they come.
#[derive(Debug)]
pub(super) struct Events<R = BufReader<TcpStream>> {
    answer: R,
}

impl<R: BufRead> Events<R> {
    /// Waits for the next one; `None` when the stream ends.
    pub(super) fn next(&mut self) -> io::Result<Option<Event>> {
        let mut event = Event::default();
        while let Some(line) = line(&mut self.answer)? {
            let value = |line: &str, name: &str| {
                line.strip_prefix(name)
                    .map(|rest| rest.strip_prefix(' ').unwrap_or(rest).to_owned())
            };
            if line.is_empty() {
                if event != Event::default() {
                    return Ok(Some(event));
                }
            } else if let Some(name) = value(&line, "event:") {
                event.name = name;
            } else if let Some(data) = value(&line, "data:") {
                if !event.data.is_empty() {
                    event.data.push('\n');
                }
                event.data.push_str(&data);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port_with_or_without_scheme() {
        let given = ["h:1", "http://h:1/", "h", "[::1]:9"].map(|it| plain(it).unwrap());
        assert_eq!(given, ["h:1", "h:1", "h:8080", "[::1]:9"]);
        for wrong in ["https://h:1", "h:1/x", "a b", ""] {
            assert!(plain(wrong).is_err(), "{wrong}");
        }
        assert_eq!(reachable("0.0.0.0:9090"), "127.0.0.1:9090");
    }

    #[test]
    fn a_request_says_what_is_asked_and_who_asks() {
        let client = Client { address: "h:1".into(), token: Some("t".into()) };
        let request = client.request("/a", &[("key", "a=1::b=x y"), ("n", "3")]);
        assert_eq!(
            request,
            "GET /a?key=a%3D1%3A%3Ab%3Dx%20y&n=3 HTTP/1.0\r\nHost: h:1\r\nAuthorization: Bearer t\r\n\r\n"
        );
        let bad = Client { token: Some("t\r\nX: y".into()), ..client };
        assert!(!bad.request("/a", &[]).contains("Authorization"));
    }

    #[test]
    fn events_are_told_apart_by_empty_lines_and_comments_are_nothing() {
        let text = b": hello\n\nevent: sample\ndata: {\"a\":1}\n\n:\n\ndata: one\ndata:two\r\n\r\nevent: cut";
        let mut events = Events { answer: text.as_slice() };
        let event = |name: &str, data: &str| Some(Event { name: name.into(), data: data.into() });
        assert_eq!(events.next().unwrap(), event("sample", "{\"a\":1}"));
        assert_eq!(events.next().unwrap(), event("", "one\ntwo"));
        assert_eq!(events.next().unwrap(), None);
    }

    #[test]
    fn what_speaks_something_else_is_no_server() {
        assert!(head(&mut b"SSH-2.0\r\n\r\n".as_slice()).is_err());
        assert!(head(&mut b"HTTP/1.1 200 OK\r\nA: b\r\n".as_slice()).is_err(), "cut off");
        assert_eq!(head(&mut b"HTTP/1.1 401 No\r\nA: b\r\n\r\nbody".as_slice()).unwrap(), 401);
    }
}
