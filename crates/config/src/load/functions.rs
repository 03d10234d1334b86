//! Names of functions registered in code, as `aggregation.enabled` lists them.

use crate::yaml::{Kind, Node};

/// Takes the names that are in `registered` out of `processor.aggregation.enabled`.
pub(super) fn take(root: &mut Node, registered: &[&str]) -> Vec<String> {
    let mut taken = Vec::new();
    let path = ["processor", "aggregation", "enabled"];
    let list = path.iter().try_fold(root, |node, key| child(node, key));
    if let Some(Node { kind: Kind::List(items), .. }) = list {
        items.retain(|item| match &item.kind {
            Kind::Scalar { text, .. } if registered.contains(&text.as_str()) => {
                taken.push(text.clone());
                false
            }
            _ => true,
        });
    }
    taken
}

fn child<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    match &mut node.kind {
        Kind::Map(entries) => {
            entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
        }
        Kind::Scalar { .. } | Kind::List(_) => None,
    }
}
