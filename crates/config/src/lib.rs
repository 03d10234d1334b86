//! Configuration of the stream processor.
//!
//! A YAML file under `processor:`, then environment variables (`PROCESSOR_STATE__BACKEND=memory`),
//! become one [`ProcessorConfig`]: plain data, every key with a default. Nothing here opens a
//! connection, a topic or a state store.

pub mod resolved;
pub mod settings;

pub use resolved::{RecordFormat, ResultSinkSpec, SideSinkSpec, Source, Unusable, WindowSettings};
pub use settings::ProcessorConfig;
