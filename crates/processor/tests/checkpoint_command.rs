//! `processor checkpoint …` on the binary.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // in helpers of tests

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use llm_optimizer_config::settings::StateBackendName;
use llm_optimizer_processor::state::{Durability, StateLock, Store, WriteBatch, open_store};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with state in `state`.
struct Folder {
    dir: TempDir,
}

impl Folder {
    fn new(rows: &[(&[u8], &[u8])]) -> Self {
        let folder = Self { dir: tempfile::tempdir().unwrap() };
        folder.put(rows);
        folder
    }

    fn put(&self, rows: &[(&[u8], &[u8])]) {
        let store = self.store();
        let mut batch = WriteBatch::default();
        for (key, value) in rows {
            batch.put(key, value);
        }
        store.write(&batch, Durability::Synced).unwrap();
    }

    fn store(&self) -> std::sync::Arc<dyn Store> {
        open_store(StateBackendName::Redb, &self.state()).unwrap()
    }

    fn state(&self) -> std::path::PathBuf {
        self.dir.path().join("state")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_processor"));
        command.arg("checkpoint").args(arguments).current_dir(self.dir.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PROCESSOR_")) {
            command.env_remove(name);
        }
        command.output().unwrap()
    }

    /// The JSON that a verb prints when all is well.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--state", "state", "--output", "json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Exit code and standard error.
    fn refusal(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(&[arguments, &["--state", "state"]].concat());
        (output.status.code().unwrap(), text(&output.stderr))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_savepoint_is_kept_listed_shown_verified_and_restored() {
    let folder = Folder::new(&[
        (b"s1", b"old"),
        (b"mcommit", br#"{"positions":[{"partition":"a","position":4}]}"#),
    ]);
    let made = folder.json(&["create"]);
    assert_eq!((&made["id"], &made["kind"]), (&1.into(), &"savepoint".into()));
    folder.put(&[(b"s1", b"new"), (b"s2", b"more")]);
    folder.json(&["create"]);

    let listed = folder.json(&["list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(folder.json(&["show", "1"])["positions"]["a"], "4");
    assert_eq!(folder.json(&["verify"])[1]["ok"], true);
    let changed = &folder.json(&["diff", "1", "2"])["tables"];
    assert_eq!((&changed["state"]["added"], &changed["state"]["changed"]), (&1.into(), &1.into()));
    assert_eq!(changed["meta"]["unchanged"], 1);

    let (code, message) = folder.refusal(&["restore", "1"]);
    assert_eq!(code, 73, "{message}");
    assert!(message.contains("with --replace"), "{message}");
    let restored = folder.json(&["restore", "1", "--replace"]);
    assert_eq!(restored["before"], "the state before is kept as savepoint 3");
    let store = folder.store();
    assert_eq!(store.get(b"s1").unwrap().as_deref(), Some(b"old".as_slice()));
    assert_eq!(store.get(b"s2").unwrap(), None);
}

#[test]
fn text_is_for_people() {
    let folder = Folder::new(&[(b"s1", b"old")]);
    let run =
        |arguments: &[&str]| text(&folder.run(&[arguments, &["--state", "state"]].concat()).stdout);
    assert_eq!(run(&["list"]), "no checkpoints\n");
    assert_eq!(run(&["create"]), "savepoint 1 kept, 1 rows\n");
    assert!(run(&["list"]).contains("FINGERPRINT"));
    assert!(run(&["show", "latest"]).contains("savepoint 1"));
    assert_eq!(run(&["verify", "latest"]), "checkpoint 1: ok, 1 rows\n");
    assert!(run(&["diff", "1", "latest"]).contains("UNCHANGED"));
}

#[test]
fn state_and_checkpoints_are_found_by_a_configuration() {
    let folder = Folder::new(&[(b"s1", b"old")]);
    let yaml = "processor:\n  source: {type: file, path: in.ndjson}\n  state: {path: state, checkpoint_path: kept}\n";
    fs::write(folder.dir.path().join("c.yaml"), yaml).unwrap();
    let output = folder.run(&["create", "--config", "c.yaml"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(folder.dir.path().join("kept/1/manifest.json").exists());
    fs::write(folder.dir.path().join("c.yaml"), "processor: {nonsense: 1}").unwrap();
    assert_eq!(folder.run(&["list", "--config", "c.yaml"]).status.code(), Some(78));
}

#[test]
fn verbs_that_write_wait_for_nobody() {
    let folder = Folder::new(&[(b"s1", b"old")]);
    folder.json(&["create"]);
    let _lock = StateLock::acquire(&folder.state()).unwrap();
    for verb in [["create"].as_slice(), &["restore", "1", "--replace"]] {
        let (code, message) = folder.refusal(verb);
        assert_eq!(code, 69, "{message}");
        assert!(message.contains("in use by another process"), "{message}");
    }
    // Reading is free.
    folder.json(&["verify", "1"]);
}

#[test]
fn what_is_not_there_is_no_input() {
    let folder = Folder { dir: tempfile::tempdir().unwrap() };
    let (code, message) = folder.refusal(&["show", "latest"]);
    assert_eq!((code, message.trim_end()), (66, "there is no checkpoint in state/checkpoints"));
    let (code, message) = folder.refusal(&["create"]);
    assert_eq!((code, message.trim_end()), (66, "there is no state in state"));
    let (code, message) = folder.refusal(&["show", "5"]);
    assert_eq!((code, message.trim_end()), (66, "there is no checkpoint 5; kept are: none"));
    assert_eq!(folder.run(&["list"]).status.code(), Some(64));
    assert_eq!(folder.run(&["show", "newest", "--state", "state"]).status.code(), Some(64));
}

#[test]
fn damage_is_named_and_passed_over() {
    let folder = Folder::new(&[(b"s1", b"old")]);
    folder.json(&["create"]);
    folder.put(&[(b"s1", b"new")]);
    folder.json(&["create"]);
    flip(&folder.state().join("checkpoints/2/rows-00000.dat"), 40);

    let output = folder.run(&["verify", "--state", "state"]);
    assert_eq!(output.status.code(), Some(65));
    assert!(text(&output.stdout).contains("checkpoint 1: ok"), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("checkpoint 2 is damaged: rows-00000.dat"));
    let (code, message) = folder.refusal(&["restore", "2", "--replace"]);
    assert_eq!(code, 65, "{message}");
    assert_eq!(folder.store().get(b"s1").unwrap().as_deref(), Some(b"new".as_slice()));

    let restored = folder.run(&["restore", "latest", "--replace", "--state", "state"]);
    let told = text(&restored.stdout);
    assert!(told.contains("passed over: checkpoint 2 is damaged"), "{told}");
    assert!(told.contains("checkpoint 1 restored"), "{told}");
    assert_eq!(folder.store().get(b"s1").unwrap().as_deref(), Some(b"old".as_slice()));
}

#[test]
fn a_damaged_state_is_moved_aside_and_replaced() {
    let folder = Folder::new(&[(b"s1", b"old")]);
    folder.json(&["create"]);
    fs::write(folder.state().join("state.redb"), "nothing of the kind").unwrap();
    let (code, message) = folder.refusal(&["restore", "latest"]);
    assert_eq!(code, 73, "{message}");
    let restored = folder.json(&["restore", "latest", "--replace"]);
    let before = restored["before"].as_str().unwrap();
    assert!(
        before.starts_with("the state before is kept in state/state.redb.damaged-"),
        "{before}"
    );
    assert_eq!(folder.store().get(b"s1").unwrap().as_deref(), Some(b"old".as_slice()));
}

#[test]
fn a_restore_that_was_interrupted_is_run_again() {
    let folder = Folder::new(&[(b"s1", b"old")]);
    folder.json(&["create"]);
    folder.put(&[(b"s2", b"half")]);
    fs::write(folder.state().join("restoring"), "1\n").unwrap();
    let refused = open_store(StateBackendName::Redb, &folder.state()).unwrap_err().to_string();
    assert!(refused.contains("processor checkpoint restore 1 --replace"), "{refused}");
    let (code, _) = folder.refusal(&["create"]);
    assert_eq!(code, 65);
    folder.json(&["restore", "1", "--replace"]);
    let store = folder.store();
    assert_eq!(store.get(b"s2").unwrap(), None);
    assert_eq!(store.get(b"s1").unwrap().as_deref(), Some(b"old".as_slice()));
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}
