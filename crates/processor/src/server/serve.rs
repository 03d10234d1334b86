//! The thread, the listener, the stop.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::{Router, extract::Request, serve::ListenerExt};
use tokio::{runtime, sync::watch};
use tower::{ServiceExt, service_fn};
use tracing::{debug, info};

use super::patient::{MAX_STUCK, Patient};
use crate::error::{ProcessorError, ProcessorResult};

/// How long a stop waits for requests that are being answered.
const GRACE: Duration = Duration::from_secs(2);

/// Where and how a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// `host:port`; port 0 takes a free one.
    pub bind: String,
    /// Threads that answer.
    pub threads: usize,
}

impl ServerSettings {
    /// One thread at `bind`.
    #[must_use]
    pub fn at(bind: impl Into<String>) -> Self {
        Self { bind: bind.into(), threads: 1 }
    }
}

/// The routes of a running server; a handle that is cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    added: Arc<Mutex<Vec<Router>>>,
    /// All of them, each the fallback of the one before it.
    chained: Arc<ArcSwap<Router>>,
}

impl Routes {
    /// Answers the requests that `router` has a route for, from now on; what was added before goes first.
    pub fn add(&self, router: Router) {
        let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        added.push(router);
        let chain = |rest, router: &Router| router.clone().fallback_service::<Router>(rest);
        let chained = added.iter().rev().fold(Router::new(), chain);
        self.chained.store(Arc::new(chained));
    }
}

/// A running HTTP server; dropped, it stops.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    routes: Routes,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens from now on; there are no routes until some are [added](Routes::add).
    ///
    /// # Errors
    /// [`ProcessorError::Unavailable`] if the address cannot be listened at, [`ProcessorError::Internal`] if there is no thread
    /// to be had.
    pub fn start(settings: &ServerSettings) -> ProcessorResult<Self> {
        Bound::at(settings)?.serve(Router::new())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its routes.
    #[must_use]
    pub fn routes(&self) -> Routes {
        self.routes.clone()
    }

    /// Takes no further connections, gives requests that are being answered two seconds, and ends.
    pub fn stop(self) {
        drop(self);
    }
}

/// An address that is listened at; connections wait until they are served.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    threads: usize,
}

impl Bound {
    /// Takes the address.
    ///
    /// # Errors
    /// [`ProcessorError::Unavailable`] if it cannot be listened at.
    pub fn at(settings: &ServerSettings) -> ProcessorResult<Self> {
        let listener = listen(&settings.bind)?;
        let address =
            listener.local_addr().map_err(|cause| cannot_listen(&settings.bind, &cause))?;
        Ok(Self { listener, address, threads: settings.threads.max(1) })
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers by `first` from the first request on.
    ///
    /// # Errors
    /// [`ProcessorError::Internal`] if there is no thread to be had.
    pub fn serve(self, first: Router) -> ProcessorResult<Server> {
        let Self { listener, address, threads } = self;
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("http")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|cause| ProcessorError::Internal(format!("no runtime for http: {cause}")))?;
        let routes = Routes::default();
        routes.add(first);
        let (stop, stopped) = watch::channel(false);
        let serving = serve(listener, routes.clone(), stopped);
        let thread = thread::Builder::new()
            .name("http-server".into())
            .spawn(move || {
                if let Err(cause) = runtime.block_on(serving) {
                    tracing::error!(%cause, "the http server has ended");
                }
                // What still streams is cut off.
                runtime.shutdown_timeout(Duration::from_millis(100));
            })
            .map_err(|cause| ProcessorError::Internal(format!("no http thread: {cause}")))?;
        info!(%address, "http server listens");
        Ok(Server { address, routes, stop, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            drop(thread.join());
        }
    }
}

/// Small answers leave at once.
fn at_once(stream: &mut tokio::net::TcpStream) {
    if let Err(cause) = stream.set_nodelay(true) {
        debug!(%cause, "TCP_NODELAY");
    }
}

async fn serve(
    listener: TcpListener,
    routes: Routes,
    mut stopped: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let listener = Patient { listener: listener.tap_io(at_once), longest: MAX_STUCK };

    let answer = service_fn(move |request: Request| {
        let routes = Router::clone(&routes.chained.load());
        routes.oneshot(request)
    });
    let mut asked = stopped.clone();
    let serving = axum::serve(listener, Router::new().fallback_service(answer))
        .with_graceful_shutdown(async move {
            let _ = asked.wait_for(|stop| *stop).await;
        });
    tokio::select! {
        served = serving => served,
        () = async {
            let _ = stopped.wait_for(|stop| *stop).await;
            tokio::time::sleep(GRACE).await;
        } => Ok(()),
    }
}

fn listen(bind: &str) -> ProcessorResult<TcpListener> {
    let addresses: Vec<SocketAddr> =
        bind.to_socket_addrs().map_err(|cause| cannot_listen(bind, &cause))?.collect();
    let listener =
        TcpListener::bind(addresses.as_slice()).map_err(|cause| cannot_listen(bind, &cause))?;
    listener.set_nonblocking(true).map_err(|cause| cannot_listen(bind, &cause))?;
    Ok(listener)
}

fn cannot_listen(bind: &str, cause: &std::io::Error) -> ProcessorError {
    let hint = match cause.kind() {
        ErrorKind::AddrInUse => {
            "another process listens there; stop it, or set `http.bind` to another port"
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege; set `http.bind` to a higher port"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; set `http.bind` to one it has"
        }
        _ => "set `http.bind` to an address of this machine, such as 127.0.0.1:8080",
    };
    ProcessorError::Unavailable {
        name: "http".into(),
        reason: format!("cannot listen at {bind}: {cause}; {hint}"),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;

    use super::*;

    fn ask(server: &Server, path: &str) -> (u16, String) {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.get(format!("http://{}{path}", server.address())).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }

    #[test]
    fn routes_are_answered_from_when_they_are_added_and_the_first_router_wins() {
        let server = Server::start(&ServerSettings::at("127.0.0.1:0")).unwrap();
        assert_eq!(ask(&server, "/a").0, 404);
        server.routes().add(Router::new().route("/a", get(|| async { "first" })));
        server.routes().add(
            Router::new()
                .route("/a", get(|| async { "second" }))
                .route("/b", get(|| async { "second" })),
        );
        assert_eq!(ask(&server, "/a"), (200, "first".into()));
        assert_eq!(ask(&server, "/b"), (200, "second".into()));
        assert_eq!(ask(&server, "/c").0, 404);
        let address = server.address();
        server.stop();
        assert!(std::net::TcpStream::connect(address).is_err(), "it still listens");
    }

    #[test]
    fn a_port_that_is_taken_is_named_with_what_to_do() {
        let server = Server::start(&ServerSettings::at("127.0.0.1:0")).unwrap();
        let bind = server.address().to_string();
        let refused = Server::start(&ServerSettings::at(&bind)).unwrap_err().to_string();
        assert!(refused.contains(&bind) && refused.contains("`http.bind`"), "{refused}");
    }
}
