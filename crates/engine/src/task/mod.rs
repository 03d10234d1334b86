//! One pipeline's engine: batches and ticks in, firings and decisions on events out.

mod key_texts;
mod plan;
mod state;
mod view;
mod window_task;
mod windows;

pub use plan::{TaskLimits, TaskPlan};
pub use window_task::{LateEvent, TaskOutput, WindowTask};
