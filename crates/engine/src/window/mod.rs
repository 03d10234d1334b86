//! Windows: which ones an event belongs to, what they hold, when they fire and go.
//!
//! Tumbling and sliding windows share one store, [`SlicedWindows`]: state lies in panes, slices of
//! time that windows share, so an event touches one accumulator. Sessions have their own,
//! [`SessionWindows`], and so have windows of the user's own making, [`AssignedWindows`]. Times are
//! whole milliseconds; spans are half-open `[start, end)`.

mod assigned;
mod assigner;
mod combiner;
mod early;
mod firing;
mod key_combiner;
mod key_rows;
mod marks;
mod merging;
mod pane;
mod panes;
mod session;
mod session_list;
mod sliced;
mod slices;
mod spec;
mod trigger;
mod view;

pub use assigned::AssignedWindows;
pub use assigner::{AssignWindows, Span};
pub use firing::{Admission, Firing, FiringRef, Timing};
pub use session::SessionWindows;
pub use sliced::SlicedWindows;
pub use slices::Slices;
pub use spec::{SpecError, WindowKind, WindowSpec};
pub use trigger::{Trigger, TriggerContext, TriggerSpec};
pub use view::OpenWindow;
pub(crate) use view::Wanted;
