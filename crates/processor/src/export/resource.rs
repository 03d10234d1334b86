//! Who sends: attributes that every span and metric has in common.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
};

use super::ExportSettings;

/// Name of the service unless `OTEL_SERVICE_NAME` says another, and of what makes spans and metrics.
const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The process, as the environment, else the program, says.
pub(super) fn resource(settings: &ExportSettings) -> Resource {
    let instance = settings.instance_id.clone();
    let instance = instance.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let own = [
        ("service.name", NAME.to_owned()),
        ("service.version", VERSION.to_owned()),
        ("service.instance.id", instance),
        ("process.pid", std::process::id().to_string()),
        ("telemetry.sdk.name", "opentelemetry".to_owned()),
        ("telemetry.sdk.language", "rust".to_owned()),
    ];
    let mut attributes: BTreeMap<String, String> =
        own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    attributes.extend(settings.resource.iter().cloned());
    let attribute = |(name, value): (String, String)| match value.parse() {
        Ok(pid) if name == "process.pid" => pair(name, Value::IntValue(pid)),
        _ => text(name, value),
    };
    Resource { attributes: attributes.into_iter().map(attribute).collect(), ..Resource::default() }
}

/// What made the spans and metrics.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: NAME.to_owned(),
        version: VERSION.to_owned(),
        ..InstrumentationScope::default()
    }
}

/// A text as an attribute.
pub(super) fn text(name: impl Into<String>, value: impl Into<String>) -> KeyValue {
    pair(name.into(), Value::StringValue(value.into()))
}

fn pair(key: String, value: Value) -> KeyValue {
    KeyValue { key, value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
