//! What further statistics need of a record: conditions, optional numbers, items.
//!
//! Nothing here refuses a record. A field that is absent, null or of another kind meets no condition
//! (but `exists: false`), is no number and no item; the event is then not counted in the statistic.

use llm_optimizer_config::{
    FieldCondition, FieldTest,
    settings::{EventProfile, ScalarValue},
};
use llm_optimizer_engine::core::{EventBatch, FeatureShape, Item};
use smallvec::SmallVec;

use super::{field::cell_number, found::Found, path::PathTrie};

/// What further statistics need of records, as validated values.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FeatureSettings {
    /// Each is met if all its tests are.
    pub conditions: Vec<Vec<FieldCondition>>,
    /// Dotted paths of optional numbers.
    pub numbers: Vec<String>,
    /// Dotted paths of items.
    pub items: Vec<String>,
}

impl FeatureSettings {
    /// The columns that batches need.
    #[must_use]
    pub fn shape(&self) -> FeatureShape {
        FeatureShape {
            conditions: self.conditions.len(),
            numbers: self.numbers.len(),
            items: self.items.len(),
        }
    }
}

/// Where features are found.
#[derive(Debug)]
pub(super) struct Features {
    conditions: Vec<Vec<(usize, FieldTest)>>,
    numbers: Vec<usize>,
    items: Vec<usize>,
    booleans_count: bool,
}

impl Features {
    pub(super) fn new(
        settings: &FeatureSettings,
        profile: EventProfile,
        trie: &mut PathTrie,
    ) -> Self {
        let mut want = |path: &String| trie.want(path);
        let tests = |all: &Vec<FieldCondition>, want: &mut dyn FnMut(&String) -> usize| {
            all.iter().map(|one| (want(&one.field), one.test.clone())).collect()
        };
        Self {
            conditions: settings.conditions.iter().map(|all| tests(all, &mut want)).collect(),
            numbers: settings.numbers.iter().map(&mut want).collect(),
            items: settings.items.iter().map(&mut want).collect(),
            booleans_count: matches!(profile, EventProfile::FeedbackEvent | EventProfile::GenAi),
        }
    }

    /// Describes the event that was added to `events` last.
    pub(super) fn describe(&self, found: &[Found<'_>], is_csv: bool, events: &mut EventBatch) {
        if self.conditions.is_empty() && self.numbers.is_empty() && self.items.is_empty() {
            return;
        }
        let at = |slot: &usize| found.get(*slot).unwrap_or(&Found::Absent);
        let mut conditions = 0_u64;
        for (number, tests) in self.conditions.iter().enumerate() {
            let met = tests.iter().all(|(slot, test)| meets(at(slot), test, is_csv));
            conditions |= u64::from(met) << number;
        }
        let number = |slot| number_of(at(slot), is_csv, self.booleans_count).unwrap_or(f64::NAN);
        let numbers: SmallVec<[f64; 8]> = self.numbers.iter().map(number).collect();
        let items: SmallVec<[Option<Item<'_>>; 8]> =
            self.items.iter().map(|slot| item_of(at(slot))).collect();
        events.describe(conditions, &numbers, &items);
    }
}

fn meets(found: &Found<'_>, test: &FieldTest, is_csv: bool) -> bool {
    let number = || number_of(found, is_csv, false);
    match test {
        FieldTest::Exists(exists) => *exists != found.is_missing(),
        FieldTest::Equals(value) => is(found, value, is_csv),
        FieldTest::NotEquals(value) => !found.is_missing() && !is(found, value, is_csv),
        FieldTest::Above(bound) => number().is_some_and(|number| number > *bound),
        FieldTest::Below(bound) => number().is_some_and(|number| number < *bound),
        FieldTest::AtLeast(bound) => number().is_some_and(|number| number >= *bound),
        FieldTest::AtMost(bound) => number().is_some_and(|number| number <= *bound),
    }
}

/// Whether the field is this value, of this type; a CSV cell may say a number or a boolean.
fn is(found: &Found<'_>, value: &ScalarValue, is_csv: bool) -> bool {
    match (value, found) {
        (ScalarValue::Text(text), Found::Text(found)) => found == text,
        (ScalarValue::Bool(word), Found::Bool(found)) => found == word,
        (ScalarValue::Bool(word), Found::Text(cell)) if is_csv => {
            cell.trim_ascii() == if *word { "true" } else { "false" }
        }
        (ScalarValue::Number(number), found) => number_of(found, is_csv, false) == Some(*number),
        _ => false,
    }
}

/// The finite number in a field.
fn number_of(found: &Found<'_>, is_csv: bool, booleans_count: bool) -> Option<f64> {
    let number = match found {
        Found::Integer(number) => Some(*number as f64),
        Found::Unsigned(number) => Some(*number as f64),
        Found::Float(number) => Some(*number),
        Found::Bool(word) if booleans_count => Some(f64::from(*word)),
        Found::Text(cell) if is_csv => cell_number(cell.trim_ascii(), booleans_count),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// The scalar in a field; a CSV cell is a text.
fn item_of<'f>(found: &'f Found<'_>) -> Option<Item<'f>> {
    match found {
        Found::Text(text) => Some(Item::Text(text)),
        Found::Integer(number) => Some(Item::Integer(*number)),
        Found::Unsigned(number) => Some(Item::Unsigned(*number)),
        Found::Float(number) => Some(Item::Float(*number)),
        Found::Bool(word) => Some(Item::Bool(*word)),
        Found::Absent | Found::Null | Found::Oversized | Found::Object | Found::Array => None,
    }
}
