//! What is wrong about bytes that were stored.

/// Why stored bytes are not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// It ends before its parts do.
    #[error("it is cut off")]
    TooShort,
    /// Written by a release that this one does not know, or damaged.
    #[error("format version {found}, this release reads {known}")]
    Version {
        /// The version found.
        found: u8,
        /// The newest one that can be read.
        known: u8,
    },
    /// The checksum does not fit.
    #[error("checksum mismatch: expected {expected:016x}, found {found:016x}")]
    Checksum {
        /// As stored.
        expected: u64,
        /// Of the bytes that are there.
        found: u64,
    },
    /// The checksum fits, but the content does not.
    #[error("its content cannot be decoded")]
    Undecodable,
}

/// A key for people: printable ASCII as it is, at most 96 bytes of it.
pub(crate) fn readable(key: &[u8]) -> String {
    const MOST: usize = 96;
    match key.get(..MOST) {
        Some(begin) => format!("{}…", begin.escape_ascii()),
        None => key.escape_ascii().to_string(),
    }
}
