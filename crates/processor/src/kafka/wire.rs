//! Numbers and texts of the durable formats of this folder, as bytes.
//!
//! Numbers are varints of seven bits, least first; signed ones are folded (0, -1, 1, -2 …) before that. A format that is
//! written here begins with a version and ends with a checksum; both are its own business.

/// The bytes ended early, or are not what is written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Appends a number.
pub(super) fn put_u64(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// Appends a signed number.
pub(super) fn put_i64(bytes: &mut Vec<u8>, number: i64) {
    put_u64(bytes, (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned());
}

/// Appends bytes with their length before them.
pub(super) fn put_bytes(bytes: &mut Vec<u8>, text: &[u8]) {
    put_u64(bytes, text.len() as u64);
    bytes.extend_from_slice(text);
}

/// Reads from the front of bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire<'a> {
    rest: &'a [u8],
}

impl<'a> Wire<'a> {
    /// Reads `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// One byte.
    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*first)
    }

    /// As many bytes as `N`.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*first)
    }

    /// A number.
    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for place in 0..10_u32 {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte holds one bit.
            if place == 9 && bits > 1 {
                return Err(Malformed);
            }
            number |= bits << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    /// A signed number.
    pub(super) fn i64(&mut self) -> Result<i64, Malformed> {
        let folded = self.u64()?;
        Ok((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
    }

    /// Bytes with their length before them.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let count = usize::try_from(self.u64()?).map_err(|_| Malformed)?;
        let (first, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(first)
    }

    /// Text with its length before it.
    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// What is not read yet.
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_put_is_read(signed: i64, number: u64, text in ".*") {
            let mut bytes = Vec::new();
            put_i64(&mut bytes, signed);
            put_u64(&mut bytes, number);
            put_bytes(&mut bytes, text.as_bytes());
            let mut wire = Wire::new(&bytes);
            prop_assert_eq!(wire.i64(), Ok(signed));
            prop_assert_eq!(wire.u64(), Ok(number));
            prop_assert_eq!(wire.text(), Ok(text.as_str()));
            prop_assert_eq!(wire.end(), Ok(()));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut wire = Wire::new(&bytes);
            while wire.i64().is_ok() {}
            let _ = Wire::new(&bytes).text();
        }
    }

    #[test]
    fn small_numbers_take_one_byte() {
        for number in [0, -1, 63, -64] {
            let mut bytes = Vec::new();
            put_i64(&mut bytes, number);
            assert_eq!(bytes.len(), 1, "{number}");
        }
    }

    #[test]
    fn a_number_beyond_64_bits_is_malformed() {
        assert_eq!(Wire::new(&[0xff; 10]).u64(), Err(Malformed));
        assert_eq!(Wire::new(&[0x80]).u64(), Err(Malformed));
    }
}
