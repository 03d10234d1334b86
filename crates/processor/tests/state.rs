//! Stores: the laws of all of them, and what redb does with damaged, foreign and used files.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation)] // in helpers of tests

#[path = "state/conformance.rs"]
mod conformance;
#[path = "state/kept_pipeline.rs"]
mod kept_pipeline;
#[path = "state/redb.rs"]
mod redb_files;

use conformance::Kind;
use llm_optimizer_processor::state::{MemoryStore, RedbStore};

#[test]
fn memory_store_keeps_the_laws() {
    let open = |_: &std::path::Path| Ok(Box::new(MemoryStore::new()) as Box<_>);
    conformance::check(&Kind { open, is_durable: false, cases: 100 });
}

#[test]
fn redb_store_keeps_the_laws() {
    let open =
        |path: &std::path::Path| Ok(Box::new(RedbStore::open(path.join("s.redb"))?) as Box<_>);
    conformance::check(&Kind { open, is_durable: true, cases: 40 });
}
