//! Numbers and texts taken from the front of the input; nothing is left of an input that ended.

/// The input that is not taken yet.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Bytes<'_> {
    pub(super) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number of any size: few bytes give small ones, so that both are tried.
    pub(super) fn number(&mut self) -> i64 {
        let length = self.byte() % 9;
        let number = (0..length).fold(0, |n: i64, _| (n << 8) | i64::from(self.byte()));
        if self.byte().is_multiple_of(2) { number } else { number.wrapping_neg() }
    }

    /// A number in `least..=most`.
    pub(super) fn within(&mut self, least: i64, most: i64) -> i64 {
        let span = i128::from(most) - i128::from(least) + 1;
        let at = i128::from(least) + i128::from(self.number()).rem_euclid(span);
        i64::try_from(at).expect("it lies between two numbers of this type")
    }

    /// Text of at most 15 bytes, whatever the bytes are.
    pub(super) fn text(&mut self) -> String {
        let length = usize::from(self.byte() % 16).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
