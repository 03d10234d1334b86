//! Dotted paths, and the trie of those a pipeline wants.
//!
//! A path splits at `.`; `\.` is a dot and `\\` a backslash inside a name. Every wanted path has a
//! slot, a number from 0, under which its finding is kept. Arrays are not entered.

/// The names along a dotted path, outermost first; never empty.
///
/// `a.b` is `["a", "b"]`, `a\.b` is `["a.b"]`.
pub(super) fn split(path: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut rest = path.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '.' => names.push(std::mem::take(&mut name)),
            '\\' => name.push(rest.next_if(|n| matches!(n, '.' | '\\')).unwrap_or('\\')),
            other => name.push(other),
        }
    }
    names.push(name);
    names
}

/// Number of a node; the root is [`PathTrie::ROOT`].
pub(super) type NodeId = usize;

#[derive(Debug, Default)]
struct Node {
    slot: Option<usize>,
    children: Vec<(Box<str>, NodeId)>,
    /// Slots of everything below.
    below: Vec<usize>,
}

/// The wanted paths as a tree of names.
#[derive(Debug)]
pub(super) struct PathTrie {
    nodes: Vec<Node>,
    slots: usize,
}

impl PathTrie {
    /// The document itself.
    pub(super) const ROOT: NodeId = 0;

    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()], slots: 0 }
    }

    /// Wants `path`, and says in which slot it will be found; equal paths share a slot.
    pub(super) fn want(&mut self, path: &str) -> usize {
        let mut way = vec![Self::ROOT];
        let mut node = Self::ROOT;
        for name in split(path) {
            node = self.child(node, &name).unwrap_or_else(|| self.grow(node, name));
            way.push(node);
        }
        if let Some(slot) = self.slot(node) {
            return slot;
        }
        let slot = self.slots;
        self.slots += 1;
        way.pop();
        for passed in way {
            self.edit(passed, |n| n.below.push(slot));
        }
        self.edit(node, |n| n.slot = Some(slot));
        slot
    }

    /// The slot of `path`, if it is wanted.
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        let mut node = Self::ROOT;
        for name in split(path) {
            node = self.child(node, &name)?;
        }
        self.slot(node)
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    pub(super) fn child(&self, node: NodeId, name: &str) -> Option<NodeId> {
        let children = &self.nodes.get(node)?.children;
        children.iter().find(|(other, _)| **other == *name).map(|(_, child)| *child)
    }

    pub(super) fn slot(&self, node: NodeId) -> Option<usize> {
        self.nodes.get(node)?.slot
    }

    /// Whether anything below `node` is wanted.
    pub(super) fn is_inner(&self, node: NodeId) -> bool {
        self.nodes.get(node).is_some_and(|n| !n.children.is_empty())
    }

    /// Slots of everything below `node`.
    pub(super) fn below(&self, node: NodeId) -> &[usize] {
        self.nodes.get(node).map_or(&[], |n| &n.below)
    }

    fn grow(&mut self, node: NodeId, name: String) -> NodeId {
        let child = self.nodes.len();
        self.nodes.push(Node::default());
        self.edit(node, |n| n.children.push((name.into(), child)));
        child
    }

    fn edit(&mut self, node: NodeId, change: impl FnOnce(&mut Node)) {
        change(self.nodes.get_mut(node).unwrap_or_else(|| panic!("node {node} was handed out")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_splits_at_bare_dots() {
        for (path, names) in [
            ("a", vec!["a"]),
            ("a.b.c", vec!["a", "b", "c"]),
            (r"a\.b.c", vec!["a.b", "c"]),
            (r"a\\.b", vec![r"a\", "b"]),
            (r"a\b\", vec![r"a\b\"]),
            ("", vec![""]),
            ("a..b", vec!["a", "", "b"]),
        ] {
            assert_eq!(split(path), names, "{path}");
        }
    }

    #[test]
    fn equal_paths_share_a_slot_and_inner_nodes_know_theirs() {
        let mut trie = PathTrie::new();
        assert_eq!(
            [trie.want("a.b"), trie.want("a"), trie.want("a.c"), trie.want("a.b")],
            [0, 1, 2, 0]
        );
        let a = trie.child(PathTrie::ROOT, "a").unwrap();
        assert_eq!((trie.slot(a), trie.below(a)), (Some(1), &[0, 2][..]));
        assert_eq!((trie.find("a.c"), trie.find("a.d"), trie.slots()), (Some(2), None, 3));
    }
}
