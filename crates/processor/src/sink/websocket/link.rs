//! A connection to a WebSocket server.

use std::{
    io::{self, ErrorKind},
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use llm_optimizer_config::settings::WebSocketConfirm;
use tungstenite::{
    Connector, Error, Message, Utf8Bytes, WebSocket,
    client::IntoClientRequest,
    client_tls_with_config,
    handshake::client::Request,
    http::{HeaderName, HeaderValue, Uri, header::AUTHORIZATION},
    protocol::WebSocketConfig,
    stream::MaybeTlsStream,
};

use super::{super::tls::Trust, WebSocketSettings};
use crate::error::{ProcessorError, ProcessorResult};

/// Longest time for a connection and its handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest time without any progress of what is sent or confirmed.
const STALLED: Duration = Duration::from_secs(10);
/// How often what comes in is read while much is sent.
const READ_EVERY: u64 = 64;
/// Longest time one call of the system waits.
const SLICE: Duration = Duration::from_millis(50);

/// A connection.
pub(super) struct Link {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    sent: u64,
    pings: u64,
    /// Texts that say what was dealt with, where results are confirmed so.
    acknowledged: Option<String>,
    ponged: Option<u64>,
}

/// Why a connection came to nothing: the words, and whether waiting helps.
pub(super) struct Broken {
    pub(super) reason: String,
    pub(super) is_final: bool,
}

impl Broken {
    fn away(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_final: false }
    }
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        let is_final = match &error {
            Error::Http(response) => {
                response.status().is_client_error() && response.status() != 429
            }
            Error::Url(_) | Error::HttpFormat(_) => true,
            _ => false,
        };
        let reason = match &error {
            Error::Http(response) => {
                format!("the server answered {} to the handshake", response.status())
            }
            error => error.to_string(),
        };
        Self { reason, is_final }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::away(error.to_string())
    }
}

impl Link {
    /// Connects and shakes hands.
    pub(super) fn open(settings: &WebSocketSettings) -> Result<Self, Broken> {
        let request = request(settings)
            .map_err(|error| Broken { reason: error.to_string(), is_final: true })?;
        let (stream, connector) = (reach(request.uri())?, connector(request.uri())?);
        stream.set_nodelay(true)?;
        // A handshake is one answer: it may take longer than a slice.
        stream.set_read_timeout(Some(CONNECT))?;
        stream.set_write_timeout(Some(CONNECT))?;
        let config = WebSocketConfig::default();
        let shaken = client_tls_with_config(request, stream, Some(config), Some(connector));
        let (socket, _) = shaken.map_err(|error| match error {
            tungstenite::HandshakeError::Failure(error) => Broken::from(error),
            tungstenite::HandshakeError::Interrupted(_) => {
                Broken::away("the server does not answer the handshake")
            }
        })?;
        let link = Self { socket, sent: 0, pings: 0, acknowledged: None, ponged: None };
        let stream = link.stream();
        stream.set_read_timeout(Some(SLICE))?;
        stream.set_write_timeout(Some(SLICE))?;
        Ok(link)
    }

    fn stream(&self) -> &TcpStream {
        match self.socket.get_ref() {
            MaybeTlsStream::Rustls(tls) => &tls.sock,
            MaybeTlsStream::Plain(stream) => stream,
            _ => unreachable!("only these two are built in"),
        }
    }

    /// Sends a result.
    pub(super) fn send(&mut self, json: &[u8]) -> Result<(), Broken> {
        let text = Utf8Bytes::try_from(json.to_vec())
            .map_err(|_| Broken { reason: "a result is no UTF-8".into(), is_final: true })?;
        self.sent += 1;
        if self.sent.is_multiple_of(READ_EVERY) {
            self.read_what_came()?;
        }
        self.write(Message::Text(text))
    }

