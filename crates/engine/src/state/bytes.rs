//! Numbers and texts as bytes, and back.

use super::{FORMAT, key::KeyBuffer};

/// What is wrong with bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They are of another version.
    Version(u8),
    /// They cannot be right.
    Wrong(String),
}

impl From<&str> for Fault {
    fn from(reason: &str) -> Self {
        Self::Wrong(reason.to_owned())
    }
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::Wrong(reason)
    }
}

/// Writes a value.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Begins a new value.
    pub(crate) fn begin(&mut self) -> &mut Self {
        self.bytes.clear();
        self.bytes.push(FORMAT);
        self
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// A whole number, seven bits to a byte, the lowest first.
    pub(crate) fn count(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.bytes.push(number.to_le_bytes()[0]);
    }

    pub(crate) fn instant(&mut self, instant: i64) {
        self.bytes.extend_from_slice(&instant.to_le_bytes());
    }

    pub(crate) fn number(&mut self, number: f64) {
        self.bytes.extend_from_slice(&number.to_bits().to_le_bytes());
    }

    pub(crate) fn numbers(&mut self, numbers: &[f64]) {
        for number in numbers {
            self.number(*number);
        }
    }

    /// Bytes up to the end of the value.
    pub(crate) fn rest(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

/// What rows are written with, reused for all of them.
#[derive(Debug, Default)]
pub(crate) struct Scribe {
    /// The key of the row.
    pub(crate) key: KeyBuffer,
    /// Its value in column 0.
    pub(crate) value: Writer,
    /// The value of one of its other columns.
    pub(crate) part: Writer,
}

/// Reads a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Of a value of the version that is known.
    pub(crate) fn new(value: &'a [u8]) -> Result<Self, Fault> {
        match value.split_first() {
            Some((&FORMAT, bytes)) => Ok(Self { bytes }),
            Some((version, _)) => Err(Fault::Version(*version)),
            None => Err("it is empty".into()),
        }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Fault> {
        let (byte, rest) = self.bytes.split_first().ok_or("it is cut short")?;
        self.bytes = rest;
        Ok(*byte)
    }

    pub(crate) fn count(&mut self) -> Result<u64, Fault> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a count is beyond 64 bits".into())
    }

    /// A count that is at most `most`.
    pub(crate) fn count_to(&mut self, most: usize) -> Result<usize, Fault> {
        let count = self.count()?;
        let small = usize::try_from(count).ok().filter(|count| *count <= most);
        small.ok_or_else(|| format!("there cannot be {count} of at most {most}").into())
    }

    /// A number of firings, which one more can follow.
    pub(crate) fn revision(&mut self) -> Result<u32, Fault> {
        let revision = u32::try_from(self.count()?).ok().filter(|revision| *revision < u32::MAX);
        revision.ok_or_else(|| "a revision is beyond 32 bits".into())
    }

    pub(crate) fn instant(&mut self) -> Result<i64, Fault> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(crate) fn number(&mut self) -> Result<f64, Fault> {
        Ok(f64::from_bits(u64::from_le_bytes(self.array()?)))
    }

    /// A number that is neither infinite nor none.
    pub(crate) fn finite(&mut self) -> Result<f64, Fault> {
        let number = self.number()?;
        if number.is_finite() { Ok(number) } else { Err(format!("{number} is no value").into()) }
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// There is nothing left.
    pub(crate) fn end(self) -> Result<(), Fault> {
        if self.bytes.is_empty() { Ok(()) } else { Err("it goes on behind its end".into()) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (array, rest) = self.bytes.split_first_chunk().ok_or("it is cut short")?;
        self.bytes = rest;
        Ok(*array)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(counts in proptest::collection::vec(any::<u64>(), 0..5), at: i64) {
            let mut writer = Writer::default();
            writer.begin().instant(at);
            for count in &counts {
                writer.count(*count);
            }
            let mut reader = Reader::new(writer.as_bytes()).unwrap();
            prop_assert_eq!(reader.instant(), Ok(at));
            for count in counts {
                prop_assert_eq!(reader.count(), Ok(count));
            }
            prop_assert_eq!(reader.end(), Ok(()));
        }
    }

    #[test]
    fn a_count_never_exceeds_64_bits() {
        let mut value = vec![FORMAT];
        value.extend([0xff; 9]);
        value.push(2);
        assert!(Reader::new(&value).unwrap().count().is_err());
        *value.last_mut().unwrap() = 1;
        assert_eq!(Reader::new(&value).unwrap().count(), Ok(u64::MAX));
    }
}
