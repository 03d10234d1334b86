//! What a `read_committed` consumer sees in the end, against what had to come.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    broker::{Broker, Topic},
    counting::Output,
    input::{Expected, Windows},
};

/// What a `read_committed` consumer of the topics sees.
pub fn check(broker: &mut Broker, expected: &Expected) -> Result<(), String> {
    judge(outputs(broker).into_iter(), expected)
}

/// Nothing is lost, nothing is there twice, and revisions count without gaps.
pub fn judge(outputs: impl Iterator<Item = Output>, expected: &Expected) -> Result<(), String> {
    let mut windows = Windows::new();
    let mut revisions: BTreeMap<(i64, u32), u32> = BTreeMap::new();
    let mut runs = BTreeMap::new();
    let mut late = BTreeSet::new();
    for output in outputs {
        match output {
            Output::Window { end_ms, key, revision, count, sum } => {
                let next = revisions.entry((end_ms, key)).or_default();
                if revision != *next {
                    return Err(format!(
                        "window {end_ms} key {key}: revision {revision} after {next} others"
                    ));
                }
                *next += 1;
                windows.insert((end_ms, key), (count, sum));
            }
            Output::Run { partition, offset, length } => {
                if runs.insert((partition, offset), length).is_some() {
                    return Err(format!(
                        "the run that ends at {partition}:{offset} is there twice"
                    ));
                }
            }
            Output::Late { partition, offset } => {
                if !late.insert((partition, offset)) {
                    return Err(format!("late event {partition}:{offset} is there twice"));
                }
            }
        }
    }
    differs("window", &expected.windows, &windows)?;
    differs("run", &expected.runs, &runs)?;
    if expected.late != late {
        return Err(format!("late events: {:?}", expected.late.symmetric_difference(&late)));
    }
    Ok(())
}

fn outputs(broker: &mut Broker) -> Vec<Output> {
    let mut outputs = Vec::new();
    for topic in [Topic::Results, Topic::Late] {
        let records = broker.log(topic, 0).committed(0);
        outputs.extend(records.map(|(_, record)| Output::decode(record.value.as_deref().unwrap())));
    }
    outputs
}

fn differs<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    name: &str,
    expected: &BTreeMap<K, V>,
    found: &BTreeMap<K, V>,
) -> Result<(), String> {
    let keys: BTreeSet<&K> = expected.keys().chain(found.keys()).collect();
    match keys.into_iter().find(|key| expected.get(key) != found.get(key)) {
        None => Ok(()),
        Some(key) => Err(format!(
            "{name} {key:?}: expected {:?}, found {:?}",
            expected.get(key),
            found.get(key)
        )),
    }
}
