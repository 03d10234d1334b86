//! YAML text → tree, and what is wrong with text that is no tree.
//!
//! Limits on depth and size stop a hostile file (nested brackets, aliases of aliases) before it
//! costs memory.

use std::{collections::HashMap, fmt::Write};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::node::{Entry, Kind, Node, Origin, Spot};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 48;
/// Most nodes of a file, aliases counted as often as they are used.
const MAX_NODES: usize = 100_000;

/// Text that is no configuration tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxFault {
    pub(crate) spot: Spot,
    /// The key that is meant, as `processor.parallelism`; empty where there is none yet.
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) help: Option<&'static str>,
}

/// The tree of `text`, `None` if it holds no document; with faults that do not end the reading
/// (a key that is written twice: its first value stands).
///
/// # Errors
/// The first fault of syntax, after which the rest of the text has no certain meaning.
pub(crate) fn parse(text: &str) -> Result<(Option<Node>, Vec<SyntaxFault>), SyntaxFault> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let spot = spot(Span::empty(*error.marker()));
            SyntaxFault {
                spot,
                path: String::new(),
                message: error.info().into(),
                help: syntax_help(error.info()),
            }
        })?;
        builder.take(event, span)?;
    }
    Ok((builder.root, builder.faults))
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    documents: usize,
    nodes: usize,
    faults: Vec<SyntaxFault>,
}

/// A list or map that is not complete.
struct Open {
    spot: Spot,
    anchor: usize,
    parts: Parts,
}

enum Parts {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(String, Spot)> },
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxFault> {
        match event {
            Event::DocumentStart(_) => self.begin_document(span),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !is_text_tag(tag.as_deref());
                let kind = Kind::Scalar { text: text.into_owned(), plain };
                self.complete(Node { kind, spot: spot(span) }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.open(span, anchor, Parts::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.open(span, anchor, Parts::Map { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin_document(&mut self, span: Span) -> Result<(), SyntaxFault> {
        self.documents += 1;
        if self.documents > 1 {
            return Err(fault(
                span,
                "a second YAML document begins here",
                Some("keep one document per file"),
            ));
        }
        Ok(())
    }

    fn open(&mut self, span: Span, anchor: usize, parts: Parts) -> Result<(), SyntaxFault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(fault(span, &format!("nested deeper than {MAX_DEPTH} levels"), None));
        }
        self.open.push(Open { spot: spot(span), anchor, parts });
        Ok(())
    }

    fn close(&mut self) -> Result<(), SyntaxFault> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.parts {
            Parts::List(items) => Kind::List(items),
            Parts::Map { entries, .. } => Kind::Map(entries),
        };
        self.complete(Node { kind, spot: open.spot }, open.anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), SyntaxFault> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(fault(span, "an alias of what is not complete yet", None));
        };
        let mut node = node.clone();
        self.nodes += count(&node);
        node.spot = spot(span);
        self.complete(node, 0)
    }

    /// Puts a complete node where it belongs.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxFault> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values, aliases counted at each use");
            return Err(SyntaxFault { spot: node.spot, path: self.path(), message, help: None });
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.parts) {
            None => self.root = Some(node),
            Some(Parts::List(items)) => items.push(node),
            Some(Parts::Map { entries, key }) => match key.take() {
                None => *key = Some(self::key(node)?),
                Some((key, key_spot)) => {
                    let entry = Entry { key, key_spot, value: node };
                    if let Some(mut fault) = add(entries, entry) {
                        fault.path = format!("{}{}", self.path(), fault.path);
                        self.faults.push(fault);
                    }
                }
            },
        }
        Ok(())
    }
}

impl Builder {
    /// The path of what is open, with the dot that follows it.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match &open.parts {
                Parts::List(items) => {
                    path.truncate(path.trim_end_matches('.').len());
                    let _ = write!(path, "[{}].", items.len());
                }
                Parts::Map { key: Some((key, _)), .. } => {
                    let _ = write!(path, "{key}.");
                }
                Parts::Map { key: None, .. } => {}
            }
        }
        path
    }
}

/// Adds `entry`, or says that its key is there already.
fn add(entries: &mut Vec<Entry>, entry: Entry) -> Option<SyntaxFault> {
    let Some(first) = entries.iter().find(|other| other.key == entry.key) else {
        entries.push(entry);
        return None;
    };
    Some(SyntaxFault {
        message: format!("`{}` is written twice; first on line {}", entry.key, first.key_spot.line),
        spot: entry.key_spot,
        path: entry.key,
        help: Some("remove one of them"),
    })
}

fn key(node: Node) -> Result<(String, Spot), SyntaxFault> {
    match node.kind {
        Kind::Scalar { text, .. } => Ok((text, node.spot)),
        Kind::List(_) | Kind::Map(_) => Err(SyntaxFault {
            spot: node.spot,
            path: String::new(),
            message: "a key is text, not a list or a map".into(),
            help: Some("text with `{` or `[` needs quotes"),
        }),
    }
}

fn count(node: &Node) -> usize {
    match &node.kind {
        Kind::Scalar { .. } => 1,
        Kind::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Kind::Map(entries) => 1 + entries.iter().map(|entry| count(&entry.value)).sum::<usize>(),
    }
}

fn is_text_tag(tag: Option<&Tag>) -> bool {
    tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str")
}

fn fault(span: Span, message: &str, help: Option<&'static str>) -> SyntaxFault {
    SyntaxFault { spot: spot(span), path: String::new(), message: message.into(), help }
}

fn spot(Span { start, end }: Span) -> Spot {
    Spot {
        origin: Origin::File,
        line: start.line().max(1),
        column: start.col() + 1,
        width: width(start, end),
    }
}

/// Characters from `start` to `end` if they are on one line, else 1.
fn width(start: Marker, end: Marker) -> usize {
    if start.line() == end.line() { end.col().saturating_sub(start.col()).max(1) } else { 1 }
}

/// What usually causes a message of the parser.
fn syntax_help(message: &str) -> Option<&'static str> {
    if message.contains("tab") {
        Some("indent with blanks, never with tabs")
    } else if message.contains("mapping values are not allowed") || message.contains("':'") {
        Some("indent keys of one section alike, and quote text that holds `: `")
    } else if message.contains("did not find expected") {
        Some("check the indentation and that every bracket and quote is closed")
    } else {
        None
    }
}
