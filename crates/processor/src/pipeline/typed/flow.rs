//! The types on the way, from the one records become to the one that is aggregated.

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    extract::{Closure, Given, given_key, given_time, given_value},
    own::{self, DEFAULT_VALUE, Own},
    stage::{Arrival, Condition, Extracting, Flattening, Mapping, Stage},
};
use crate::{core::GroupingKey, decode::Fault};

/// Turns a stage of `T` into one of `In`, with all the stages between.
type Before<In, T> = Box<dyn FnOnce(Box<dyn Stage<T>>, &mut Wanted) -> Box<dyn Stage<In>> + Send>;

/// What was said about the types from `In` to `T`.
///
/// Nothing is decided before the end: an extractor may be given for any of the types, and of two the
/// later one counts. So a flow is finished from its last type to its first.
pub(in crate::pipeline) struct Flow<In, T> {
    before: Before<In, T>,
    here: Given<T>,
    said: Said,
}

/// What was said about any type.
#[derive(Default)]
struct Said {
    time: bool,
    key: bool,
    operator: bool,
    value_names: Vec<String>,
}

/// A finished flow.
pub(in crate::pipeline) struct Whole<In> {
    pub(super) stage: Box<dyn Stage<In>>,
    /// Names of the values of an event, in order.
    pub(in crate::pipeline) value_names: Vec<String>,
}

impl<Event: 'static> Flow<Event, Event> {
    /// Events are what records become.
    pub(in crate::pipeline) fn new() -> Self {
        let before = Box::new(|stage: Box<dyn Stage<Event>>, _: &mut Wanted| stage);
        Self { before, here: Given::default(), said: Said::default() }
    }
}

impl<In, T> Flow<In, T>
where
    In: 'static,
    T: Serialize + DeserializeOwned + 'static,
{
    pub(in crate::pipeline) fn say_time(&mut self, time: Closure<T, DateTime<Utc>>) {
        self.here.time = Some(time);
        self.said.time = true;
    }

    pub(in crate::pipeline) fn say_key(&mut self, key: Closure<T, GroupingKey>) {
        self.here.key = Some(key);
        self.said.key = true;
    }

    pub(in crate::pipeline) fn say_value(&mut self, name: String, value: Closure<T, f64>) {
        self.here.values.push((self.said.value_names.len(), name.clone(), value));
        self.said.value_names.push(name);
    }

    pub(in crate::pipeline) fn filter(&mut self, keeps: Condition<T>) {
        self.here.filters.push(keeps);
        self.said.operator = true;
    }

    pub(in crate::pipeline) fn map<U: 'static>(
        self,
        map: Box<dyn Fn(T) -> Result<U, Fault> + Send + Sync>,
    ) -> Flow<In, U> {
        self.then(move |next| Mapping { map, next })
    }

    pub(in crate::pipeline) fn flat_map<U, I, F>(self, map: F) -> Flow<In, U>
    where
        U: 'static,
        I: IntoIterator<Item = U> + 'static,
        F: Fn(T) -> I + Send + Sync + 'static,
    {
        self.then(move |next| Flattening { map, next })
    }

    /// Goes on with another type, by way of an operator.
    fn then<U, N>(
        self,
        operator: impl FnOnce(Box<dyn Stage<U>>) -> N + Send + 'static,
    ) -> Flow<In, U>
    where
        U: 'static,
        N: Stage<T> + 'static,
    {
        let Self { before, here, mut said } = self;
        said.operator = true;
        let before: Before<In, U> = Box::new(move |next, wanted| {
            let stage = wanted.of(here, operator(next));
            before(Box::new(stage), wanted)
        });
        Flow { before, here: Given::default(), said }
    }

    /// Whether nothing was said, so that `T` is `In` and speaks for itself.
    pub(in crate::pipeline) fn is_plain(&self) -> bool {
        let Said { time, key, operator, value_names } = &self.said;
        !time && !key && !operator && value_names.is_empty()
    }

    /// The stages in order; without `needs_value` no value is looked for where none is given.
    /// `faults` says which extractors have to be given.
    pub(in crate::pipeline) fn finish(
        self,
        needs_value: bool,
        faults: &mut Vec<String>,
    ) -> Whole<In> {
        let Self { before, here, said } = self;
        let mut value_names = said.value_names;
        let needs_own_value = value_names.is_empty() && needs_value;
        if needs_own_value {
            value_names.push(DEFAULT_VALUE.to_owned());
        }
        let mut wanted = Wanted {
            time: if said.time { Want::Given } else { Want::Own },
            key: if said.key { Want::Given } else { Want::Own },
            value: if needs_own_value { Want::Own } else { Want::Nothing },
            faults: [None, None],
        };
        let last = wanted.of(here, Arrival);
        let stage = before(Box::new(last), &mut wanted);
        let [time, value] = wanted.faults;
        faults.extend(time.filter(|_| wanted.time != Want::Nothing));
        faults.extend(value.filter(|_| wanted.value != Want::Nothing));
        Whole { stage, value_names }
    }
}

/// Where an extractor is to be found.
#[derive(Clone, Copy, PartialEq)]
enum Want {
    /// The last that was given.
    Given,
    /// That of the last type that has one by itself.
    Own,
    /// Nowhere: it was found, or is not needed.
    Nothing,
}

/// What no later type has.
struct Wanted {
    time: Want,
    key: Want,
    value: Want,
    /// Why the last type has no time, and no value, of its own.
    faults: [Option<String>; 2],
}

impl Wanted {
    /// The stage of a type: draws what is wanted of what the type has.
    fn of<T, N>(&mut self, given: Given<T>, next: N) -> Extracting<T, N>
    where
        T: DeserializeOwned + 'static,
    {
        let Given { time, key, values, filters } = given;
        let Self { faults: [time_fault, value_fault], .. } = self;
        let time = match self.time {
            Want::Given => time.map(|closure| Own::of_event(given_time(closure))),
            Want::Own => own::time().map_err(|fault| time_fault.get_or_insert(fault)).ok(),
            Want::Nothing => None,
        };
        let key = match self.key {
            Want::Given => key.map(given_key),
            Want::Own => own::key(),
            Want::Nothing => None,
        };
        let value = match self.value {
            Want::Own => own::value().map_err(|fault| value_fault.get_or_insert(fault)).ok(),
            Want::Given | Want::Nothing => None,
        };
        let is_found =
            |found: bool, want: &mut Want| *want = if found { Want::Nothing } else { *want };
        is_found(time.is_some(), &mut self.time);
        is_found(key.is_some(), &mut self.key);
        is_found(value.is_some(), &mut self.value);
        let reads_fields = time.as_ref().is_some_and(|own| own.reads_fields)
            || value.as_ref().is_some_and(|own| own.reads_fields);
        let given = values.into_iter().map(|(slot, name, value)| (slot, given_value(name, value)));
        Extracting {
            time: time.map(|own| own.draw),
            filters,
            key,
            values: given.chain(value.map(|own| (0, own.draw))).collect(),
            reads_fields,
            next,
        }
    }
}
