//! Random cases and input files; everything follows from the seed.

mod events;
mod malformed;
mod random;
mod seeded;

pub use events::{EventLines, Traffic, write_events};
pub use malformed::{Malformed, malformed_records};
pub use random::{Case, random_case};
