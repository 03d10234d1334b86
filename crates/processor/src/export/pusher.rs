//! The thread that sends: spans as they end, metrics at their interval; what the end of a run leaves is flushed.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver as Channel, Sender, bounded, select};
use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
        trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    },
    metrics::v1::{ResourceMetrics, ScopeMetrics},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::{info, warn};

use super::{
    ExportSettings, numbers,
    post::{NotTaken, Poster},
    resource,
    settings::Receiver,
    spans::{EndedSpans, tracer},
};
use crate::{
    error::{ProcessorError, ProcessorResult},
    metrics::{
        Counter, Exposition, Metrics,
        catalogue::{OTLP_EXPORTS, OTLP_SPANS_DROPPED, OTLP_SPANS_SENT},
    },
};

/// Least distance of requests with spans.
const SPANS_INTERVAL: Duration = Duration::from_secs(1);
/// Most spans of a request.
const REQUEST_SPANS: usize = 512;
/// Spans that are kept while the receiver is away; the oldest go.
const MAX_WAITING_SPANS: usize = 4_096;
/// Longest pause between attempts while the receiver is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Time for what is left at the end of the run.
const FLUSH_PATIENCE: Duration = Duration::from_secs(5);

/// What is sent of a run, from before it begins until after it has ended.
pub(crate) struct Export {
    settings: ExportSettings,
    spans: Option<(SdkTracerProvider, SdkTracer)>,
    ended: Option<EndedSpans>,
    /// Asks the thread to end by then, and hears that it has.
    thread: Option<(Sender<Instant>, Channel<()>)>,
}

impl Export {
    /// Makes ready what is asked for, if anything is; nothing is sent before [`start`](Self::start).
    pub(crate) fn begin(settings: &ExportSettings) -> Option<Self> {
        if !settings.is_asked_for() {
            return None;
        }
        // Counts begin now.
        numbers::times();
        let (spans, ended) = match settings.traces {
            Some(_) => {
                let (provider, tracer, ended) = tracer(settings.sample_ratio);
                (Some((provider, tracer)), Some(ended))
            }
            None => (None, None),
        };
        Some(Self { settings: settings.clone(), spans, ended, thread: None })
    }

    /// What spans are made by, if they are sent.
    pub(crate) fn tracer(&self) -> Option<SdkTracer> {
        self.spans.as_ref().map(|(_, tracer)| tracer.clone())
    }

    /// Whether spans are sent.
    pub(crate) fn has_traces(&self) -> bool {
        self.spans.is_some()
    }

    /// Begins to send, and `metrics` with it.
    ///
    /// # Errors
    /// [`ProcessorError::Internal`] if the system gives no thread.
    pub(crate) fn start(&mut self, metrics: Option<Arc<Metrics>>) -> ProcessorResult<()> {
        let (stop, stopped) = bounded(1);
        let (done, is_done) = bounded(1);
        let pusher = Pusher::new(&self.settings, self.ended.take(), metrics);
        let work = move || {
            pusher.run(&stopped);
            drop(done);
        };
        let thread = thread::Builder::new().name("otlp-export".into()).spawn(work);
        thread.map_err(|cause| ProcessorError::Internal(format!("no thread for OTLP: {cause}")))?;
        self.thread = Some((stop, is_done));
        Ok(())
    }

    /// Sends what is left, for at most five seconds.
    pub(crate) fn end(self) {
        let Some((stop, is_done)) = self.thread else { return };
        if stop.send(Instant::now() + FLUSH_PATIENCE).is_ok() {
            let grace = Duration::from_millis(500);
            // The thread ends by dropping its end; one that does not is left alone.
            let _ = is_done.recv_timeout(FLUSH_PATIENCE + grace);
        }
    }
}

/// One kind of telemetry on its way to a receiver.
struct Line {
    what: &'static str,
    receiver: Receiver,
    /// Not before.
    due: Instant,
    /// Since when the receiver takes nothing, and the pause before the next attempt.
    trouble: Option<(Instant, Duration)>,
    counters: Option<[Counter; 3]>,
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Accepted,
    Failed,
    Refused,
}

