//! Bugs that are planted to see whether the world finds them.

/// A rule that the driver breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Offsets are committed at the cut, outside of the transaction.
    OffsetsEarly,
    /// Offsets are stored without W(p).
    WatermarkForgotten,
    /// A commit whose positions did not move sends no offsets.
    TickWithoutOffsets,
    /// H is the last stable offset.
    RestoreToLastStable,
    /// A commit uses the membership the consumer has by then.
    FreshMembership,
    /// A commit uses no membership: generation −1, no member, no instance.
    NoMembership,
    /// The end of bounded input is stored as +∞.
    InfinityStored,
    /// A producer that is fenced is initialized again, and the transaction sent again.
    ReinitAfterFenced,
    /// After an unknown outcome the transaction is sent again without asking.
    ResendBlindly,
    /// Partitions begin where the client found them to begin when they were granted.
    ClientPositions,
    /// The changelog's topic forgets tombstones at once, and that the log still holds the commit which the local copy reflects is
    /// not checked (which alone would find it: the commit goes before the tombstone).
    TombstonesEarly,
    /// Offsets are fetched without waiting for open transactions.
    UnstableFetch,
    /// The local store is written when records are produced, not when they are committed; and whether the log holds the commit
    /// is not checked (which alone would find it).
    LocalCopyEarly,
    /// The transaction is committed while records are in flight.
    CommitInFlight,
    /// Offsets that were fetched once are not fetched again.
    CachedOffsets,
    /// Meta records of the changelog are not looked at, and neither is H: an old copy is taken as it is.
    LocalCopyUnchecked,
    /// That the log holds the commit which the local copy reflects is not checked.
    LocalCopyForeign,
    /// A local copy that is ahead of the log is taken as it is.
    LocalCopyAhead,
}

impl Bug {
    pub const ALL: [Self; 18] = [
        Self::OffsetsEarly,
        Self::WatermarkForgotten,
        Self::TickWithoutOffsets,
        Self::RestoreToLastStable,
        Self::FreshMembership,
        Self::NoMembership,
        Self::InfinityStored,
        Self::ReinitAfterFenced,
        Self::ResendBlindly,
        Self::ClientPositions,
        Self::TombstonesEarly,
        Self::UnstableFetch,
        Self::LocalCopyEarly,
        Self::CommitInFlight,
        Self::CachedOffsets,
        Self::LocalCopyUnchecked,
        Self::LocalCopyForeign,
        Self::LocalCopyAhead,
    ];
}
