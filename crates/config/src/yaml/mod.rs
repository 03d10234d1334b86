//! The file as a tree in which every node knows where it is written.

mod build;
mod node;

pub(crate) use build::{SyntaxFault, parse};
pub(crate) use node::{Entry, Kind, Node, Origin, Spot};
