//! What is sent, and to whom: the configuration first, then the standard variables `OTEL_…`.

use std::time::Duration;

use llm_optimizer_config::{ProcessorConfig, settings::OtlpConfig};

/// Where a receiver is unless somebody says otherwise.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";

/// Who takes one kind of telemetry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receiver {
    /// The whole address.
    pub(crate) url: String,
    /// Headers of each request.
    pub(crate) headers: Vec<(String, String)>,
    /// Time for one request.
    pub(crate) timeout: Duration,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExportSettings {
    pub(crate) traces: Option<Receiver>,
    pub(crate) metrics: Option<Receiver>,
    /// Share of commits whose spans are recorded.
    pub(crate) sample_ratio: f64,
    /// Distance of pushes of metrics.
    pub(crate) metrics_interval: Duration,
    /// What the configuration asks for: `tracing.otlp`, `metrics.otlp`. What it does not, the environment did.
    pub(crate) asked_in_file: Option<&'static str>,
    /// Name of this instance, if it is configured.
    pub(crate) instance_id: Option<String>,
    /// What `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say of the sender.
    pub(crate) resource: Vec<(String, String)>,
    /// What is to be said about the environment.
    pub(crate) warnings: Vec<String>,
}

/// Reads a variable.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One kind of telemetry, as variables and paths name it.
struct Signal {
    variable: &'static str,
    path: &'static str,
}

const TRACES: Signal = Signal { variable: "TRACES", path: "/v1/traces" };
const METRICS: Signal = Signal { variable: "METRICS", path: "/v1/metrics" };

impl ExportSettings {
    /// What `config` and the variables of the process ask for.
    pub(crate) fn of(config: &ProcessorConfig) -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        Self::with(config, &variable)
    }

    /// The same with other variables.
    pub(super) fn with(config: &ProcessorConfig, variable: Variables<'_>) -> Self {
        // An empty variable is none, by the standard.
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let (tracing, metrics) = (&config.tracing, &config.metrics);
        let asked_in_file = match (&tracing.otlp, &metrics.otlp) {
            (Some(_), _) => Some("tracing.otlp"),
            (None, Some(_)) => Some("metrics.otlp"),
            (None, None) => None,
        };
        let mut warnings = Vec::new();
        let is_disabled =
            variable("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        if let (Some(key), true) = (asked_in_file, is_disabled) {
            warnings.push(format!(
                "OTEL_SDK_DISABLED is true: nothing is sent, although `{key}` asks for it"
            ));
        }
        let receiver =
            |config: Option<&OtlpConfig>, signal: &Signal, warnings: &mut Vec<String>| {
                if is_disabled { None } else { receiver(config, signal, &variable, warnings) }
            };
        Self {
            traces: receiver(tracing.otlp.as_ref(), &TRACES, &mut warnings),
            metrics: receiver(metrics.otlp.as_ref(), &METRICS, &mut warnings)
                .filter(|_| metrics.enabled),
            sample_ratio: match &tracing.otlp {
                Some(_) => tracing.sample_ratio,
                None => sampler(&variable).unwrap_or(tracing.sample_ratio),
            },
            metrics_interval: metrics.export_interval_secs.as_duration(),
            asked_in_file: asked_in_file.filter(|_| !is_disabled),
            instance_id: config.instance_id.clone(),
            resource: resource(&variable),
            warnings,
        }
    }

    /// Whether there is anybody to send to.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.traces.is_some() || self.metrics.is_some()
    }
}

fn receiver(
    config: Option<&OtlpConfig>,
    signal: &Signal,
    variable: Variables<'_>,
    warnings: &mut Vec<String>,
) -> Option<Receiver> {
    let own = |what: &str| variable(&format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.variable));
    let either = |what: &str| own(what).or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{what}")));
    let by_variables = own("ENDPOINT")
        .or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| joined(&base, signal.path)));
    let Some(config) = config else {
        let url = by_variables?;
        let is_off = variable(&format!("OTEL_{}_EXPORTER", signal.variable))
            .is_some_and(|exporters| !exporters.split(',').any(|one| one.trim() == "otlp"));
        if is_off {
            return None;
        }
        if let Some(protocol) = either("PROTOCOL").filter(|protocol| protocol != "http/protobuf") {
            warnings.push(format!(
                "the environment asks for OTLP by `{protocol}` and this program sends http/protobuf: nothing is sent to {url}; name \
                 a receiver over HTTP (port 4318 of a collector) in the configuration, or set \
                 OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
            ));
            return None;
        }
        if !url.starts_with("http://") && !url.starts_with("https://") {
            warnings.push(format!(
                "`{url}` of the environment is no address over HTTP: nothing is sent there"
            ));
            return None;
        }
        let millis =
            either("TIMEOUT").and_then(|text| text.trim().parse().ok()).filter(|ms| *ms > 0);
        let timeout = Duration::from_millis(millis.unwrap_or(10_000));
        return Some(Receiver { url, headers: headers(either("HEADERS")), timeout });
    };
    let url = match &config.endpoint {
        Some(base) => joined(base, signal.path),
        None => by_variables.unwrap_or_else(|| joined(DEFAULT_ENDPOINT, signal.path)),
    };
    let headers = match &config.headers {
        Some(headers) => headers.iter().map(|(n, v)| (n.clone(), v.clone())).collect(),
        None => headers(either("HEADERS")),
    };
    Some(Receiver { url, headers, timeout: config.timeout_secs.as_duration() })
}

