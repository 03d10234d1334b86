//! The words on the wire, shared by the Collector, the stream processor and the Analyzer.
//!
//! Nothing here reads or writes: these are the shapes of records and how they look as JSON.

pub mod output;

pub use output::{
    Origin, Pane, PaneTiming, Quality, ResultKey, ResultRecord, ResultWindow, SideKind, SideReason,
    SideRecord,
};
