//! A late event or dead letter as a Kafka record: what it was, and what happened to it as headers, cut to what every broker
//! takes.

use rdkafka::message::{Header, OwnedHeaders};

use super::sink::fields;
use crate::sink::SideOutput;

/// Bytes of the original value that are passed on with a late event or dead letter; brokers accept
/// records of 1 MB by default. A longer value is cut, with headers `truncated` and `size_bytes`.
pub const MAX_SIDE_RECORD_BYTES: usize = 900_000;

/// Bytes of the original key that are passed on; a longer one is cut, with headers `key_truncated` and
/// `key_size_bytes`.
const MAX_KEY_BYTES: usize = 32_000;

/// Bytes of the original headers that are passed on; the first that does not fit and those behind it are left out,
/// with header `headers_truncated`.
const MAX_HEADER_BYTES: usize = 32_000;

/// A side record as it is written.
pub(super) struct SideMessage<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: &'a [u8],
    /// The original headers, then ours.
    pub(super) headers: OwnedHeaders,
}

impl<'a> SideMessage<'a> {
    /// The record of `side`.
    pub(super) fn of(side: &'a SideOutput) -> Self {
        let mut headers = Headers::with_original(side);
        for (key, value) in fields(&side.record) {
            headers.add(key, &value);
        }
        let payload = cut(&side.payload, MAX_SIDE_RECORD_BYTES);
        if payload.len() < side.payload.len() {
            headers.add("truncated", "true");
            headers.add("size_bytes", &side.payload.len().to_string());
        }
        let key = side.key.as_deref().map(|key| cut(key, MAX_KEY_BYTES));
        if let (Some(kept), Some(whole)) = (key, &side.key)
            && kept.len() < whole.len()
        {
            headers.add("key_truncated", "true");
            headers.add("key_size_bytes", &whole.len().to_string());
        }
        Self { key, payload, headers: headers.0 }
    }
}

struct Headers(OwnedHeaders);

impl Headers {
    fn with_original(side: &SideOutput) -> Self {
        let mut headers = Self(OwnedHeaders::new_with_capacity(side.headers.len() + 14));
        let mut room = MAX_HEADER_BYTES;
        for (key, value) in &side.headers {
            let bytes = key.len() + value.as_ref().map_or(0, Vec::len);
            let Some(left) = room.checked_sub(bytes) else {
                headers.add("headers_truncated", "true");
                break;
            };
            room = left;
            headers.0 = headers.0.insert(Header { key, value: value.as_deref() });
        }
        headers
    }

    fn add(&mut self, key: &str, value: &str) {
        let all = std::mem::replace(&mut self.0, OwnedHeaders::new_with_capacity(0));
        self.0 = all.insert(Header { key, value: Some(value.as_bytes()) });
    }
}

fn cut(bytes: &[u8], most: usize) -> &[u8] {
    bytes.get(..most).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use llm_optimizer_types::{Origin, SideKind, SideReason, SideRecord};
    use rdkafka::message::Headers as _;

    use super::*;
    use crate::kafka::MAX_RECORD_BYTES;

    fn side(payload: usize, key: usize, headers: &[usize]) -> SideOutput {
        let header = |bytes: &usize| ("h".to_owned(), Some(vec![b'x'; *bytes]));
        SideOutput {
            record: SideRecord {
                schema_version: 1,
                kind: SideKind::DeadLetter,
                reason: SideReason::RecordTooLarge,
                detail: String::new(),
                record: None,
                record_base64: None,
                origin: Origin {
                    source: "kafka".into(),
                    name: "t".into(),
                    partition: 0,
                    offset: 7,
                    line: None,
                },
                lateness_ms: None,
                pipeline: None,
            },
            payload: vec![b'x'; payload],
            key: Some(vec![b'x'; key]),
            headers: headers.iter().map(header).collect(),
            judged: None,
        }
    }

    fn value(message: &SideMessage<'_>, name: &str) -> Option<String> {
        let found = message.headers.iter().find(|header| header.key == name)?;
        Some(String::from_utf8_lossy(found.value?).into_owned())
    }

    #[test]
    fn what_fits_is_passed_on_unchanged() {
        let side = side(900_000, 100, &[10, 20]);
        let message = SideMessage::of(&side);
        assert_eq!((message.payload.len(), message.key.map(<[u8]>::len)), (900_000, Some(100)));
        assert_eq!(message.headers.iter().filter(|header| header.key == "h").count(), 2);
        for flag in ["truncated", "key_truncated", "headers_truncated"] {
            assert_eq!(value(&message, flag), None);
        }
    }

    #[test]
    fn everything_that_is_cut_says_so_and_the_record_fits() {
        let side = side(2_000_000, 1_000_000, &[10, 1_000_000, 10]);
        let message = SideMessage::of(&side);
        assert_eq!(value(&message, "truncated").as_deref(), Some("true"));
        assert_eq!(value(&message, "size_bytes").as_deref(), Some("2000000"));
        assert_eq!(value(&message, "key_size_bytes").as_deref(), Some("1000000"));
        assert_eq!(value(&message, "headers_truncated").as_deref(), Some("true"));
        assert_eq!(value(&message, "offset").as_deref(), Some("7"), "the origin is kept");
        let headers: usize = message
            .headers
            .iter()
            .map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len))
            .sum();
        let all = message.payload.len() + message.key.map_or(0, <[u8]>::len) + headers;
        assert!(all <= MAX_RECORD_BYTES, "{all}");
    }
}
