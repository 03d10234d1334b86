//! Configuration of the stream processor.
//!
//! A YAML file under `processor:`, then environment variables (`PROCESSOR_STATE__BACKEND=memory`),
//! become one [`ProcessorConfig`]: plain data, every key with a default. [`load`] reports every
//! fault at once, each with its place in the file. Nothing here opens a connection, a topic or a
//! state store.

mod check;
pub mod fixture;
mod load;
mod origin;
mod redact;
mod reference;
mod report;
pub mod resolved;
mod schema;
pub mod settings;
mod suggest;
mod yaml;

pub use fixture::{LoadedFixture, load_fixture, load_fixture_str};
pub use load::{CLI_VARIABLES, load, load_str, load_with_functions, load_with_process_env};
pub use origin::{EffectiveValue, load_effective, load_effective_str};
pub use reference::reference;
pub use report::{ConfigError, Excerpt, Fault, Loaded, Place, Warning};
pub use resolved::{FieldCondition, FieldTest, FurtherKind, FurtherStatistic, NumberFunction};
pub use resolved::{
    Intake, NamedPipeline, PostgresSpec, RecordFormat, ResultSinkSpec, SideSinkSpec, Source,
    TableName, Unusable, WebSocketSpec, WindowSettings,
};
pub use schema::{fixture_schema, json_schema};
pub use settings::ProcessorConfig;

impl ProcessorConfig {
    /// The settings as a value to show or log, passwords masked.
    #[must_use]
    pub fn redacted(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        redact::redact_value(&mut value);
        value
    }
}
