//! Nodes and their places.

use std::rc::Rc;

/// A part of the configuration, as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) spot: Spot,
}

/// What a node is, before any key gives it a type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Text; `plain` without quotes, so that it may mean a number, a boolean or nothing.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A map, keys in the order of the file, each once.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_spot: Spot,
    pub(crate) value: Node,
}

/// A span within one line of the file, or a whole environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) origin: Origin,
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    /// In characters; at least 1.
    pub(crate) width: usize,
}

/// Which text a spot lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    File,
    Environment(Rc<str>),
}

impl Node {
    /// Whether nothing is written: `key:`, `key: ~`, `key: null`.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The value of `key` in a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Kind::Scalar { .. } | Kind::List(_) => None,
        }
    }
}

impl Spot {
    /// The place of a config that was put together in code.
    pub(crate) fn code() -> Self {
        Self { origin: Origin::File, line: 0, column: 0, width: 0 }
    }

    /// The whole value of an environment variable.
    pub(crate) fn environment(name: &str) -> Self {
        Self { origin: Origin::Environment(name.into()), line: 1, column: 1, width: 1 }
    }
}
