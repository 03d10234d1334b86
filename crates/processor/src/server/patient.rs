//! Connections whose clients take what they asked for, or are cut off.
//!
//! The time limits of routes end where an answer begins. A client that then takes nothing would hold its connection, and
//! whatever the answer is made of, for as long as it likes: so what cannot be written for [`MAX_STUCK`] ends the connection.
//! Who takes little by little stays; nothing is cut off that has nothing to say.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use tracing::debug;

/// How long a client may take nothing.
pub(super) const MAX_STUCK: Duration = Duration::from_secs(10);

/// A listener whose connections have a limit.
#[derive(Debug)]
pub(super) struct Patient<L> {
    pub(super) listener: L,
    pub(super) longest: Duration,
}

/// A connection that fails once nothing could be written for so long.
#[derive(Debug)]
pub(super) struct PatientIo<S> {
    stream: S,
    longest: Duration,
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<L: Listener<Addr = SocketAddr>> Listener for Patient<L> {
    type Io = PatientIo<L::Io>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = self.listener.accept().await;
        (PatientIo { stream, longest: self.longest, stuck: None }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

impl<S> PatientIo<S> {
    /// Passes on how a write went; one that waits too long has failed.
    fn judge(
        &mut self,
        cx: &mut Context<'_>,
        went: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if went.is_ready() {
            self.stuck = None;
            return went;
        }
        let longest = self.longest;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(longest)));
        ready!(stuck.as_mut().poll(cx));
        debug!(longest_secs = longest.as_secs(), "a client that takes nothing is cut off");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PatientIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let went = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, went)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let went = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.judge(cx, went)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpStream,
        sync::{
            Arc,
            atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        },
        time::Instant,
    };

    use axum::{Router, body::Body, routing::get};
    use futures::stream;

    use super::*;

    /// An answer that is being given.
    struct Given(Arc<AtomicUsize>);

    impl Given {
        fn of(open: &Arc<AtomicUsize>) -> Self {
            open.fetch_add(1, SeqCst);
            Self(Arc::clone(open))
        }
    }

    impl Drop for Given {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }

    /// A server of endless answers, and how many of them are being given.
    fn served(longest: Duration) -> (Arc<AtomicUsize>, SocketAddr, tokio::runtime::Runtime) {
        let (open, runtime) = (Arc::default(), tokio::runtime::Runtime::new().unwrap());
        let counted = Arc::clone(&open);
        let endless = move || {
            let given = Given::of(&counted);
            let parts = stream::repeat_with(move || {
                let _given = &given;
                Ok::<_, io::Error>(vec![b'x'; 1 << 16])
            });
            std::future::ready(Body::from_stream(parts))
        };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Patient { listener, longest };
        let routes = Router::new().route("/", get(endless));
        runtime.spawn(async move { axum::serve(listener, routes).await });
        (open, address, runtime)
    }

    fn ask(address: SocketAddr) -> TcpStream {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        client.read_exact(&mut [0; 1]).unwrap();
        client
    }

    fn wait_until(what: &str, done: impl Fn() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{what} never came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn who_takes_nothing_is_cut_off_and_who_takes_something_is_not() {
        let (open, address, runtime) = served(Duration::from_secs(2));
        let (is_over, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut steady = ask(address);
        let reader = {
            let (is_over, taken) = (Arc::clone(&is_over), Arc::clone(&taken));
            std::thread::spawn(move || {
                let mut part = vec![0; 1 << 16];
                while !is_over.load(SeqCst) {
                    steady.read_exact(&mut part).expect("it is served");
                    taken.fetch_add(1, SeqCst);
                }
            })
        };
        let stuck = ask(address);
        assert_eq!(open.load(SeqCst), 2);
        wait_until("the end of the one that takes nothing", || open.load(SeqCst) == 1);
        let before = taken.load(SeqCst);
        wait_until("more for the other one", || taken.load(SeqCst) > before + 100);
        is_over.store(true, SeqCst);
        reader.join().unwrap();
        wait_until("the end of both", || open.load(SeqCst) == 0);
        drop((stuck, runtime));
    }
}
