//! Sinks of the library that are servers, and metrics.

use std::{fmt, time::Duration};

use llm_optimizer_config::{TableName, settings::WebSocketConfirm};

use super::{PipelineSink, SinkContext};
use crate::{
    error::ProcessorResult,
    sink::{
        ResultSink, Waiting, metrics,
        metrics::{CollectorRegistry, ResultSeries, ResultSeriesSettings},
        postgres,
        postgres::PostgresSettings,
        websocket,
        websocket::WebSocketSettings,
    },
};

/// Writes results to a table of `PostgreSQL`, one row per window, of which the newest revision stands.
///
/// The table is created if it is not there. A server that is away is waited for.
///
/// ```
/// use llm_optimizer_processor::PostgresSink;
/// let sink = PostgresSink::new("postgres://app:secret@localhost/metrics").with_table("results");
/// assert!(!format!("{sink:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct PostgresSink {
    url: String,
    table: String,
    batch_size: usize,
}

impl PostgresSink {
    /// Results to the table `results` of the database at `url`; connects when there is a result.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), table: "results".into(), batch_size: 1_000 }
    }

    /// Another table, if need be with its schema: `metrics.results`.
    #[must_use]
    pub fn with_table(self, table: impl Into<String>) -> Self {
        Self { table: table.into(), ..self }
    }

    /// Rows that are written together (1000).
    #[must_use]
    pub fn with_batch_size(self, batch_size: usize) -> Self {
        Self { batch_size, ..self }
    }

    fn open_with(&self, waiting: Waiting) -> ProcessorResult<postgres::PostgresSink> {
        let table = TableName::parse(&self.table).map_err(|reason| {
            crate::ProcessorError::Config(format!("the table of a Postgres sink: {reason}"))
        })?;
        let settings =
            PostgresSettings { url: self.url.clone(), table, batch_size: self.batch_size };
        postgres::PostgresSink::new(settings, waiting)
    }
}

impl fmt::Debug for PostgresSink {
    /// Without the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSink").field("table", &self.table).finish_non_exhaustive()
    }
}

impl PipelineSink for PostgresSink {
    fn check(&self) -> Vec<String> {
        fault(self.open_with(Waiting::default()))
    }

    fn open(self: Box<Self>, context: &SinkContext) -> ProcessorResult<Box<dyn ResultSink>> {
        self.open_with(waiting(context)).map(|sink| Box::new(sink) as Box<dyn ResultSink>)
    }
}

/// Sends each result as one text message, its JSON, to a WebSocket server.
///
/// A delivery has succeeded when the server has shown that it read it; otherwise the sink connects anew and
/// sends it again. A server that is away is waited for.
///
/// ```
/// use llm_optimizer_processor::WebSocketSink;
/// let dashboard_sink = WebSocketSink::new("ws://dashboard:8080/metrics").with_token("secret");
/// assert!(!format!("{dashboard_sink:?}").contains("secret"));
/// ```
#[derive(Debug, Clone)]
pub struct WebSocketSink {
    settings: WebSocketSettings,
}

impl WebSocketSink {
    /// Results to the server at `url` (`ws://…` or `wss://…`); connects when there is a result.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { settings: WebSocketSettings::new(url) }
    }

    /// Sends `Authorization: Bearer <token>` with the handshake.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.settings.token = Some(token.into());
        self
    }

    /// Sends a header with the handshake.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.headers.insert(name.into(), value.into());
        self
    }

    /// What says that the server has a result (its pong).
    #[must_use]
    pub fn with_confirm(mut self, confirm: WebSocketConfirm) -> Self {
        self.settings.confirm = confirm;
        self
    }
}

impl PipelineSink for WebSocketSink {
    fn check(&self) -> Vec<String> {
        fault(websocket::WebSocketSink::new(self.settings.clone(), Waiting::default()))
    }

    fn open(self: Box<Self>, context: &SinkContext) -> ProcessorResult<Box<dyn ResultSink>> {
        let sink = websocket::WebSocketSink::new(self.settings, waiting(context))?;
        Ok(Box::new(sink))
    }
}

/// Shows the newest result of every key as gauges: `processor_result{pipeline, key, statistic}`.
///
/// Clones show theirs at the same place; a registry takes one of them.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use llm_optimizer_processor::MetricsSink;
/// use prometheus_client::registry::Registry;
///
/// let prometheus_registry = Arc::new(Mutex::new(Registry::default()));
/// let sink = MetricsSink::new(prometheus_registry);
/// ```
#[derive(Debug, Clone)]
pub struct MetricsSink {
    series: ResultSeries,
    settings: ResultSeriesSettings,
}

impl MetricsSink {
    /// Results in `registry`: one of `prometheus-client`, or the processor's own
    /// [`Metrics`](crate::metrics::Metrics).
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "a registry is given as it is shared")]
    pub fn new(registry: impl CollectorRegistry) -> Self {
        let series = ResultSeries::default();
        registry.add(Box::new(series.clone()));
        Self { series, settings: ResultSeriesSettings::default() }
    }

    /// Shows at most this many statistics of keys (10,000).
    #[must_use]
    pub fn with_max_series(mut self, max_series: usize) -> Self {
        self.settings.max_series = max_series;
        self
    }

    /// How long a key without a new result is shown (an hour).
    #[must_use]
    pub fn with_stale_after(mut self, stale_after: Duration) -> Self {
        self.settings.stale_after = stale_after;
        self
    }
}

impl PipelineSink for MetricsSink {
    fn open(self: Box<Self>, _: &SinkContext) -> ProcessorResult<Box<dyn ResultSink>> {
        self.series.allow(self.settings);
        Ok(Box::new(metrics::MetricsSink::new(self.series)))
    }
}

fn waiting(context: &SinkContext) -> Waiting {
    Waiting { give_up: context.give_up.clone(), ..Waiting::default() }
}

fn fault<S>(opened: ProcessorResult<S>) -> Vec<String> {
    opened.err().map(|error| error.to_string()).into_iter().collect()
}
