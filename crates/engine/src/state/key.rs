//! Keys of rows as ordered bytes.

use std::fmt;

use super::damage::StateDamage;

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Accumulator of a pane.
    Pane = 1,
    Session = 2,
    /// A window of the user's own.
    Window = 3,
    /// A window has fired for the key.
    Fired = 4,
    /// What triggers remember of a window of the key.
    Watch = 5,
    /// History of a key.
    History = 6,
    /// A window that is not folded into the history yet.
    Recent = 7,
}

/// Key group of a row: its first two bytes.
///
/// ```
/// use llm_optimizer_engine::state::key_group_of;
/// assert_eq!(key_group_of(&[1, 2, 9, 9]), Some(258));
/// assert_eq!(key_group_of(&[1]), None);
/// ```
#[must_use]
pub fn key_group_of(row_key: &[u8]) -> Option<u16> {
    row_key.first_chunk().map(|group| u16::from_be_bytes(*group))
}

/// The key of a row, taken apart. The fields order as the bytes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowKey<'a> {
    pub(crate) group: u16,
    pub(crate) kind: Kind,
    pub(crate) end: i64,
    pub(crate) key: &'a str,
    pub(crate) pane: i64,
    pub(crate) from: i64,
    pub(crate) column: u16,
    pub(crate) part: u16,
}

impl<'a> RowKey<'a> {
    /// Of column 0 of a row with this end, and no pane.
    pub(crate) fn new(kind: Kind, (group, key): (u16, &'a str), end: i64) -> Self {
        Self { group, kind, end, key, pane: 0, from: 0, column: 0, part: 0 }
    }

    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, StateDamage> {
        read(bytes).ok_or_else(|| StateDamage::Key {
            key: hex(bytes),
            reason: "it is no key of a row".into(),
        })
    }

    /// Whether both are columns or parts of one row.
    pub(crate) fn is_same_row(&self, other: &RowKey<'_>) -> bool {
        RowKey { column: 0, part: 0, ..*self } == RowKey { column: 0, part: 0, ..*other }
    }
}

impl fmt::Display for RowKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, kind, end, key, pane, from, column, part } = self;
        let short: String = key.chars().take(200).collect();
        write!(
            f,
            "{kind:?} of key {short:?} (group {group}, end {end}, pane {pane}, from {from}, "
        )?;
        write!(f, "column {column}, part {part})")
    }
}

/// Writes keys of rows into a reused buffer.
#[derive(Debug, Default)]
pub(crate) struct KeyBuffer {
    bytes: Vec<u8>,
}

impl KeyBuffer {
    /// The key as bytes.
    pub(crate) fn write(&mut self, key: &RowKey<'_>) -> &[u8] {
        self.begin(key);
        &self.bytes
    }

    /// Takes the key of a row, whose columns and parts are asked for one by one.
    pub(crate) fn begin(&mut self, key: &RowKey<'_>) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&key.group.to_be_bytes());
        self.bytes.push(key.kind as u8);
        self.bytes.extend_from_slice(&ordered(key.end));
        let length = u32::try_from(key.key.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(key.key.as_bytes());
        self.bytes.extend_from_slice(&ordered(key.pane));
        self.bytes.extend_from_slice(&ordered(key.from));
        self.bytes.extend_from_slice(&key.column.to_be_bytes());
        self.bytes.extend_from_slice(&key.part.to_be_bytes());
    }

    /// The key of a part of the row that was begun.
    pub(crate) fn part(&mut self, column: u16, part: u16) -> &[u8] {
        if let Some((_, end)) = self.bytes.split_last_chunk_mut::<4>() {
            let [a, b] = column.to_be_bytes();
            let [c, d] = part.to_be_bytes();
            *end = [a, b, c, d];
        }
        &self.bytes
    }
}

/// The instant with its sign bit flipped.
fn ordered(instant: i64) -> [u8; 8] {
    (instant ^ i64::MIN).to_be_bytes()
}

fn read(bytes: &[u8]) -> Option<RowKey<'_>> {
    let instant = |bytes: &[u8; 8]| i64::from_be_bytes(*bytes) ^ i64::MIN;
    let (group, bytes) = bytes.split_first_chunk()?;
    let (kind, bytes) = bytes.split_first()?;
    let kind = match kind {
        1 => Kind::Pane,
        2 => Kind::Session,
        3 => Kind::Window,
        4 => Kind::Fired,
        5 => Kind::Watch,
        6 => Kind::History,
        7 => Kind::Recent,
        _ => return None,
    };
    let (end, bytes) = bytes.split_first_chunk()?;
    let (length, bytes) = bytes.split_first_chunk()?;
    let (key, bytes) =
        bytes.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let (pane, bytes) = bytes.split_first_chunk()?;
    let (from, bytes) = bytes.split_first_chunk()?;
    let (column, bytes) = bytes.split_first_chunk()?;
    let (part, bytes) = bytes.split_first_chunk()?;
    bytes.is_empty().then_some(RowKey {
        group: u16::from_be_bytes(*group),
        kind,
        end: instant(end),
        key: std::str::from_utf8(key).ok()?,
        pane: instant(pane),
        from: instant(from),
        column: u16::from_be_bytes(*column),
        part: u16::from_be_bytes(*part),
    })
}