fn joined(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim().trim_end_matches('/'))
}

/// `name=value,name=value`, values percent-encoded.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let name = name.trim();
        (!name.is_empty()).then(|| (name.to_owned(), percent_decoded(value.trim())))
    };
    text.split(',').filter_map(pair).collect()
}

fn headers(text: Option<String>) -> Vec<(String, String)> {
    text.map(|text| pairs(&text)).unwrap_or_default()
}

fn resource(variable: Variables<'_>) -> Vec<(String, String)> {
    let mut resource = headers(variable("OTEL_RESOURCE_ATTRIBUTES"));
    if let Some(name) = variable("OTEL_SERVICE_NAME") {
        resource.retain(|(attribute, _)| attribute != "service.name");
        resource.push(("service.name".to_owned(), name));
    }
    resource
}

/// The share that the standard sampler has.
fn sampler(variable: Variables<'_>) -> Option<f64> {
    let name = variable("OTEL_TRACES_SAMPLER")?;
    let name = name.trim().strip_prefix("parentbased_").unwrap_or(name.trim());
    match name {
        "always_on" => Some(1.0),
        "always_off" => Some(0.0),
        "traceidratio" => {
            let share =
                variable("OTEL_TRACES_SAMPLER_ARG").and_then(|text| text.trim().parse().ok());
            share.filter(|share| (0.0..=1.0).contains(share)).or(Some(1.0))
        }
        _ => None,
    }
}

fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let code = after
            .get(..2)
            .filter(|_| *byte == b'%')
            .and_then(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
        decoded.push(code.unwrap_or(*byte));
        if code.is_some() {
            rest = after.get(2..).unwrap_or_default();
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::load_str;

    /// What a configuration file and the environment ask for.
    pub(in crate::export) fn settings(yaml: &str, variables: &[(&str, &str)]) -> ExportSettings {
        let yaml = format!("processor:\n  source: {{ type: file, path: x }}\n{yaml}");
        let config = load_str(&yaml, "c.yaml", []).unwrap().config;
        ExportSettings::with(&config, &|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn url(receiver: Option<&Receiver>) -> Option<&str> {
        receiver.map(|receiver| receiver.url.as_str())
    }

    const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    #[test]
    fn nothing_is_sent_unless_somebody_asks() {
        assert!(!settings("", &[]).is_asked_for());
        assert!(!settings("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).is_asked_for());
        assert!(!settings("", &[("OTEL_SERVICE_NAME", "x")]).is_asked_for());
    }

    #[test]
    fn the_configuration_goes_before_the_environment() {
        let both = "  tracing: { otlp: { endpoint: 'https://a/b/', headers: { k: v } }, sample_ratio: 0.5 }\n  metrics: { otlp: {} }\n";
        let found = settings(both, &[BASE, ("OTEL_TRACES_SAMPLER", "always_off")]);
        assert_eq!(url(found.traces.as_ref()), Some("https://a/b/v1/traces"));
        assert_eq!(url(found.metrics.as_ref()), Some("http://collector:4318/v1/metrics"));
        assert_eq!(found.traces.unwrap().headers, [("k".to_owned(), "v".to_owned())]);
        assert!((found.sample_ratio - 0.5).abs() < 1e-9);
        assert_eq!(found.asked_in_file, Some("tracing.otlp"));
        let alone = settings("  metrics: { otlp: {} }\n", &[]);
        assert_eq!(url(alone.metrics.as_ref()), Some("http://localhost:4318/v1/metrics"));
        assert_eq!((alone.traces, alone.asked_in_file), (None, Some("metrics.otlp")));
    }

    #[test]
    fn the_standard_variables_are_enough() {
        let found = settings(
            "",
            &[
                BASE,
                ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:1/x"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "a=1%202, b=c=d,=e"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
                ("OTEL_RESOURCE_ATTRIBUTES", "service.name=old,team=t"),
                ("OTEL_SERVICE_NAME", "new"),
                ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ],
        );
        let traces = found.traces.unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(traces.url, "http://collector:4318/v1/traces");
        assert_eq!(traces.headers, [pair("a", "1 2"), pair("b", "c=d")]);
        assert_eq!(traces.timeout, Duration::from_millis(2_500));
        assert_eq!(url(found.metrics.as_ref()), Some("http://m:1/x"), "as it is");
        assert_eq!(found.resource, [pair("team", "t"), pair("service.name", "new")]);
        assert!((found.sample_ratio - 0.25).abs() < 1e-9);
        assert_eq!((found.asked_in_file, found.warnings), (None, Vec::new()));
    }

    #[test]
    fn the_environment_can_turn_it_off() {
        let all = "  tracing: { otlp: {} }\n";
        let off = settings(all, &[("OTEL_SDK_DISABLED", "TRUE")]);
        assert!(!off.is_asked_for() && off.warnings[0].contains("OTEL_SDK_DISABLED"));
        let found = settings("", &[BASE, ("OTEL_METRICS_EXPORTER", "prometheus,none")]);
        assert!(found.metrics.is_none() && found.traces.is_some());
        assert!(settings("  metrics: { enabled: false }\n", &[BASE]).metrics.is_none());
    }

    #[test]
    fn another_protocol_is_no_silence() {
        let found = settings("", &[BASE, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
        assert!(!found.is_asked_for());
        assert!(found.warnings[0].contains("grpc") && found.warnings[0].contains("http/protobuf"));
        let found = settings("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")]);
        assert!(!found.is_asked_for() && found.warnings[0].contains("collector:4317"));
    }
}