impl Line {
    fn new(
        (what, signal): (&'static str, &str),
        receiver: Receiver,
        metrics: Option<&Metrics>,
    ) -> Self {
        let counter = |metrics: &Metrics, word| metrics.counter(&OTLP_EXPORTS, &[signal, word]);
        let counters = metrics
            .map(|metrics| ["accepted", "failed", "refused"].map(|word| counter(metrics, word)));
        Self { what, receiver, due: Instant::now(), trouble: None, counters }
    }

    fn count(&self, outcome: Outcome) {
        if let Some(counter) = self.counters.as_ref().and_then(|all| all.get(outcome as usize)) {
            counter.inc();
        }
    }

    /// The receiver took something.
    fn took(&mut self) {
        self.count(Outcome::Accepted);
        if let Some((since, _)) = self.trouble.take() {
            let secs = since.elapsed().as_secs();
            info!(
                receiver = self.shown(),
                away_secs = secs,
                "the OTLP receiver takes {} again",
                self.what
            );
        }
    }

    /// It took nothing, for this reason; said once until it takes something again.
    fn failed(&mut self, not_taken: &NotTaken, then: &str) {
        let (outcome, reason) = match not_taken {
            NotTaken::Passing(reason) => (Outcome::Failed, reason),
            NotTaken::Refused(reason) => (Outcome::Refused, reason),
        };
        self.count(outcome);
        let (_, pause) = self.trouble.get_or_insert_with(|| {
            warn!(
                receiver = shown(&self.receiver),
                reason, "{} cannot be sent by OTLP; the run goes on, {then}", self.what
            );
            (Instant::now(), SPANS_INTERVAL / 2)
        });
        *pause = (*pause * 2).min(LONGEST_PAUSE);
    }

    fn shown(&self) -> String {
        shown(&self.receiver)
    }
}

/// The address without a password in it.
fn shown(receiver: &Receiver) -> String {
    let Some((scheme, rest)) = receiver.url.split_once("://") else { return receiver.url.clone() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

struct Pusher {
    poster: Poster,
    resource: Resource,
    ended: EndedSpans,
    waiting: VecDeque<Span>,
    spans: Option<Line>,
    sent: Option<Counter>,
    dropped: Option<Counter>,
    numbers: Option<(Line, Arc<Metrics>)>,
    interval: Duration,
}

impl Pusher {
    fn new(
        settings: &ExportSettings,
        ended: Option<EndedSpans>,
        metrics: Option<Arc<Metrics>>,
    ) -> Self {
        let (traces, receiver) = (settings.traces.clone(), settings.metrics.clone());
        let poster = Poster::new(traces.iter().chain(&receiver));
        let counter = |metric| metrics.as_ref().map(|metrics| metrics.counter(metric, &[]));
        let spans = traces.map(|traces| Line::new(("spans", "traces"), traces, metrics.as_deref()));
        let (sent, dropped) = (counter(&OTLP_SPANS_SENT), counter(&OTLP_SPANS_DROPPED));
        let line = |(receiver, metrics): (Receiver, Arc<Metrics>)| {
            let mut line = Line::new(("metrics", "metrics"), receiver, Some(&*metrics));
            line.due += settings.metrics_interval;
            (line, metrics)
        };
        Self {
            poster,
            resource: resource::resource(settings),
            // Without spans nobody holds the other end of their queue.
            ended: ended.unwrap_or_else(|| EndedSpans {
                spans: crossbeam_channel::never(),
                dropped: Arc::default(),
            }),
            waiting: VecDeque::new(),
            spans,
            sent,
            dropped,
            numbers: receiver.zip(metrics).map(line),
            interval: settings.metrics_interval,
        }
    }

    /// Sends until it is told by when to end.
    fn run(mut self, stopped: &Channel<Instant>) {
        loop {
            select! {
                recv(self.ended.spans) -> span => match span {
                    Ok(span) => self.take(span.into()),
                    Err(_) => return,
                },
                recv(stopped) -> until => return self.flush(until.unwrap_or_else(|_| Instant::now())),
                default(self.pause()) => {}
            }
            self.note_overflow();
            let now = Instant::now();
            if self.spans.as_ref().is_some_and(|line| line.due <= now) {
                self.send_spans(None);
            }
            if self.numbers.as_ref().is_some_and(|(line, _)| line.due <= now) {
                self.send_numbers(None);
            }
        }
    }

    /// Time until something is to be sent.
    fn pause(&self) -> Duration {
        let spans = self.spans.as_ref().filter(|_| !self.waiting.is_empty()).map(|line| line.due);
        let numbers = self.numbers.as_ref().map(|(line, _)| line.due);
        let due = spans.into_iter().chain(numbers).min();
        due.map_or(LONGEST_PAUSE, |due| due.saturating_duration_since(Instant::now()))
    }

    fn take(&mut self, span: Span) {
        if self.waiting.len() >= MAX_WAITING_SPANS {
            self.waiting.pop_front();
            self.drop_spans(1);
        }
        self.waiting.push_back(span);
        let is_well = self.spans.as_ref().is_some_and(|line| line.trouble.is_none());
        if let Some(line) = self.spans.as_mut().filter(|_| is_well)
            && self.waiting.len() >= REQUEST_SPANS
        {
            line.due = Instant::now();
        }
    }

    fn drop_spans(&self, count: u64) {
        self.dropped.iter().for_each(|dropped| {
            dropped.inc_by(count);
        });
    }

    fn note_overflow(&self) {
        let count = self.ended.dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            self.drop_spans(count);
        }
    }

    /// Sends all spans that wait, unless the receiver takes none.
    fn send_spans(&mut self, until: Option<Instant>) {
        while !self.waiting.is_empty() {
            let count = self.waiting.len().min(REQUEST_SPANS);
            let spans: Vec<Span> = self.waiting.drain(..count).collect();
            if !self.send_request(spans, until) {
                break;
            }
        }
        if let Some(line) = &mut self.spans {
            let pause = line.trouble.map_or(SPANS_INTERVAL, |(_, pause)| pause);
            line.due = Instant::now() + pause;
        }
    }

    /// Whether the receiver took, or will never take, these spans; else they wait again.
    fn send_request(&mut self, spans: Vec<Span>, until: Option<Instant>) -> bool {
        let Some(line) = &mut self.spans else { return false };
        let count = spans.len() as u64;
        let scope_spans =
            vec![ScopeSpans { scope: Some(resource::scope()), spans, ..ScopeSpans::default() }];
        let resource = Some(self.resource.clone());
        let resource_spans =
            vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
        let request = ExportTraceServiceRequest { resource_spans };
        let patience = patience(&line.receiver, until);
        let posted: Result<ExportTraceServiceResponse, _> =
            self.poster.post(&line.receiver, &request, patience);
        let rejected = match posted {
            Ok(answer) => {
                line.took();
                let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
                u64::try_from(rejected).unwrap_or(0).min(count)
            }
            Err(refused @ NotTaken::Refused(_)) => {
                line.failed(&refused, "and what the receiver refuses is dropped");
                count
            }
            Err(passing) => {
                let kept = format!("up to {MAX_WAITING_SPANS} of them are kept and sent later");
                line.failed(&passing, &kept);
                let scopes = request.resource_spans.into_iter().flat_map(|of| of.scope_spans);
                let spans: Vec<Span> = scopes.flat_map(|scope| scope.spans).collect();
                spans.into_iter().rev().for_each(|span| self.waiting.push_front(span));
                return false;
            }
        };
        self.drop_spans(rejected);
        self.sent.iter().for_each(|sent| {
            sent.inc_by(count - rejected);
        });
        true
    }

    fn send_numbers(&mut self, until: Option<Instant>) {
        let Some((line, metrics)) = &mut self.numbers else { return };
        line.due = Instant::now() + self.interval;
        let text = metrics.export(Exposition::OpenMetrics);
        let scope_metrics = vec![ScopeMetrics {
            scope: Some(resource::scope()),
            metrics: numbers::metrics(&text, numbers::times()),
            ..ScopeMetrics::default()
        }];
        let resource = Some(self.resource.clone());
        let resource_metrics =
            vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
        let request = ExportMetricsServiceRequest { resource_metrics };
        let patience = patience(&line.receiver, until);
        let posted: Result<ExportMetricsServiceResponse, _> =
            self.poster.post(&line.receiver, &request, patience);
        match posted {
            Ok(_) => line.took(),
            Err(not_taken) => line.failed(&not_taken, "and the next push says all counts again"),
        }
    }

    /// Sends what is left by `until`.
    fn flush(mut self, until: Instant) {
        while let Ok(span) = self.ended.spans.try_recv() {
            self.take(span.into());
        }
        self.note_overflow();
        self.send_spans(Some(until));
        if !self.waiting.is_empty() {
            let spans = self.waiting.len();
            self.drop_spans(spans as u64);
            warn!(
                spans,
                "spans are lost: the OTLP receiver did not take them before the end of the run"
            );
        }
        self.send_numbers(Some(until));
    }
}

/// Time for a request: that of the receiver, or what is left.
fn patience(receiver: &Receiver, until: Option<Instant>) -> Duration {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    // Nothing left is a failure at once, not one without limit.
    left.map_or(receiver.timeout, |left| left.min(receiver.timeout).max(Duration::from_millis(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        let receiver = |url: &str| Receiver {
            url: url.into(),
            headers: Vec::new(),
            timeout: Duration::from_secs(1),
        };
        assert_eq!(shown(&receiver("http://me:secret@h:1/v1/x@y")), "http://h:1/v1/x@y");
        assert_eq!(shown(&receiver("https://h/v1/traces")), "https://h/v1/traces");
    }
}