/// At most the first 256 bytes in hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in bytes.iter().take(256) {
        let _ = write!(text, "{byte:02x}"); // Writing to a `String` cannot fail.
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(key: &RowKey<'_>) -> Vec<u8> {
        KeyBuffer::default().write(key).to_vec()
    }

    #[test]
    fn a_key_never_changes_between_releases() {
        let key = RowKey {
            group: 0x0102,
            kind: Kind::Pane,
            end: 60_000,
            key: "model=a",
            pane: -1,
            from: i64::MIN,
            column: 3,
            part: 4,
        };
        let expected = [
            &[1, 2, 1][..],
            &[0x80, 0, 0, 0, 0, 0, 0xea, 0x60],
            &[0, 0, 0, 7],
            b"model=a",
            &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0; 8],
            &[0, 3, 0, 4],
        ];
        assert_eq!(written(&key), expected.concat());
        assert_eq!(RowKey::read(&expected.concat()), Ok(key));
        assert_eq!(key_group_of(&expected.concat()), Some(0x0102));
    }

    #[test]
    fn kinds_never_change_between_releases() {
        let kinds = [
            Kind::Pane,
            Kind::Session,
            Kind::Window,
            Kind::Fired,
            Kind::Watch,
            Kind::History,
            Kind::Recent,
        ];
        for (number, kind) in (1..).zip(kinds) {
            let bytes = written(&RowKey::new(kind, (0, ""), 0));
            assert_eq!(bytes.get(2), Some(&number));
            assert_eq!(RowKey::read(&bytes).map(|key| key.kind), Ok(kind));
        }
    }

    #[test]
    fn what_is_no_key_is_named_in_hexadecimal_digits() {
        let damage = RowKey::read(&[0, 1, 9]).unwrap_err();
        assert_eq!(damage.to_string(), "state row 000109 is damaged: it is no key of a row");
    }

    prop_compose! {
        fn key()(
            group in 0_u16..3, kind in 0_usize..3, end in instant(), key in "[ab]{0,3}",
            pane in instant(), from in instant(), column in 0_u16..2, part in 0_u16..2,
        ) -> (u16, usize, i64, String, i64, i64, u16, u16) {
            (group, kind, end, key, pane, from, column, part)
        }
    }

    fn instant() -> impl Strategy<Value = i64> {
        prop_oneof![any::<i64>(), -2_i64..3, Just(i64::MIN), Just(i64::MAX)]
    }

    type Fields = (u16, usize, i64, String, i64, i64, u16, u16);

    fn of((group, kind, end, key, pane, from, column, part): &Fields) -> RowKey<'_> {
        let kind = [Kind::Pane, Kind::Fired, Kind::Recent][*kind];
        let (group, end, pane, from) = (*group, *end, *pane, *from);
        RowKey { group, kind, end, key, pane, from, column: *column, part: *part }
    }

    proptest! {
        #[test]
        fn bytes_order_as_keys_do_and_are_read_back(a in key(), b in key()) {
            let (a, b) = (of(&a), of(&b));
            let rank = |k: &RowKey<'_>| {
                let text = (k.key.len(), k.key.to_owned());
                (k.group, k.kind, k.end, text, k.pane, k.from, k.column, k.part)
            };
            prop_assert_eq!(written(&a).cmp(&written(&b)), rank(&a).cmp(&rank(&b)));
            let bytes = written(&a);
            prop_assert_eq!(RowKey::read(&bytes), Ok(a));
        }

        #[test]
        fn any_bytes_are_a_key_or_damage(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(key) = RowKey::read(&bytes) {
                prop_assert_eq!(written(&key), bytes);
            }
        }
    }
}
