//! What a run of the command line has of metrics and server.

use std::{net::ToSocketAddrs, sync::Arc};

use llm_optimizer_config::{
    ProcessorConfig, Source,
    settings::{HttpConfig, StateBackendName},
};
use tracing::warn;

use super::{
    ApiParts, Bound, Routes, Server, ServerSettings, Topology, api_routes, dashboard_routes,
};
use crate::{
    error::ProcessorResult,
    metrics::{Metrics, MetricsKeeper, MetricsKeeperSettings},
    runtime::{Health, HistoryKeeper, Telemetry, door},
    source::StopToken,
};

/// Metrics, health and server of a run, from before it recovers until after it has ended.
#[derive(Debug)]
pub struct RunServer {
    telemetry: Arc<Telemetry>,
    server: Option<Server>,
    _keeper: Option<MetricsKeeper>,
    _history: Option<HistoryKeeper>,
}

impl RunServer {
    /// Listens and measures, as `config` says; `stop` ends the run, and `has_traces` says that its spans are recorded. Without `http` in the configuration only runs that go on
    /// for ever listen, and those run without a server if the port is taken, but where records are sent to it.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ProcessorError::Unavailable) if the configured address cannot be listened at.
    pub fn start(
        config: &ProcessorConfig,
        until_end: bool,
        has_traces: bool,
        stop: &StopToken,
    ) -> ProcessorResult<Self> {
        let is_bounded = until_end || config.is_bounded();
        let http = config.http.clone().unwrap_or_default();
        let settings = ServerSettings::at(&http.bind);
        let bound = match (&config.http, is_bounded) {
            (Some(_), _) => Some(Bound::at(&settings)?),
            (None, false) if is_sent_to(config) => Some(Bound::at(&settings)?),
            (None, true) => None,
            (None, false) => Bound::at(&settings)
                .inspect_err(|error| warn!("this run has no http server: {error}"))
                .ok(),
        };
        let metrics = config.metrics.enabled.then(|| Arc::new(Metrics::new()));
        let health = Health::new(http.ready_broker_timeout_secs.as_duration(), stop.clone());
        let telemetry = Telemetry::new(metrics.clone(), bound.is_some(), health);
        let telemetry = Arc::new(telemetry.with_traces(has_traces));
        let serve = |bound: Bound| {
            let api = api_routes(parts(config, &http, &bound, Arc::clone(&telemetry)));
            let api = api.merge(dashboard_routes());
            let Some((door, router)) = door(config) else { return bound.serve(api) };
            // It is new.
            let _ = telemetry.door.set(door);
            bound.serve(api.merge(router))
        };
        let server = bound.map(serve).transpose()?;
        let keeper = metrics.map(|metrics| MetricsKeeper::start(&metrics, keeper_settings(config)));
        let history = server.is_some().then(|| HistoryKeeper::start(Arc::clone(&telemetry)));
        Ok(Self { telemetry, server, _keeper: keeper, _history: history })
    }

    /// What the run tells.
    #[must_use]
    pub fn telemetry(&self) -> Arc<Telemetry> {
        Arc::clone(&self.telemetry)
    }

    /// Where it listens, if there is a server.
    #[must_use]
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        self.server.as_ref().map(Server::address)
    }

    /// Where routes can be added, if there is a server.
    #[must_use]
    pub fn routes(&self) -> Option<Routes> {
        self.server.as_ref().map(Server::routes)
    }

    /// Ends what listeners hear, and the server.
    pub fn end(self) {
        if let Some(live) = &self.telemetry.live {
            live.close();
        }
        drop(self);
    }
}

/// Whether the server is the way in.
fn is_sent_to(config: &ProcessorConfig) -> bool {
    matches!(config.source(), Ok(Source::Http(_) | Source::Otlp(_)))
}

fn parts(
    config: &ProcessorConfig,
    http: &HttpConfig,
    server: &Bound,
    telemetry: Arc<Telemetry>,
) -> ApiParts {
    let is_loopback = server.address().ip().is_loopback();
    if !is_loopback && http.token.is_none() {
        warn!(
            bind = http.bind,
            "the http server can be reached by other machines and there is no `http.token`: requests that change something \
             are refused"
        );
    }
    ApiParts {
        telemetry,
        configuration: config.redacted(),
        topology: Topology::of(config),
        token: http.token.clone(),
        is_loopback,
    }
}

fn keeper_settings(config: &ProcessorConfig) -> MetricsKeeperSettings {
    let state = config.state.clone().unwrap_or_default();
    let pipelines = config.pipelines();
    MetricsKeeperSettings {
        summary_interval: config.metrics.export_interval_secs.as_duration(),
        first_pipeline: pipelines.first().map(|first| first.name.clone()).unwrap_or_default(),
        memory_limit: config.limits.memory_bytes,
        store: (state.backend != StateBackendName::Memory).then_some(state.path),
    }
}

/// Where a request to a server with this configuration goes from the same machine.
pub(crate) fn own_address(http: &HttpConfig) -> Option<std::net::SocketAddr> {
    let mut address = http.bind.to_socket_addrs().ok()?.next()?;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    Some(address)
}
