//! A proxy in front of a broker that takes requests of one kind away from it, while all others pass.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// `Produce` of the Kafka protocol.
const PRODUCE: i16 = 0;

/// Longer than any request of a test.
const MAX_REQUEST_BYTES: usize = 64 << 20;

/// Listens until the test process ends, at a port of its own.
pub(crate) struct Proxy {
    listener: TcpListener,
    is_cut: Arc<AtomicBool>,
}

impl Proxy {
    /// A port that can be named before there is a broker.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { listener, is_cut: Arc::default() }
    }

    pub(crate) fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// Passes on to `broker` from now on.
    pub(crate) fn serve(&self, broker: &str) {
        let (listener, is_cut) = (self.listener.try_clone().unwrap(), Arc::clone(&self.is_cut));
        let broker = broker.to_owned();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (broker, is_cut) = (broker.clone(), Arc::clone(&is_cut));
                // A connection that breaks is the business of those who talk.
                thread::spawn(move || client.and_then(|client| pass(&client, &broker, &is_cut)));
            }
        });
    }

    /// Connections break at each request that has records, or none does.
    pub(crate) fn cut_records(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Relaxed);
    }
}

fn pass(client: &TcpStream, broker: &str, is_cut: &AtomicBool) -> io::Result<()> {
    let server = TcpStream::connect(broker)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
    let answers = thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        drop(to.shutdown(Shutdown::Both));
    });
    let requests = pass_requests(client, &server, is_cut);
    drop(server.shutdown(Shutdown::Both));
    drop(client.shutdown(Shutdown::Both));
    drop(answers.join());
    requests
}

/// A request is its length in four bytes, then what it is for in two, then the rest.
fn pass_requests(
    mut client: &TcpStream,
    mut server: &TcpStream,
    is_cut: &AtomicBool,
) -> io::Result<()> {
    let mut length = [0; 4];
    let mut request = Vec::new();
    loop {
        client.read_exact(&mut length)?;
        let bytes = usize::try_from(u32::from_be_bytes(length)).unwrap();
        assert!(bytes <= MAX_REQUEST_BYTES, "{bytes} bytes are no request");
        request.resize(bytes, 0);
        client.read_exact(&mut request)?;
        let is_of = request.get(..2).map(|key| i16::from_be_bytes([key[0], key[1]]));
        if is_of == Some(PRODUCE) && is_cut.load(Ordering::Relaxed) {
            return Ok(());
        }
        server.write_all(&length)?;
        server.write_all(&request)?;
    }
}
