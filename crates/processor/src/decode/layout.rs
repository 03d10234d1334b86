//! Everything a decoder works out once: wanted paths, and the plan for each shape of record.

use super::{
    features::Features, feedback::Feedback, field::Field, found::Found, outcome::Fault,
    path::PathTrie, plan::Plan,
};

/// Wanted paths and plans.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) trie: PathTrie,
    pub(super) value_names: Vec<String>,
    pub(super) shapes: Shapes,
    pub(super) features: Features,
}

/// Which shapes of records there are.
#[derive(Debug)]
pub(super) enum Shapes {
    /// All records are alike.
    Alike(Plan),
    /// All records are alike and have these texts.
    CloudEvents { attributes: Vec<Field>, plan: Plan },
    /// Each record says what it is.
    Feedback(Box<Feedback>),
}

impl Layout {
    /// How a record with these findings becomes an event.
    pub(super) fn plan(&self, found: &[Found<'_>]) -> Result<&Plan, Fault> {
        match &self.shapes {
            Shapes::Alike(plan) => Ok(plan),
            Shapes::CloudEvents { attributes, plan } => {
                for attribute in attributes {
                    attribute.text(found)?;
                }
                Ok(plan)
            }
            Shapes::Feedback(feedback) => feedback.plan(found),
        }
    }
}
