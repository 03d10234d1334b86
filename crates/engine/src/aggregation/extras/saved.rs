//! Further statistics as values of state, and back.

use super::{
    super::{
        function::AggregateFunction, moments::Moments, quantiles::Quantiles, sum::CompensatedSum,
    },
    cell::Cell,
    distinct::DistinctItems,
    spec::ExtraFunction,
    top_items::TopItems,
    user::UserCell,
};
use crate::state::{Fault, Reader, Writer};

/// One column of a row that may be large.
pub(in super::super) enum Large<'a> {
    Quantiles(&'a mut Quantiles),
    Distinct(&'a mut DistinctItems),
    /// And how many items are asked for.
    Top(&'a mut Option<Box<TopItems>>, u16),
    User(&'a mut UserCell, &'a dyn AggregateFunction),
}

impl Large<'_> {
    /// All of it; empty if nothing was added. Quantiles are written otherwise.
    pub(in super::super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Quantiles(_) => Vec::new(),
            Self::Distinct(items) => items.to_bytes(),
            Self::Top(items, _) => items.as_ref().map_or_else(Vec::new, |items| items.to_bytes()),
            Self::User(cell, _) => cell.to_bytes(),
        }
    }

    /// Takes what [`to_bytes`](Self::to_bytes) gave for a row of `key`.
    pub(in super::super) fn load(self, key: &str, bytes: &[u8]) -> Result<(), String> {
        match self {
            Self::Quantiles(_) => {}
            Self::Distinct(items) => *items = DistinctItems::from_bytes(bytes)?,
            Self::Top(items, k) => *items = Some(Box::new(TopItems::from_bytes(k, bytes)?)),
            Self::User(cell, function) => *cell = UserCell::from_bytes(function, key, bytes)?,
        }
        Ok(())
    }
}

/// Whether the statistic has a column of its own, and whether that is of quantiles.
pub(super) fn is_large(function: &ExtraFunction) -> (bool, bool) {
    match function {
        ExtraFunction::Percentile(..) => (true, true),
        ExtraFunction::Distinct { .. } | ExtraFunction::TopItems { .. } => (true, false),
        _ => (false, false),
    }
}

impl Cell {
    /// Writes it, if it is a few numbers.
    pub(super) fn write(&self, value: &mut Writer) {
        match self {
            Self::Count(count) => value.count(*count),
            Self::Sum(sum) => value.numbers(&sum.to_cells()),
            Self::Average(sum, count) => {
                value.numbers(&sum.to_cells());
                value.count(*count);
            }
            Self::Weighted { sum, weights } => {
                value.numbers(&sum.to_cells());
                value.numbers(&weights.to_cells());
            }
            Self::Min(number) | Self::Max(number) => value.number(*number),
            Self::Stddev(moments, count) => {
                value.numbers(&moments.to_cells());
                value.count(*count);
            }
            Self::Percentile(_) | Self::Distinct(_) | Self::Top(_) => {}
        }
    }

    /// Reads what [`write`](Self::write) wrote of a cell of the same statistic.
    pub(super) fn read(&mut self, value: &mut Reader<'_>) -> Result<(), Fault> {
        let sum = |value: &mut Reader<'_>| -> Result<_, Fault> {
            Ok(CompensatedSum::from_cells([value.number()?, value.number()?]))
        };
        match self {
            Self::Count(count) => *count = few(value.count()?)?,
            Self::Sum(cell) => *cell = sum(value)?,
            Self::Average(cell, count) => (*cell, *count) = (sum(value)?, few(value.count()?)?),
            Self::Weighted { sum: cell, weights } => {
                (*cell, *weights) = (sum(value)?, sum(value)?);
            }
            Self::Min(number) | Self::Max(number) => *number = value.number()?,
            Self::Stddev(moments, count) => {
                *moments = Moments::from_cells([value.number()?, value.number()?]);
                *count = few(value.count()?)?;
            }
            Self::Percentile(_) | Self::Distinct(_) | Self::Top(_) => {}
        }
        Ok(())
    }
}

/// A number of events, so small that further ones can be counted.
fn few(count: u64) -> Result<u64, Fault> {
    if count <= 1 << 53 { Ok(count) } else { Err(format!("{count} events").into()) }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*, sample::Index};
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    fn distinct(items: u64) -> DistinctItems {
        let mut distinct = DistinctItems::default();
        (0..items).for_each(|item| distinct.add(xxh3_64(&item.to_le_bytes())));
        distinct
    }

    fn top(items: u64) -> TopItems {
        let mut top = TopItems::new(3);
        for item in 0..items {
            top.add(&format!("t{}", item % 1_000));
            top.add(&format!("i{}", item % 4));
        }
        top
    }

    #[test]
    fn sketches_come_back_as_they_were_in_every_form() {
        for items in [0, 1, 8, 9, 100, 300, 400, 5_000] {
            let (mut lives, mut other) = (distinct(items), distinct(50));
            let mut restored = DistinctItems::from_bytes(&lives.to_bytes()).unwrap();
            assert_eq!(restored.estimate(), lives.estimate(), "{items}");
            restored.merge(&distinct(6_000));
            lives.merge(&distinct(6_000));
            other.merge(&restored);
            assert_eq!(
                (restored.estimate(), other.estimate()),
                (lives.estimate(), lives.estimate())
            );
        }
        for items in [1, 100, 3_000] {
            let (mut lives, bytes) = (top(items), top(items).to_bytes());
            let mut restored = TopItems::from_bytes(3, &bytes).unwrap();
            assert_eq!((restored.top(3), restored.max_error()), (lives.top(3), lives.max_error()));
            restored.merge(&top(7));
            lives.merge(&top(7));
            assert_eq!(restored.top(3), lives.top(3));
            assert!(TopItems::from_bytes(100, &bytes).is_err(), "it is one of other slots");
        }
    }

    /// Uses what was read in every way.
    fn use_it(bytes: &[u8]) {
        if let Ok(mut items) = DistinctItems::from_bytes(bytes) {
            (0..500).for_each(|item: u64| items.add(xxh3_64(&item.to_le_bytes())));
            items.merge(&distinct(1_000));
            let mut other = distinct(20);
            other.merge(&items);
            let _ = (other.estimate(), items.to_bytes());
        }
        if let Ok(mut items) = TopItems::from_bytes(3, bytes) {
            (0..500).for_each(|item: u64| items.add(&format!("x{item}")));
            items.merge(&top(20));
            let mut other = top(400);
            other.merge(&items);
            let _ = (other.top(3), items.to_bytes());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn damaged_sketches_never_panic(
            items in prop_oneof![0_u64..12, 20_u64..300, 300_u64..900],
            flips in vec((any::<Index>(), 0..8), 1..4),
            length in option::of(any::<Index>()),
            junk in vec(any::<u8>(), 0..60),
        ) {
            use_it(&junk);
            for mut bytes in [distinct(items).to_bytes(), top(items).to_bytes()] {
                if !bytes.is_empty() {
                    for (at, bit) in &flips {
                        let at = at.index(bytes.len().min(48));
                        bytes[at] ^= 1_u8 << bit;
                    }
                    bytes.truncate(length.map_or(bytes.len(), |at| at.index(bytes.len())));
                }
                use_it(&bytes);
            }
        }
    }
}
