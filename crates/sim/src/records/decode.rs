//! One record: time, key and values, or all that is wrong with it.

use llm_optimizer_types::SideReason;
use serde_json::{Map, Value};

use super::{RecordsConfig, TimeFault, json, key, parse_time};

pub(super) struct Decoded {
    pub(super) at_ms: i64,
    pub(super) key: String,
    pub(super) key_fields: Map<String, Value>,
    pub(super) values: Vec<f64>,
}

pub(super) fn decode(config: &RecordsConfig, bytes: &[u8]) -> Result<Decoded, Vec<SideReason>> {
    if bytes.len() > config.max_record_bytes {
        return Err(vec![SideReason::RecordTooLarge]);
    }
    let object = json::parse_object(bytes).ok_or_else(|| vec![SideReason::InvalidJson])?;
    let mut reasons = Vec::new();
    let at_ms = read_time(config, &object).map_err(|reason| reasons.push(reason));
    let named = read_key(config, &object).map_err(|faults| reasons.extend(faults));
    let values = read_values(config, &object).map_err(|faults| reasons.extend(faults));
    if let (Ok(at_ms), Ok(named), Ok(values)) = (at_ms, named, values) {
        let key = key::encode(&named).filter(|key| key.len() <= 65_536);
        let key = key.ok_or_else(|| vec![SideReason::InvalidKey])?;
        return Ok(Decoded { at_ms, key, key_fields: key::fields(&named), values });
    }
    reasons.dedup();
    Err(reasons)
}

fn read_time(config: &RecordsConfig, object: &Map<String, Value>) -> Result<i64, SideReason> {
    let value = json::at(object, &config.timestamp).ok_or(SideReason::MissingField)?;
    parse_time(value, config.timestamp_unit).map_err(|fault| match fault {
        TimeFault::Invalid => SideReason::InvalidTimestamp,
        TimeFault::OutOfRange => SideReason::TimestampOutOfRange,
    })
}

/// Names and values of the key fields. A field that is `null` is an invalid key, not a missing one.
fn read_key(
    config: &RecordsConfig,
    object: &Map<String, Value>,
) -> Result<Vec<(String, Value)>, Vec<SideReason>> {
    let field = |(path, name): (&String, String)| match json::at_or_null(object, path) {
        None => Err(SideReason::MissingField),
        Some(value) => {
            let field = [(name, value.clone())];
            let valid = key::encode(&field).is_some();
            let [field] = field;
            if valid { Ok(field) } else { Err(SideReason::InvalidKey) }
        }
    };
    all_or_faults(config.key.iter().zip(key::names(&config.key)).map(field))
}

fn read_values(
    config: &RecordsConfig,
    object: &Map<String, Value>,
) -> Result<Vec<f64>, Vec<SideReason>> {
    let value = |path: &String| match json::at(object, path) {
        None => Err(SideReason::MissingField),
        Some(value) => value.as_f64().filter(|v| v.is_finite()).ok_or(SideReason::InvalidValue),
    };
    all_or_faults(config.values.iter().map(|(_, path)| value(path)))
}

fn all_or_faults<T>(
    results: impl Iterator<Item = Result<T, SideReason>>,
) -> Result<Vec<T>, Vec<SideReason>> {
    let (mut all, mut faults) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(one) => all.push(one),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(all) } else { Err(faults) }
}
