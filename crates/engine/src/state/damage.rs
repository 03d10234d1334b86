//! Rows that cannot be what the engine gave out.

/// A row that cannot be read back. Nothing is to be done with the task that met it but to drop it: state
/// is restored whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateDamage {
    /// The key is not one of a row.
    #[error("state row {key} is damaged: {reason}")]
    Key {
        /// The key, in hexadecimal digits.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The value is not one of this row.
    #[error("state row {row} is damaged: {reason}")]
    Value {
        /// Which row: what it is, of which key and time.
        row: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The value has a form that this release does not know.
    #[error("state row {row} has format version {found}, but this release reads version {known}")]
    Version {
        /// Which row.
        row: String,
        /// The version it has.
        found: u8,
        /// The version that can be read.
        known: u8,
    },
    /// The row belongs to windows or statistics that the pipeline does not have.
    #[error("state row {row} is of a kind that this pipeline does not have")]
    Foreign {
        /// Which row.
        row: String,
    },
}
