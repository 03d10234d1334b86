//! How a sketch is written down: its buckets that hold something.

use serde::{Deserialize, Serialize};

use super::{DdSketch, MAX_BUCKETS, Store};
use crate::state::{Fault, Reader, Writer};

/// Greatest index a finite number can have, either way.
const MAX_INDEX: i32 = 37_300;

/// A sketch as numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::aggregation) struct SketchForm {
    min: f64,
    max: f64,
    zeros: u64,
    positive: StoreForm,
    negative: StoreForm,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoreForm {
    collapsed: bool,
    buckets: Vec<(i32, u64)>,
}

impl From<DdSketch> for SketchForm {
    fn from(sketch: DdSketch) -> Self {
        let form = |store: &Store| StoreForm {
            collapsed: store.collapsed,
            buckets: store.buckets().collect(),
        };
        Self {
            min: sketch.min,
            max: sketch.max,
            zeros: sketch.zeros,
            positive: form(&sketch.positive),
            negative: form(&sketch.negative),
        }
    }
}

impl TryFrom<SketchForm> for DdSketch {
    type Error = String;

    fn try_from(form: SketchForm) -> Result<Self, String> {
        if !(form.min.is_finite() && form.max.is_finite() && form.min <= form.max) {
            return Err(format!("{}..{} is no range of a sketch", form.min, form.max));
        }
        Ok(Self {
            positive: form.positive.try_into()?,
            negative: form.negative.try_into()?,
            zeros: form.zeros,
            min: form.min,
            max: form.max,
        })
    }
}

impl TryFrom<StoreForm> for Store {
    type Error = String;

    fn try_from(form: StoreForm) -> Result<Self, String> {
        let mut store = Self::default();
        let indices = || form.buckets.iter().map(|(index, _)| *index);
        let (least, greatest) = (indices().min().unwrap_or(0), indices().max().unwrap_or(0));
        if least < -MAX_INDEX || greatest > MAX_INDEX || greatest - least >= MAX_BUCKETS {
            return Err(format!("buckets {least}..={greatest} are none of a sketch"));
        }
        for (index, count) in form.buckets {
            store.add(index, count);
        }
        store.collapsed = form.collapsed;
        Ok(store)
    }
}

/// Greatest number of values of a sketch that was stored.
const MOST: u64 = 1 << 53;

impl DdSketch {
    /// Writes it down as state.
    pub(in crate::aggregation) fn write(&self, value: &mut Writer) {
        value.number(self.min);
        value.number(self.max);
        value.count(self.zeros);
        for store in [&self.positive, &self.negative] {
            value.byte(store.collapsed.into());
            value.count(store.buckets().count() as u64);
            let mut before = -MAX_INDEX;
            for (index, count) in store.buckets() {
                value.count((index - before).unsigned_abs().into());
                value.count(count);
                before = index;
            }
        }
    }

    /// Reads what [`write`](Self::write) wrote, up to the end.
    pub(in crate::aggregation) fn read(mut value: Reader<'_>) -> Result<Self, Fault> {
        let (min, max) = (value.finite()?, value.finite()?);
        let zeros = value.count()?;
        let mut total = zeros;
        let mut store = || -> Result<StoreForm, Fault> {
            let collapsed = value.byte()? != 0;
            let length = value.count_to(MAX_BUCKETS.unsigned_abs() as usize)?;
            let (mut index, mut buckets) = (-MAX_INDEX, Vec::with_capacity(length));
            for _ in 0..length {
                let step = value.count_to(2 * MAX_INDEX.unsigned_abs() as usize)?;
                index += i32::try_from(step).unwrap_or(0);
                let count = value.count()?;
                total = total.saturating_add(count);
                if count == 0 {
                    return Err("a bucket of a sketch is empty".into());
                }
                buckets.push((index.min(MAX_INDEX + 1), count));
            }
            Ok(StoreForm { collapsed, buckets })
        };
        let (positive, negative) = (store()?, store()?);
        value.end()?;
        if total > MOST {
            return Err(format!("a sketch of {total} values").into());
        }
        Ok(SketchForm { min, max, zeros, positive, negative }.try_into()?)
    }
}
