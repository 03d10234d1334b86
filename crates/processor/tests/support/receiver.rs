//! A receiver of OTLP over HTTP that keeps what it is sent.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{Metric, metric::Data, number_data_point},
    trace::v1::Span,
};
use prost::Message;

/// Attributes as text.
pub(crate) fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|any| any.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    pairs.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

/// What came so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Received {
    pub(crate) spans: Vec<Span>,
    pub(crate) pushes: Vec<Vec<Metric>>,
    /// Of the newest request of either kind.
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Received {
    /// The spans of this name.
    pub(crate) fn named(&self, name: &str) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.name == name).collect()
    }

    /// The spans whose parent is `span`.
    pub(crate) fn children(&self, span: &Span) -> Vec<&Span> {
        let is_it =
            |other: &&Span| other.parent_span_id == span.span_id && other.trace_id == span.trace_id;
        self.spans.iter().filter(is_it).collect()
    }

    /// The sum over the series of a metric in the newest push.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        let metric = self.pushes.last()?.iter().find(|metric| metric.name == name)?;
        let points = match metric.data.as_ref()? {
            Data::Sum(sum) => &sum.data_points,
            Data::Gauge(gauge) => &gauge.data_points,
            Data::Histogram(histogram) => {
                return Some(histogram.data_points.iter().map(|point| point.count as f64).sum());
            }
            _ => return None,
        };
        let value = |value: &Option<number_data_point::Value>| match value {
            Some(number_data_point::Value::AsInt(count)) => *count as f64,
            Some(number_data_point::Value::AsDouble(number)) => *number,
            None => f64::NAN,
        };
        Some(points.iter().map(|point| value(&point.value)).sum())
    }
}

/// A server on a port of its own; it ends when it is dropped.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Received>,
    connections: Mutex<Vec<TcpStream>>,
    is_over: AtomicBool,
    /// Answered to every request; 0: nothing is answered at all.
    status: AtomicU16,
}

/// A port nobody listens at.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::start_at(0)
    }

    pub(crate) fn start_at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::<Shared>::default();
        shared.status.store(200, Ordering::Relaxed);
        let serving = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let stream = stream.unwrap();
                serving.connections.lock().unwrap().push(stream.try_clone().unwrap());
                let serving = Arc::clone(&serving);
                thread::spawn(move || while serving.serve(&stream).is_some() {});
            }
        });
        Self { port, shared, thread: Some(thread) }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What is answered from now on; 0: nothing.
    pub(crate) fn answer(&self, status: u16) {
        self.shared.status.store(status, Ordering::Relaxed);
    }

    pub(crate) fn received(&self) -> Received {
        self.shared.received.lock().unwrap().clone()
    }

    /// Waits until `done`, and gives what came by then.
    pub(crate) fn wait_for(&self, what: &str, done: impl Fn(&Received) -> bool) -> Received {
        let begun = Instant::now();
        loop {
            let received = self.received();
            if done(&received) {
                return received;
            }
            let names: Vec<_> = received.spans.iter().map(|span| span.name.as_str()).collect();
            assert!(
                begun.elapsed() < Duration::from_mins(1),
                "{what} never came; {} pushes and {names:?}",
                received.pushes.len()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Shared {
    /// Serves one request; `None` if the connection is over.
    fn serve(&self, mut stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let status = self.status.load(Ordering::Relaxed);
        if status == 0 {
            // Until the connection is over.
            reader.read_line(&mut line).ok()?;
            return None;
        }
        if status == 200 {
            self.keep(&path, headers, &body);
        }
        write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").ok()
    }

    fn keep(&self, path: &str, headers: BTreeMap<String, String>, body: &[u8]) {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let mut received = self.received.lock().unwrap();
        received.headers = headers;
        if path == "/v1/metrics" {
            let request = ExportMetricsServiceRequest::decode(body).unwrap();
            for of in request.resource_metrics {
                received.resource = attributes(&of.resource.unwrap().attributes);
                received
                    .pushes
                    .push(of.scope_metrics.into_iter().flat_map(|s| s.metrics).collect());
            }
            return;
        }
        assert_eq!(path, "/v1/traces");
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        for of in request.resource_spans {
            received.resource = attributes(&of.resource.unwrap().attributes);
            received.spans.extend(of.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            drop(connection.shutdown(Shutdown::Both));
        }
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
