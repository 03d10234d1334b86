//! Where the elements of a JSON array are, each of them checked.

use serde::de::IgnoredAny;
use serde_json::StreamDeserializer;

/// Why a body is not what it says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotJson {
    /// Element of the array, from 1.
    pub(super) element: Option<usize>,
    pub(super) detail: String,
}

/// What a JSON body is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Document<'a> {
    Object(&'a [u8]),
    Elements(Vec<&'a [u8]>),
}

/// The object, or the elements of the array, in `body`.
pub(super) fn read(body: &[u8]) -> Result<Document<'_>, NotJson> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut reader = Reader { rest: body };
    match reader.peek() {
        Some(b'{') => {
            let object = reader.value(None)?;
            reader.end().map(|()| Document::Object(object))
        }
        Some(b'[') => reader.elements().map(Document::Elements),
        Some(_) => Err(wrong("neither a JSON object nor an array")),
        None => Err(wrong("the body is empty")),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let start = self.rest.iter().position(|byte| !is_blank(byte)).unwrap_or(self.rest.len());
        self.rest = self.rest.get(start..).unwrap_or_default();
        self.rest.first().copied()
    }

    fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// The value that begins here.
    fn value(&mut self, element: Option<usize>) -> Result<&'a [u8], NotJson> {
        let parser = serde_json::Deserializer::from_slice(self.rest);
        let mut values: StreamDeserializer<'_, _, IgnoredAny> = parser.into_iter();
        match values.next() {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(NotJson { element, detail: error.to_string() }),
            None => return Err(NotJson { element, detail: "a value is missing".into() }),
        }
        let (value, rest) = self.rest.split_at_checked(values.byte_offset()).unwrap_or_default();
        self.rest = rest;
        Ok(value)
    }

    fn elements(&mut self) -> Result<Vec<&'a [u8]>, NotJson> {
        let mut elements = Vec::new();
        self.skip();
        if self.peek() == Some(b']') {
            self.skip();
            return self.end().map(|()| elements);
        }
        loop {
            let number = elements.len() + 1;
            self.peek();
            elements.push(self.value(Some(number))?);
            match self.peek() {
                Some(b',') => self.skip(),
                Some(b']') => {
                    self.skip();
                    return self.end().map(|()| elements);
                }
                Some(_) => return Err(after(number, "neither a comma nor the end of the array")),
                None => return Err(after(number, "the end of the body")),
            }
        }
    }

    fn end(&mut self) -> Result<(), NotJson> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(wrong(
                "something follows the document; several documents, one per line, are application/x-ndjson",
            )),
        }
    }
}

fn wrong(detail: &str) -> NotJson {
    NotJson { element: None, detail: detail.into() }
}

fn after(element: usize, what: &str) -> NotJson {
    NotJson { element: Some(element), detail: format!("{what} follows") }
}
