//! Walks a JSON document once, keeps what is wanted and checks all of it.
//!
//! The parser is `serde_json`, driven by seeds along the [`PathTrie`]: what no wanted path leads to
//! is checked and dropped. A number that overflows a double is an error to the parser but not to
//! JSON; the document is then walked again with that number passed over, and only its field suffers.

use std::{borrow::Cow, fmt};

use llm_optimizer_types::SideReason;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    found::Found,
    outcome::Fault,
    path::{NodeId, PathTrie},
};

/// Deepest nesting of objects and arrays.
const MAX_DEPTH: usize = 128;

/// Most overflowing numbers of one record that are told apart from broken JSON.
const MAX_OVERSIZED: usize = 16;

/// Fills `found`, which must be all absent, from the object in `text`.
pub(super) fn read<'a>(
    text: &'a str,
    trie: &PathTrie,
    found: &mut [Found<'a>],
) -> Result<(), Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    check_depth(text)?;
    let mut oversized = Vec::new();
    loop {
        let mut walk = Walk { trie, found, scalars: 0, oversized: &oversized };
        let Err(error) = walk.document(text) else { return Ok(()) };
        let number = walk.scalars;
        let message = error.to_string();
        if oversized.len() == MAX_OVERSIZED || !message.starts_with("number out of range") {
            return Err(Fault::new(SideReason::InvalidJson, message));
        }
        oversized.push(number);
        found.fill_with(Found::default);
    }
}

/// Refuses nesting beyond [`MAX_DEPTH`]; records with few brackets pass without a closer look.
fn check_depth(text: &str) -> Result<(), Fault> {
    // `[` and `{` differ in the bit 0x20 alone. Counted in bytes, so that many are counted at once.
    let openings = |part: &[u8]| part.iter().map(|b| u8::from(b | 0x20 == b'{')).sum::<u8>();
    let opened: usize = text.as_bytes().chunks(224).map(|part| usize::from(openings(part))).sum();
    if opened <= MAX_DEPTH {
        return Ok(());
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            let detail = format!("nested deeper than {MAX_DEPTH} levels at column {}", at + 1);
            return Err(Fault::new(SideReason::InvalidJson, detail));
        }
    }
    Ok(())
}

struct Walk<'w, 'a> {
    trie: &'w PathTrie,
    found: &'w mut [Found<'a>],
    /// How many wanted fields were begun.
    scalars: u32,
    /// Which of those are to be passed over.
    oversized: &'w [u32],
}

impl<'a> Walk<'_, 'a> {
    fn document(&mut self, text: &'a str) -> Result<(), serde_json::Error> {
        let mut parser = serde_json::Deserializer::from_str(text);
        Document(self).deserialize(&mut parser)?;
        parser.end()
    }

    fn keep(&mut self, node: NodeId, what: Found<'a>) {
        if let Some(place) = self.trie.slot(node).and_then(|slot| self.found.get_mut(slot)) {
            *place = what;
        }
    }

    /// Reads the members of the object at `node`.
    fn members<A: MapAccess<'a>>(&mut self, node: NodeId, mut map: A) -> Result<(), A::Error> {
        while let Some(child) = map.next_key_seed(Name { trie: self.trie, node })? {
            match child {
                Some(node) => map.next_value_seed(Field { walk: self, node })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// The document: an object.
struct Document<'s, 'w, 'a>(&'s mut Walk<'w, 'a>);

impl<'a> DeserializeSeed<'a> for Document<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Document<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, map: A) -> Result<(), A::Error> {
        self.0.members(PathTrie::ROOT, map)
    }
}

/// The name of a member of the object at `node`: the child it leads to, if that is wanted.
struct Name<'w> {
    trie: &'w PathTrie,
    node: NodeId,
}

impl<'a> DeserializeSeed<'a> for Name<'_> {
    type Value = Option<NodeId>;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<Option<NodeId>, D::Error> {
        parser.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<NodeId>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<NodeId>, E> {
        Ok(self.trie.child(self.node, name))
    }
}

/// A field that is wanted, or leads to some that are.
struct Field<'s, 'w, 'a> {
    walk: &'s mut Walk<'w, 'a>,
    node: NodeId,
}

impl<'a> Field<'_, '_, 'a> {
    fn keep(self, what: Found<'a>) {
        self.walk.keep(self.node, what);
    }
}

impl<'a> DeserializeSeed<'a> for Field<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<(), D::Error> {
        let walk = &mut *self.walk;
        // The last of several equal names counts, so nothing of an earlier one may stay.
        for slot in walk.trie.below(self.node) {
            walk.found.get_mut(*slot).map(std::mem::take);
        }
        walk.scalars += 1;
        if walk.oversized.contains(&walk.scalars) {
            parser.deserialize_ignored_any(IgnoredAny)?;
            self.keep(Found::Oversized);
            return Ok(());
        }
        parser.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Field<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.keep(Found::Null);
        Ok(())
    }

    fn visit_bool<E: Error>(self, word: bool) -> Result<(), E> {
        self.keep(Found::Bool(word));
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.keep(Found::Integer(number));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.keep(i64::try_from(number).map_or(Found::Unsigned(number), Found::Integer));
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.keep(Found::Float(number));
        Ok(())
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<(), E> {
        self.keep(Found::Text(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.keep(Found::Text(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        self.walk.keep(self.node, Found::Object);
        if self.walk.trie.is_inner(self.node) {
            return self.walk.members(self.node, map);
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<(), A::Error> {
        self.keep(Found::Array);
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
