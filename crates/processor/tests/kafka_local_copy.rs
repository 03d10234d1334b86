//! The local copy of state on Kafka, through the binary on a real broker: whatever the copy is, results are those of a run
//! that was never interrupted, each once; and a good copy saves reading the changelog.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // in helpers of tests

mod support;

use std::{fs, path::Path};

use llm_optimizer_processor::state::{Durability, RedbStore, Store, WriteBatch};
use llm_optimizer_sim::{oracle::Window, records::RecordsConfig};
use support::{
    binary::{Workplace, query},
    kafka::broker,
    topics::{Scene, logged},
};

const RECORDS: usize = 1_500;
const HALF: usize = 700;
const STORE: &str = "processor-state/kafka/state.redb";
/// What is said when the state is read back.
const BACK: &str = "the state is back";

struct Case {
    scene: Scene,
    place: Workplace,
    config: RecordsConfig,
}

impl Case {
    /// A run that was ended in order when half of the records were counted, and the rest of them written since.
    fn halfway() -> Option<Self> {
        let scene = Scene::new(broker()?, RECORDS);
        let (config, yaml) =
            query(Window::Sliding { size_ms: 60_000, slide_ms: 20_000, offset_ms: 0 }, 5_000);
        let place = Workplace::new(&scene.yaml(&yaml, "  instance_id: one\n"));
        scene.produce(0, HALF);
        scene.run_until(&place, &[], HALF);
        scene.produce(HALF, RECORDS);
        Some(Self { scene, place, config })
    }

    /// Runs to the end; the results must be right. Gives the log.
    fn finish(&self) -> String {
        let log = Scene::run_to_end(&self.place, &[]);
        self.scene.must_be_exactly_once(&self.scene.results, &self.config);
        log
    }

    /// The state was read from the changelog alone, for this reason.
    fn finish_without_copy(&self, why: &str) {
        let log = self.finish();
        assert!(log.contains(why), "it is said why:\n{log}");
        assert_eq!(logged(&log, BACK, "copied_rows"), 0, "{log}");
        assert!(logged(&log, BACK, "records") > 0, "{log}");
    }

    /// Changes the copy while nobody uses it.
    fn edit(&self, change: impl FnOnce(&RedbStore)) {
        change(&RedbStore::open(self.place.path(STORE)).unwrap());
    }
}

#[test]
fn a_start_with_a_copy_reads_nothing_that_the_copy_has() {
    let Some(case) = Case::halfway() else { return };
    let log = case.finish();
    assert!(logged(&log, BACK, "copied_rows") > 10, "{log}");
    assert_eq!(logged(&log, BACK, "records"), 0, "{log}");
}

#[test]
fn a_copy_that_is_behind_is_followed_by_the_rest_of_the_changelog() {
    let Some(case) = Case::halfway() else { return };
    let (store, old) = (case.place.path("processor-state/kafka"), case.place.path("old"));
    copy_folder(&store, &old);
    case.scene.run_until(&case.place, &[], RECORDS);
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&old, &store).unwrap();
    let log = case.finish();
    assert!(logged(&log, BACK, "copied_rows") > 10, "{log}");
    assert!(logged(&log, BACK, "records") > 10, "{log}");
}

#[test]
fn without_the_folder_the_changelog_says_all() {
    let Some(case) = Case::halfway() else { return };
    case.place.remove("processor-state");
    case.finish_without_copy(BACK);
}

#[test]
fn a_changelog_that_was_made_anew_is_not_taken_for_that_of_the_copy() {
    let Some(case) = Case::halfway() else { return };
    // The same records at smaller offsets: the copy is ahead of some partitions, and finds other records in the rest.
    case.scene.broker.make_anew(&case.scene.changelog(), &[("cleanup.policy", "compact")]);
    case.finish_without_copy("the local copy of the state is not used");
}

#[test]
fn the_copy_of_another_group_is_wiped() {
    let (Some(case), Some(other)) = (Case::halfway(), Case::halfway()) else { return };
    fs::copy(other.place.path(STORE), case.place.path(STORE)).unwrap();
    let of = format!("it is of group {}, and not of {}", other.scene.group, case.scene.group);
    case.finish_without_copy(&of);
}

#[test]
fn a_damaged_copy_is_wiped() {
    let Some(case) = Case::halfway() else { return };
    let mut bytes = fs::read(case.place.path(STORE)).unwrap();
    let length = bytes.len();
    for byte in bytes[4_096..length].iter_mut().step_by(97) {
        *byte ^= 0x10;
    }
    fs::write(case.place.path(STORE), bytes).unwrap();
    case.finish_without_copy("the local copy of the state is wiped");
}

#[test]
fn a_copy_with_a_row_that_is_not_of_its_commit_is_found_by_its_checksum_or_its_place() {
    let Some(case) = Case::halfway() else { return };
    case.edit(|store| {
        let mut batch = WriteBatch::default();
        // The group row of the first key group: a place, and no meta record.
        let key = [b"k\0\x07default".as_slice(), &[0, 0]].concat();
        batch.put(&key, &[1, 1, 0, 0, 0, 0, 0, 0, 0, 9]);
        store.write(&batch, Durability::Synced).unwrap();
    });
    let log = case.finish();
    assert!(log.contains("the local copy of the state is not used"), "{log}");
}

#[test]
fn a_copy_that_is_too_old_is_wiped() {
    let Some(case) = Case::halfway() else { return };
    case.edit(|store| {
        let header = store.get(b"mkafka").unwrap().unwrap();
        let mut header: serde_json::Value = serde_json::from_slice(&header).unwrap();
        let days = 4 * 24 * 3_600_000;
        header["written_ms"] = (header["written_ms"].as_i64().unwrap() - days).into();
        let mut batch = WriteBatch::default();
        batch.put(b"mkafka", header.to_string().as_bytes());
        store.write(&batch, Durability::Synced).unwrap();
    });
    case.finish_without_copy("it is older than half of delete.retention.ms");
}

#[test]
fn a_topic_that_keeps_deletions_for_less_time_makes_copies_old_sooner() {
    let Some(case) = Case::halfway() else { return };
    case.edit(|store| {
        let header = store.get(b"mkafka").unwrap().unwrap();
        let mut header: serde_json::Value = serde_json::from_slice(&header).unwrap();
        header["written_ms"] = (header["written_ms"].as_i64().unwrap() - 90_000).into();
        let mut batch = WriteBatch::default();
        batch.put(b"mkafka", header.to_string().as_bytes());
        store.write(&batch, Durability::Synced).unwrap();
    });
    let scene = &case.scene;
    let policy = [("cleanup.policy", "compact"), ("delete.retention.ms", "120000")];
    scene.broker.configure_all(&scene.changelog(), &policy);
    case.finish_without_copy("it is older than half of delete.retention.ms");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
