//! `health`: asks a running processor whether it is well. For images without a shell or `curl`.
//!
//! One request of HTTP/1.1 over plain TCP; no redirects, no TLS, and no more than [`MAX_ANSWER`] bytes.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    args::HealthArgs,
    exit::{Exit, print},
};

/// Bytes of an answer that are read; the rest is not needed to know how it went.
const MAX_ANSWER: u64 = 1 << 20;

/// Where the server listens when nothing else is said.
const DEFAULT_BIND: &str = "127.0.0.1:8080";

/// The variable that sets `http.bind`; the processor of the same container reads it too.
const BIND_VARIABLE: &str = "PROCESSOR_HTTP__BIND";

/// Asks, prints the answer's body, and exits with 0 if the status is 2xx.
pub(super) fn health(args: &HealthArgs) -> Exit {
    let url = args.url.clone().unwrap_or_else(|| {
        default_url(&std::env::var(BIND_VARIABLE).unwrap_or_else(|_| DEFAULT_BIND.to_owned()))
    });
    let Some(target) = Target::parse(&url) else {
        tracing::error!("`{url}` cannot be asked; give http://HOST:PORT/PATH");
        return Exit::Usage;
    };
    let Some(within) = Duration::try_from_secs_f64(args.timeout_secs).ok().filter(|d| !d.is_zero())
    else {
        tracing::error!("--timeout-secs {}: give a number above 0", args.timeout_secs);
        return Exit::Usage;
    };
    match target.ask(within) {
        Ok(answer) => {
            let printed = if args.output.is_json() {
                args.output.answer(&answer.json(&url), "")
            } else {
                print(&answer.body)
            };
            if answer.is_well() {
                return printed;
            }
            tracing::error!("{url} answers {}", answer.status);
            Exit::Unavailable
        }
        Err(failure) => {
            if args.output.is_json() {
                let json = json!({ "url": url, "well": false, "problem": failure.to_string() });
                args.output.answer(&json, "");
            }
            tracing::error!("{url}: {failure}");
            Exit::Unavailable
        }
    }
}

/// `/livez` where `bind` listens; an address that means "all" is asked on the loopback.
fn default_url(bind: &str) -> String {
    let bind = match bind.parse::<SocketAddr>() {
        Ok(mut address) if address.ip().is_unspecified() => {
            address.set_ip(if address.is_ipv4() {
                std::net::Ipv4Addr::LOCALHOST.into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
            address.to_string()
        }
        _ => bind.to_owned(),
    };
    format!("http://{bind}/livez")
}

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    /// Host and port, as the Host header has them.
    host: &'a str,
    path: &'a str,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl<'a> Target<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let (host, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let is_clean = |text: &str| !text.contains(|c: char| c.is_whitespace() || c.is_control());
        (!host.is_empty() && is_clean(host) && is_clean(path)).then_some(Self { host, path })
    }

    /// Host and port to connect to; 80 where none is given.
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let has_port =
            self.host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let with_port = if has_port { self.host.to_owned() } else { format!("{}:80", self.host) };
        Ok(with_port.to_socket_addrs()?.collect())
    }

    fn ask(&self, within: Duration) -> io::Result<Answer> {
        let deadline = Instant::now() + within.min(Duration::from_hours(1));
        let mut stream = connect(&self.addresses()?, deadline)?;
        stream.set_write_timeout(Some(left(deadline)?))?;
        let (path, host) = (self.path, self.host);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        read_until(&mut stream, &mut answer, deadline)?;
        Answer::parse(&answer).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "that is no answer of an HTTP server")
        })
    }
}

impl Answer {
    /// The answer as a value; a body that is no JSON is text.
    fn json(&self, url: &str) -> Value {
        let text = || Value::from(String::from_utf8_lossy(&self.body).trim_end());
        let body = serde_json::from_slice(&self.body).unwrap_or_else(|_| text());
        json!({ "url": url, "well": self.is_well(), "status": self.status, "body": body })
    }

    fn is_well(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn parse(answer: &[u8]) -> Option<Self> {
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
        let (head, body) = answer.split_at_checked(end)?;
        let line = std::str::from_utf8(head).ok()?.lines().next()?;
        let mut words = line.split(' ');
        words.next().filter(|version| version.starts_with("HTTP/1."))?;
        let status = words.next()?.parse().ok()?;
        Some(Self { status, body: body.get(4..).unwrap_or_default().to_vec() })
    }
}

/// The first of `addresses` that takes a connection.
fn connect(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Reads to the end, at most [`MAX_ANSWER`] bytes, however slowly they come not beyond `deadline`.
fn read_until(stream: &mut TcpStream, into: &mut Vec<u8>, deadline: Instant) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while (into.len() as u64) < MAX_ANSWER {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let read = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(timed_out()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        into.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
    Ok(())
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(timed_out()) } else { Ok(left) }
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    /// A server that says `answer` to one request, then waits until the other side closes.
    fn serving(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /readyz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
            if !answer.contains("close") {
                drop(stream.read(&mut request));
            }
        });
        format!("http://{address}/readyz")
    }

    fn asked(url: &str, within_ms: u64) -> io::Result<Answer> {
        Target::parse(url).unwrap().ask(Duration::from_millis(within_ms))
    }

    #[test]
    fn a_server_that_is_well_is_well() {
        let url = serving("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok\n");
        let answer = asked(&url, 5_000).unwrap();
        assert_eq!(answer, Answer { status: 200, body: b"ok\n".to_vec() });
        assert!(answer.is_well());
    }

    #[test]
    fn a_server_that_is_not_ready_says_why() {
        let url = serving(
            "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n{\"reasons\":[]}",
        );
        let answer = asked(&url, 5_000).unwrap();
        assert_eq!((answer.status, answer.is_well()), (503, false));
        assert_eq!(answer.body, b"{\"reasons\":[]}");
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up_in_time() {
        let begun = Instant::now();
        let failure = asked(&serving(""), 100).unwrap_err();
        assert_eq!(failure.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn something_else_than_http_is_no_answer() {
        let failure = asked(&serving("SSH-2.0 close\r\n\r\n"), 5_000).unwrap_err();
        assert_eq!(failure.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn nobody_there_is_a_failure() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert!(asked(&format!("http://127.0.0.1:{port}/livez"), 5_000).is_err());
    }

    #[test]
    fn the_address_to_listen_on_becomes_one_to_ask() {
        assert_eq!(default_url("0.0.0.0:9090"), "http://127.0.0.1:9090/livez");
        assert_eq!(default_url("[::]:9090"), "http://[::1]:9090/livez");
        assert_eq!(default_url("10.0.0.7:80"), "http://10.0.0.7:80/livez");
        assert_eq!(default_url("localhost:8080"), "http://localhost:8080/livez");
    }

    #[test]
    fn what_is_no_plain_url_is_refused() {
        for url in
            ["https://a/", "a:80", "http://", "http:///x", "http://a b/", "http://a/\r\nX: y"]
        {
            assert_eq!(Target::parse(url), None, "{url}");
        }
        assert_eq!(Target::parse("http://a:1"), Some(Target { host: "a:1", path: "/" }));
    }
}
