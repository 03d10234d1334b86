//! Keys: what was written comes back, and no text that claims to be a key breaks the reader.

use llm_optimizer_processor::engine::core::{GroupingKey, KeyField, KeyPart, KeyWriter};

use super::bytes::Bytes;

/// Fields of the input go through the encoding and come back; the input itself is read as a key.
pub(crate) fn key_codec(data: &[u8]) {
    let _ = GroupingKey::from_encoded(String::from_utf8_lossy(data)).fields();

    let mut bytes = Bytes(data);
    let mut fields = Vec::new();
    while !bytes.is_empty() && fields.len() < 8 {
        let name = bytes.text();
        let value = match bytes.byte() % 4 {
            0 => KeyPart::Bool(bytes.byte() % 2 == 1),
            1 => KeyPart::Integer(bytes.number()),
            _ => KeyPart::Text(bytes.text()),
        };
        fields.push(KeyField { name, value });
    }
    if fields.is_empty() {
        return;
    }
    let mut key = KeyWriter::default();
    for KeyField { name, value } in &fields {
        match value {
            KeyPart::Text(text) => key.text(name, text),
            KeyPart::Integer(number) => key.integer(name, *number),
            KeyPart::Unsigned(number) => key.unsigned(name, *number),
            KeyPart::Bool(flag) => key.boolean(name, *flag),
        }
    }
    assert_eq!(GroupingKey::from_encoded(key.as_str()).fields(), fields, "{}", key.as_str());
}
