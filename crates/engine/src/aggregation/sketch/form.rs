//! How a sketch is written down: its buckets that hold something.

use serde::{Deserialize, Serialize};

use super::{DdSketch, MAX_BUCKETS, Store};

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
