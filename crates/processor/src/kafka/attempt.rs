//! How far the commit on its way is: whether it was sent, and whether that failed.

/// Attempts of one commit; each failure and each repetition is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Attempt {
    /// It was not sent.
    #[default]
    None,
    /// It was sent.
    Sent,
    /// It was sent, and that failed or may have failed.
    Failed,
}

impl Attempt {
    /// The commit is sent; true if that was tried before and failed.
    pub(super) fn send(&mut self) -> bool {
        std::mem::replace(self, Self::Sent) == Self::Failed
    }

    /// Its transaction is given up; true if an attempt has failed by that, of which nothing was told yet.
    pub(super) fn fail(&mut self) -> bool {
        if *self == Self::Sent {
            *self = Self::Failed;
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_and_every_repetition_is_told_once() {
        let mut attempt = Attempt::default();
        assert!(!attempt.fail(), "nothing was sent");
        assert!(!attempt.send(), "the first time is no repetition");
        assert!(attempt.fail());
        assert!(!attempt.fail(), "the producer is destroyed after the abort: the same failure");
        assert!(attempt.send());
        assert!(attempt.fail());
        assert!(attempt.send());
    }
}
