//! How a value lies in a store: with a version, compressed where that pays, and with a checksum.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | format version, 1 |
//! | 1 | flags: 1 = LZ4, 2 = expires |
//! | 8 | XXH3-64 of all that follows, seeded with the two bytes before and the key |
//! | 8, if it expires | epoch milliseconds, big-endian with the sign bit flipped |
//! | 4, if LZ4 | length of the value, little-endian |
//! | rest | the value or its LZ4 block |
//!
//! The key is in the checksum: a value that stands under another key is damaged too.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::damage::Damage;

/// Version of the format.
const VERSION: u8 = 1;
const LZ4: u8 = 1;
const EXPIRES: u8 = 2;
const HEAD: usize = 10;

/// Shorter values stay as they are: compressing costs more than it saves.
const LEAST_COMPRESSED: usize = 256;

/// A value as it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) value: Vec<u8>,
    /// Epoch milliseconds from which on the value counts as gone.
    pub(crate) expires_at_ms: Option<i64>,
}

/// Appends the frame of `value` under `key` to `frame`, which is emptied first.
pub(crate) fn encode_into(
    frame: &mut Vec<u8>,
    key: &[u8],
    value: &[u8],
    expires_at_ms: Option<i64>,
) {
    frame.clear();
    frame.extend_from_slice(&[0; HEAD]);
    let mut flags = 0;
    if let Some(at) = expires_at_ms {
        flags |= EXPIRES;
        frame.extend_from_slice(&ordered(at));
    }
    match compressed(value) {
        Some(block) => {
            flags |= LZ4;
            frame.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
            frame.extend_from_slice(&block);
        }
        None => frame.extend_from_slice(value),
    }
    let (head, body) = frame.split_at_mut(HEAD);
    let checksum = checksum(VERSION, flags, key, body).to_le_bytes();
    let bytes = [VERSION, flags].into_iter().chain(checksum);
    head.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
}

/// The frame of `value` under `key`.
pub(crate) fn encode(key: &[u8], value: &[u8], expires_at_ms: Option<i64>) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_into(&mut frame, key, value, expires_at_ms);
    frame
}

/// What was framed under `key`.
///
/// # Errors
/// If the frame is not exactly what `encode` made for this key.
pub(crate) fn decode(key: &[u8], frame: &[u8]) -> Result<Decoded, Damage> {
    let (&[version, flags], rest) = frame.split_first_chunk::<2>().ok_or(Damage::TooShort)?;
    if version != VERSION {
        return Err(Damage::Version { found: version, known: VERSION });
    }
    let (stored, body) = rest.split_first_chunk::<8>().ok_or(Damage::TooShort)?;
    let (expected, found) = (u64::from_le_bytes(*stored), checksum(version, flags, key, body));
    if expected != found {
        return Err(Damage::Checksum { expected, found });
    }
    let (expires_at_ms, body) = if flags & EXPIRES == 0 {
        (None, body)
    } else {
        let (at, body) = body.split_first_chunk::<8>().ok_or(Damage::TooShort)?;
        (Some(from_ordered(*at)), body)
    };
    let value = if flags & LZ4 == 0 { body.to_vec() } else { decompress(body)? };
    Ok(Decoded { value, expires_at_ms })
}

/// Bytes whose order is that of the numbers.
pub(crate) fn ordered(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

/// The number of [`ordered`].
pub(crate) fn from_ordered(bytes: [u8; 8]) -> i64 {
    i64::from_be_bytes(bytes) ^ i64::MIN
}

/// The LZ4 block, if it is shorter even with the length before it.
pub(crate) fn compressed(value: &[u8]) -> Option<Vec<u8>> {
    if value.len() < LEAST_COMPRESSED || u32::try_from(value.len()).is_err() {
        return None;
    }
    Some(lz4_flex::block::compress(value)).filter(|block| block.len() + 4 < value.len())
}

/// The value of a length and an LZ4 block whose checksum was right.
fn decompress(body: &[u8]) -> Result<Vec<u8>, Damage> {
    let (length, block) = body.split_first_chunk::<4>().ok_or(Damage::TooShort)?;
    let length = u32::from_le_bytes(*length) as usize;
    let value = lz4_flex::block::decompress(block, length).map_err(|_| Damage::Undecodable)?;
    if value.len() == length { Ok(value) } else { Err(Damage::Undecodable) }
}

fn checksum(version: u8, flags: u8, key: &[u8], body: &[u8]) -> u64 {
    let seed = u64::from(u16::from_le_bytes([version, flags]));
    xxh3_64_with_seed(body, xxh3_64_with_seed(key, seed))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use proptest::prelude::*;

    use super::*;

    /// File, key, value, expiry.
    type Case<'a> = (&'a str, &'a [u8], &'a [u8], Option<i64>);

    /// What version 1 looks like, for ever; `UPDATE=1` writes a file that is missing.
    #[test]
    fn frames_of_version_1_are_read_and_written_as_in_the_golden_files() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/state/golden");
        let long = b"0123456789abcdef".repeat(20);
        let golden: [Case<'_>; 4] = [
            ("plain", b"key", b"value", None),
            ("empty", b"", b"", None),
            ("expires", b"key", b"value", Some(-1)),
            ("lz4", b"key", &long, None),
        ];
        for (name, key, value, expires_at_ms) in golden {
            let path = folder.join(format!("value-v1-{name}.bin"));
            if std::env::var_os("UPDATE").is_some() && !path.exists() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, encode(key, value, expires_at_ms)).unwrap();
            }
            let frame = fs::read(&path).unwrap();
            let expected = Decoded { value: value.to_vec(), expires_at_ms };
            assert_eq!(decode(key, &frame), Ok(expected), "{name}");
            // A later compressor may find a shorter block.
            if name != "lz4" {
                assert_eq!(encode(key, value, expires_at_ms), frame, "{name}");
            }
        }
    }

    #[test]
    fn a_value_under_another_key_is_damaged() {
        let frame = encode(b"a", b"v", None);
        assert!(matches!(decode(b"b", &frame), Err(Damage::Checksum { .. })));
    }

    #[test]
    fn a_later_version_is_named() {
        let mut frame = encode(b"a", b"v", None);
        frame[0] = 2;
        let damage = decode(b"a", &frame).unwrap_err();
        assert_eq!(damage.to_string(), "format version 2, this release reads 1");
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            key in prop::collection::vec(any::<u8>(), 0..20),
            value in prop::collection::vec(0_u8..4, 0..2_000),
            expires in any::<Option<i64>>(),
        ) {
            let frame = encode(&key, &value, expires);
            prop_assert!(frame.len() <= value.len() + HEAD + 8);
            prop_assert_eq!(decode(&key, &frame), Ok(Decoded { value, expires_at_ms: expires }));
        }

        #[test]
        fn a_changed_or_cut_frame_is_never_decoded(
            value in prop::collection::vec(0_u8..4, 0..600),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let frame = encode(b"k", &value, None);
            let at = at.index(frame.len());
            prop_assert!(decode(b"k", &frame[..at]).is_err());
            let mut flipped = frame;
            flipped[at] ^= 1 << bit;
            prop_assert!(decode(b"k", &flipped).is_err());
        }

        #[test]
        fn numbers_and_their_bytes_have_one_order(a in any::<i64>(), b in any::<i64>()) {
            prop_assert_eq!(a.cmp(&b), ordered(a).cmp(&ordered(b)));
            prop_assert_eq!(from_ordered(ordered(a)), a);
        }
    }
}