    /// Hands a message over; one that does not fit yet is kept by the socket, and goes before the next.
    fn write(&mut self, message: Message) -> Result<(), Broken> {
        match self.socket.write(message) {
            Ok(()) => Ok(()),
            Err(error) if is_waiting(&error) => self.flush(),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what is kept. Meanwhile what comes in is read, so that a server that answers each message
    /// does not wait for us while we wait for it.
    fn flush(&mut self) -> Result<(), Broken> {
        let begun = Instant::now();
        loop {
            match self.socket.flush() {
                Ok(()) => return Ok(()),
                Err(error) if is_waiting(&error) => self.read_what_came()?,
                Err(error) => return Err(error.into()),
            }
            if begun.elapsed() > STALLED {
                return Err(Broken::away("the server takes nothing any more"));
            }
        }
    }

    /// Waits until the server has shown that it has everything up to the result `last`.
    pub(super) fn confirm(&mut self, how: WebSocketConfirm, last: &str) -> Result<(), Broken> {
        if how == WebSocketConfirm::Pong {
            self.pings += 1;
            self.write(Message::Ping(self.pings.to_be_bytes().to_vec().into()))?;
        }
        self.flush()?;
        let begun = Instant::now();
        while !self.is_confirmed(how, last) {
            if begun.elapsed() > STALLED {
                return Err(Broken::away("the server does not confirm what it was sent"));
            }
            self.read_one()?;
        }
        Ok(())
    }

    fn is_confirmed(&self, how: WebSocketConfirm, last: &str) -> bool {
        match how {
            WebSocketConfirm::Pong => self.ponged == Some(self.pings),
            WebSocketConfirm::ResultId => self.acknowledged.as_deref() == Some(last),
        }
    }

    /// Reads a message, if one comes within a slice.
    fn read_one(&mut self) -> Result<(), Broken> {
        match self.socket.read() {
            Ok(message) => self.take(&message),
            Err(error) if is_waiting(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what is there without waiting; answers pings.
    pub(super) fn read_what_came(&mut self) -> Result<(), Broken> {
        self.stream().set_nonblocking(true)?;
        let outcome = loop {
            match self.socket.read() {
                Ok(message) => match self.take(&message) {
                    Ok(()) => {}
                    broken => break broken,
                },
                Err(error) if is_waiting(&error) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
        };
        self.stream().set_nonblocking(false)?;
        outcome
    }

    fn take(&mut self, message: &Message) -> Result<(), Broken> {
        match message {
            Message::Text(text) => self.acknowledged = Some(text.trim().to_owned()),
            Message::Pong(payload) => {
                let number = payload.as_ref().try_into().map(u64::from_be_bytes);
                self.ponged = number.ok().or(self.ponged);
            }
            Message::Close(_) => return Err(Broken::away("the server closed the connection")),
            Message::Ping(_) | Message::Binary(_) | Message::Frame(_) => {}
        }
        Ok(())
    }

    /// Takes leave, without waiting for an answer.
    pub(super) fn close(mut self) {
        drop(self.socket.close(None));
        drop(self.socket.flush());
    }
}

fn is_waiting(error: &Error) -> bool {
    matches!(error, Error::Io(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted))
}

/// The handshake.
///
/// # Errors
/// [`ProcessorError::Config`] for what cannot be in one; never holds a secret.
pub(super) fn request(settings: &WebSocketSettings) -> ProcessorResult<Request> {
    let refused = |what: &str| ProcessorError::Config(format!("a WebSocket sink: {what}"));
    let (url, user) = without_user(&settings.url);
    let mut request = url
        .as_str()
        .into_client_request()
        .map_err(|_| refused("its url is no address of a server"))?;
    if !matches!(request.uri().scheme_str(), Some("ws" | "wss")) || request.uri().host().is_none() {
        return Err(refused("its url does not begin with ws:// or wss:// and a host"));
    }
    let basic = user.map(|user| format!("Basic {}", STANDARD.encode(user)));
    let bearer = settings.token.as_ref().map(|token| format!("Bearer {token}"));
    if let Some(value) = bearer.or(basic) {
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| refused("its token is no text of a header"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    for (name, value) in &settings.headers {
        let header =
            HeaderName::try_from(name).map_err(|_| refused("a header has no such name"))?;
        let value = HeaderValue::try_from(value)
            .map_err(|_| refused(&format!("the value of header {name} cannot be one")))?;
        request.headers_mut().insert(header, value);
    }
    Ok(request)
}

/// The URL without `user:password@`, and these.
fn without_user(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (place, path) = rest.split_at(end);
    match place.rsplit_once('@') {
        Some((user, host)) => (format!("{scheme}://{host}{path}"), Some(user.to_owned())),
        None => (url.to_owned(), None),
    }
}

/// `ws://host:port/path`, without user, password and query.
pub(super) fn shown(url: &str) -> String {
    let (url, _) = without_user(url);
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

fn reach(uri: &Uri) -> Result<TcpStream, Broken> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let default = if uri.scheme_str() == Some("wss") { 443 } else { 80 };
    let addresses = (host, uri.port_u16().unwrap_or(default)).to_socket_addrs()?;
    let mut reason = format!("{host} has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => reason = format!("{address}: {error}"),
        }
    }
    Err(Broken::away(reason))
}

fn connector(uri: &Uri) -> Result<Connector, Broken> {
    if uri.scheme_str() != Some("wss") {
        return Ok(Connector::Plain);
    }
    let client = Trust::SYSTEM.client();
    let client = client.map_err(|error| Broken { reason: error.to_string(), is_final: true })?;
    Ok(Connector::Rustls(Arc::new(client)))
}
