//! A WebSocket server for tests that dies in the middle of what it is sent.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tungstenite::{
    Message, accept_hdr,
    handshake::server::{Request, Response},
};

/// What all servers of one address were sent.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) messages: Mutex<Vec<String>>,
    pub(crate) connections: AtomicUsize,
    pub(crate) tokens: Mutex<Vec<String>>,
}

/// A server that can be killed.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    /// Messages until it dies by itself, in the middle of what it is sent.
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens at `address`; dies after `dies_after` messages.
    pub(crate) fn start(
        address: &str,
        received: &Arc<Received>,
        dies_after: usize,
        acknowledges: bool,
    ) -> Self {
        Self::start_with(address, received, (dies_after, acknowledges), None)
    }

    /// The same over TLS, as whoever `tls` says; it stays.
    pub(crate) fn start_tls(received: &Arc<Received>, tls: Arc<ServerConfig>) -> Self {
        Self::start_with("127.0.0.1:0", received, (usize::MAX, false), Some(tls))
    }

    fn start_with(
        address: &str,
        received: &Arc<Received>,
        (dies_after, acknowledges): (usize, bool),
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, received) = (Arc::clone(&stop), Arc::clone(received));
        let thread = thread::spawn(move || {
            let left = AtomicUsize::new(dies_after);
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let how = (&*received, &*stopped, &left, acknowledges);
                        accept(stream, tls.as_ref(), how);
                    }
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
                if left.load(Ordering::Relaxed) == 0 {
                    return;
                }
            }
        });
        Self { address, stop, thread: Some(thread) }
    }

    /// Waits until it has died by itself.
    pub(crate) fn died(&mut self) {
        let thread = self.thread.take().unwrap();
        let begun = Instant::now();
        while !thread.is_finished() {
            assert!(begun.elapsed() < Duration::from_mins(1), "it was not sent enough to die of");
            thread::sleep(Duration::from_millis(5));
        }
        thread.join().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// What a connection is served by: where messages go, when to stop, how many are left, whether they are acknowledged.
type How<'a> = (&'a Received, &'a AtomicBool, &'a AtomicUsize, bool);

fn accept(stream: TcpStream, tls: Option<&Arc<ServerConfig>>, how: How<'_>) {
    stream.set_nonblocking(false).unwrap();
    // A handshake in a slow test takes its time.
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let raw = stream.try_clone().unwrap();
    match tls {
        Some(tls) => {
            let connection = ServerConnection::new(Arc::clone(tls)).unwrap();
            serve(StreamOwned::new(connection, stream), &raw, how);
        }
        None => serve(stream, &raw, how),
    }
}

/// Reads messages; one that a dying server had read is lost with it.
fn serve<S: Read + Write>(
    stream: S,
    raw: &TcpStream,
    (received, stop, left, acknowledges): How<'_>,
) {
    // The type of the error is tungstenite's.
    #[allow(clippy::result_large_err)]
    let seen = |request: &Request, response: Response| {
        let token =
            request.headers().get("authorization").map(|it| it.to_str().unwrap().to_owned());
        received.tokens.lock().unwrap().push(token.unwrap_or_default());
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr(stream, seen) else { return };
    raw.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    received.connections.fetch_add(1, Ordering::Relaxed);
    // What is read and not yet dealt with: gone if the server dies.
    let mut read = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match socket.read() {
            Ok(Message::Text(text)) => {
                if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    return;
                }
                if acknowledges {
                    let id = serde_json::from_str::<serde_json::Value>(&text).unwrap();
                    received.messages.lock().unwrap().push(text.to_string());
                    // The processor may have been killed.
                    if socket.send(Message::text(id["result_id"].as_str().unwrap())).is_err() {
                        return;
                    }
                } else {
                    read.push(text.to_string());
                }
            }
            Ok(Message::Ping(_)) => {
                // The pong leaves with the next call; before that everything is dealt with.
                received.messages.lock().unwrap().append(&mut read);
                if socket.flush().is_err() {
                    return;
                }
            }
            Ok(Message::Close(_)) => {
                received.messages.lock().unwrap().append(&mut read);
                return;
            }
            Ok(_) => {}
            Err(tungstenite::Error::Io(error))
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            Err(_) => return,
        }
    }
}
