//! Numbers that may enter an aggregator.

/// The number, with −0.0 as 0.0, so that least, greatest and sum do not depend on the order of the two.
///
/// # Errors
/// If it is NaN or infinite.
#[inline]
pub(super) fn finite(value: f64) -> Result<f64, String> {
    if value.is_finite() { Ok(value + 0.0) } else { Err(format!("{value} is not a finite number")) }
}
