//! The WebSocket sink against a server that dies: nothing is lost, and what comes twice is the same.
#![cfg(test)]

mod support;

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use support::{
    binary::Workplace,
    traffic::{FOLLOWS, append, append_end, by_revision},
};
use tungstenite::{
    Message, accept_hdr,
    handshake::server::{Request, Response},
};

/// What all servers of one address were sent.
#[derive(Default)]
struct Received {
    messages: Mutex<Vec<String>>,
    connections: AtomicUsize,
    tokens: Mutex<Vec<String>>,
}

/// A server that can be killed.
struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    /// Messages until it dies by itself, in the middle of what it is sent.
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens at `address`; dies after `dies_after` messages.
    fn start(
        address: &str,
        received: &Arc<Received>,
        dies_after: usize,
        acknowledges: bool,
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
                    Ok((stream, _)) => serve(stream, &received, &stopped, &left, acknowledges),
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
    fn died(&mut self) {
        self.thread.take().unwrap().join().unwrap();
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

/// Reads messages; one that a dying server had read is lost with it.
fn serve(
    stream: TcpStream,
    received: &Received,
    stop: &AtomicBool,
    left: &AtomicUsize,
    acknowledges: bool,
) {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    // The type of the error is tungstenite's.
    #[allow(clippy::result_large_err)]
    let seen = |request: &Request, response: Response| {
        let token =
            request.headers().get("authorization").map(|it| it.to_str().unwrap().to_owned());
        received.tokens.lock().unwrap().push(token.unwrap_or_default());
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr(stream, seen) else { return };
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

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{what} never came");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Six chunks of 10,000 events while servers and processors die.
fn survives(confirm: &str) {
    let acknowledges = confirm == "result_id";
    let received = Arc::new(Received::default());
    let mut server = Server::start("127.0.0.1:0", &received, 700, acknowledges);
    let address = server.address.to_string();
    let place = Workplace::new(&format!(
        "{FOLLOWS}  sinks:\n    - {{ type: file, path: results.ndjson }}\n    - {{ type: websocket, url: 'ws://{address}/live?api_key=hunter2', token: hunter2, confirm: {confirm}, batch_size: 300 }}\n"
    ));
    let chunk = 10_000;
    let seen = |received: &Received| received.messages.lock().unwrap().len();
    append(&place, 0, 2 * chunk);
    let run = place.start(&[]);
    server.died();
    append(&place, 2 * chunk, chunk);
    let outage = |log: &str| log.contains("delivery failed, trying again");
    place.wait_for("log.txt", "the outage in the log", outage);
    let before = seen(&received);
    let mut server = Server::start(&address, &received, 1_500, acknowledges);
    wait_until("messages after the restart", || seen(&received) > before);
    append(&place, 3 * chunk, chunk);
    assert!(run.kill());
    let run = place.start(&[]);
    append(&place, 4 * chunk, chunk);
    server.died();
    let server = Server::start(&address, &received, usize::MAX, acknowledges);
    append(&place, 5 * chunk, chunk);
    append_end(&place, 6 * chunk);
    wait_until("all windows in the file", || {
        let results = place.read("results.ndjson");
        let whole = results.lines().filter(|line| line.ends_with('}'));
        whole.filter(|line| line.contains("\"revision\":0")).count() == 6_004
    });
    run.terminate();
    assert_eq!(run.wait(), Some(0), "{}", place.read("log.txt"));
    drop(server);

    let file = place.read("results.ndjson");
    let expected = by_revision(file.lines());
    assert_eq!(expected.len(), file.lines().count(), "the file has a revision twice");
    let messages = received.messages.lock().unwrap();
    // Of what came twice `by_revision` sees to it that it is the same.
    let found = by_revision(messages.iter().map(String::as_str));
    assert!(found == expected, "{} of {} results arrived", found.len(), expected.len());
    let connections = received.connections.load(Ordering::Relaxed);
    assert!(connections >= 3, "{connections}");
    let most = expected.len() + connections * 300;
    assert!(messages.len() <= most, "{} messages for {} results", messages.len(), expected.len());
    assert!(received.tokens.lock().unwrap().iter().all(|token| token == "Bearer hunter2"));
    let log = place.read("log.txt");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn a_server_that_dies_misses_no_result_when_pongs_confirm() {
    survives("pong");
}

#[test]
fn a_server_that_dies_misses_no_result_when_it_acknowledges() {
    survives("result_id");
}
