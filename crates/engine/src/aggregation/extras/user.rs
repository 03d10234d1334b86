//! A function of the user's for one key and pane: what fails or panics marks it there.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{
    super::function::{Accumulate, AggregateFunction},
    spec::{Named, Outcome},
};

/// How stored state begins that is a function's own.
const LIVE: u8 = 0;

/// How stored state begins that is why the function failed.
const FAILED: u8 = 1;

/// State of one function.
#[derive(Debug, Default)]
pub(in super::super) enum UserCell {
    /// No event yet.
    #[default]
    Empty,
    Live(Box<dyn Accumulate>),
    /// Why it has no value in this window.
    Failed(Box<str>),
}

impl UserCell {
    /// Adds a value; `key` is the encoded key, for the first one.
    pub(super) fn add(&mut self, function: &dyn AggregateFunction, key: &str, value: f64) {
        let added = match self {
            Self::Failed(_) => return,
            Self::Live(state) => guarded(|| state.add(value)),
            Self::Empty => guarded(|| {
                let mut state = function.create(key);
                let added = state.add(value);
                *self = Self::Live(state);
                added
            }),
        };
        if let Err(reason) = added {
            self.fail(&reason);
        }
    }

    /// Adds everything in `other`, a cell of the same function and key.
    pub(super) fn merge(&mut self, other: &Self) {
        let merged = match (&mut *self, other) {
            (_, Self::Empty) | (Self::Failed(_), Self::Live(_)) => return,
            (_, Self::Failed(reason)) => Err(reason.to_string()),
            (Self::Empty, Self::Live(theirs)) => guarded(|| {
                *self = Self::Live(theirs.boxed_clone());
                Ok(())
            }),
            (Self::Live(state), Self::Live(theirs)) => guarded(|| state.merge(theirs.as_ref())),
        };
        if let Err(reason) = merged {
            self.fail(&reason);
        }
    }

    /// Adds its results to `results`; changes nothing.
    pub(super) fn evaluate(&self, function: &dyn AggregateFunction, results: &mut Vec<Named>) {
        let evaluated = match self {
            Self::Empty => return,
            Self::Live(state) => guarded(|| state.evaluate()),
            Self::Failed(reason) => Err(reason.to_string()),
        };
        let named = |name: &str, outcome| Named { name: name.into(), outcome, quality: None };
        match evaluated {
            Ok(found) => {
                let found = found.into_iter();
                results.extend(found.map(|(name, value)| named(&name, Outcome::Json(value))));
            }
            Err(reason) => results.push(named(function.name(), Outcome::Failed(reason))),
        }
    }

    /// Its state behind one byte, or why it failed behind another; empty without events.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let lost = || "its state could not be stored".to_owned();
        let (kind, mut bytes) = match self {
            Self::Empty => return Vec::new(),
            Self::Live(state) => match guarded(|| state.save().ok_or_else(lost)) {
                Ok(bytes) => (LIVE, bytes),
                Err(reason) => (FAILED, reason.into_bytes()),
            },
            Self::Failed(reason) => (FAILED, reason.as_bytes().to_vec()),
        };
        bytes.insert(0, kind);
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) gave for a cell of this function and key.
    pub(super) fn from_bytes(
        function: &dyn AggregateFunction,
        key: &str,
        bytes: &[u8],
    ) -> Result<Self, String> {
        match bytes.split_first() {
            None => Ok(Self::Empty),
            Some((&FAILED, reason)) => Ok(Self::Failed(String::from_utf8_lossy(reason).into())),
            Some((&LIVE, state)) => guarded(|| function.load(key, state))
                .map(Self::Live)
                .map_err(|reason| format!("state of function {}: {reason}", function.name())),
            Some((kind, _)) => Err(format!("state {kind} of function {}", function.name())),
        }
    }

    /// Memory held on the heap, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Live(state) => guarded(|| Ok(state.size_bytes())).unwrap_or(0),
            Self::Failed(reason) => reason.len(),
        }
    }

    /// Of several reasons the first in the order of text stays, whatever order they came in.
    fn fail(&mut self, reason: &str) {
        match self {
            Self::Failed(earlier) if &**earlier <= reason => {}
            _ => *self = Self::Failed(reason.into()),
        }
    }
}

impl Clone for UserCell {
    fn clone(&self) -> Self {
        let mut copy = Self::Empty;
        copy.merge(self);
        copy
    }
}

/// The call's result; a panic is an error with its message.
fn guarded<T>(call: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(message(panic.as_ref())))
}

/// Why state of `function` cannot be stored, if so: what an empty accumulator gives is read back.
pub(in super::super) fn unkeepable(function: &dyn AggregateFunction) -> Option<String> {
    let kept = guarded(|| {
        let saved = function.create("").save();
        let saved = saved.ok_or("its accumulators have no `save`, or cannot be saved")?;
        function.load("", &saved)
    });
    let name = function.name();
    kept.err().map(|reason| format!("state of function {name} cannot be stored: {reason}"))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a message"))
}
