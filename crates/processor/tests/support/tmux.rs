//! A terminal as people use one: tmux, with a shell in it. Without tmux the tests say loudly that they did not run; with
//! `CI=true` they fail.

use std::{
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A terminal with a shell; gone with this value.
pub(crate) struct Tmux {
    socket: String,
    dir: TempDir,
}

impl Tmux {
    /// A terminal of this size, or `None` where there can be none.
    pub(crate) fn start(columns: u16, lines: u16) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "no tmux on this machine, and CI=true: run scripts/setup test"
            );
            eprintln!("NOT RUN: there is no tmux on this machine; scripts/setup test installs it");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket").display().to_string();
        let tmux = Self { socket, dir };
        let (columns, lines) = (columns.to_string(), lines.to_string());
        let folder = tmux.folder().display().to_string();
        let size = ["-x", &columns, "-y", &lines];
        let begun = tmux.tmux(
            &[&["new-session", "-d", "-c", &folder], &size[..], &["env", "PS1=$ ", "sh"]].concat(),
        );
        assert!(begun.status.success(), "{begun:?}");
        tmux.wait_for("the shell", |text| text.contains('$'));
        Some(tmux)
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.args(["-S", &self.socket, "-f", "/dev/null"]).args(arguments);
        command.env("LC_ALL", "C.UTF-8").env_remove("TMUX").output().unwrap()
    }

    /// The folder the shell is in.
    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.path().into()
    }

    /// Types a line and Enter.
    pub(crate) fn line(&self, text: &str) {
        assert!(self.tmux(&["send-keys", "-l", text]).status.success());
        self.press("Enter");
    }

    /// Presses a key.
    pub(crate) fn press(&self, key: &str) {
        assert!(self.tmux(&["send-keys", key]).status.success());
    }

    pub(crate) fn resize(&self, columns: u16, lines: u16) {
        let (columns, lines) = (columns.to_string(), lines.to_string());
        let resized = self.tmux(&["resize-window", "-x", &columns, "-y", &lines]);
        assert!(resized.status.success(), "{resized:?}");
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        String::from_utf8(self.tmux(&["capture-pane", "-p"]).stdout).unwrap()
    }

    /// Waits until the screen is as `is_it` says.
    pub(crate) fn wait_for(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !is_it(&self.screen()) {
            let screen = self.screen();
            assert!(begun.elapsed() < Duration::from_mins(1), "{what} never came:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal to the program that the shell runs.
    pub(crate) fn signal_child(&self, signal: &str) {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"]);
        let shell = String::from_utf8(shell.stdout).unwrap();
        let children =
            Command::new("ps").args(["-o", "pid=", "--ppid", shell.trim()]).output().unwrap();
        let child = String::from_utf8(children.stdout).unwrap();
        let sent =
            Command::new("kill").args([&format!("-{signal}"), child.trim()]).status().unwrap();
        assert!(sent.success(), "no child of {shell}: {child}");
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        drop(self.tmux(&["kill-server"]));
        // The folder goes after the server.
        let _ = self.dir.path();
    }
}
