//! The real binary in a folder of its own.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use llm_optimizer_processor::runtime::RunReport;
use llm_optimizer_sim::{
    oracle::{Statistic, Window},
    records::RecordsConfig,
};
use tempfile::TempDir;

/// A working directory with a configuration.
pub(crate) struct Workplace {
    pub(crate) dir: TempDir,
}

impl Workplace {
    pub(crate) fn new(yaml: &str) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        place.write("c.yaml", yaml.as_bytes());
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Removes a file or a folder, if it is there.
    pub(crate) fn remove(&self, name: &str) {
        drop(fs::remove_file(self.path(name)));
        drop(fs::remove_dir_all(self.path(name)));
    }

    /// The text of a file, empty if it is not there.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn report(&self) -> RunReport {
        serde_json::from_str(&self.read("report.json")).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_processor"));
        command.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PROCESSOR_")) {
            command.env_remove(name);
        }
        command
    }

    /// `processor run --config c.yaml --report report.json`, to its end.
    pub(crate) fn run(&self, more: &[&str], env: &[(&str, &str)]) -> Output {
        let arguments = ["run", "--config", "c.yaml", "--report", "report.json"];
        let arguments: Vec<&str> = arguments.iter().chain(more).copied().collect();
        self.command(&arguments).envs(env.iter().copied()).output().unwrap()
    }

    /// The same in the background, logs in `log.txt`.
    pub(crate) fn start(&self, more: &[&str]) -> Running {
        self.start_with(more, &[])
    }

    /// The same with these variables.
    pub(crate) fn start_with(&self, more: &[&str], env: &[(&str, &str)]) -> Running {
        let arguments = ["run", "--config", "c.yaml", "--report", "report.json"];
        let arguments: Vec<&str> = arguments.iter().chain(more).copied().collect();
        let log = fs::File::create(self.path("log.txt")).unwrap();
        let mut command = self.command(&arguments);
        command.envs(env.iter().copied());
        Running(command.stderr(log).stdout(Stdio::null()).spawn().unwrap())
    }

    /// The same where no file may be longer than `max_bytes`, as on a disk that is full, until
    /// [`Running::has_room`].
    pub(crate) fn start_limited(&self, max_bytes: u64) -> Running {
        let script = format!("trap '' XFSZ; ulimit -S -f {}; exec \"$0\" \"$@\"", max_bytes / 512);
        let log = fs::File::create(self.path("log.txt")).unwrap();
        let mut command = self.shell(&script);
        Running(command.stderr(log).stdout(Stdio::null()).spawn().unwrap())
    }

    /// A shell that carries out `script`, whose `$0` and arguments are those of a run.
    fn shell(&self, script: &str) -> Command {
        let run = ["run", "--config", "c.yaml", "--report", "report.json"];
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_processor")]).args(run);
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PROCESSOR_")) {
            command.env_remove(name);
        }
        command
    }

    /// Waits until a file of the folder satisfies `done`.
    pub(crate) fn wait_for(&self, file: &str, what: &str, done: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !done(&self.read(file)) {
            let text = self.read(file);
            assert!(begun.elapsed() < Duration::from_mins(1), "{what} never came:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A child that does not outlive the test.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn terminate(&self) {
        let status = Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Its files may be as long as they like.
    pub(crate) fn has_room(&self) {
        let pid = self.0.id().to_string();
        let status = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
        assert!(status.unwrap().success());
    }

    /// Kills it as a crash would; false if it had ended in order before.
    pub(crate) fn kill(mut self) -> bool {
        self.0.kill().unwrap();
        let status = self.0.wait().unwrap();
        assert!(status.code().is_none_or(|code| code == 0), "it failed before: {status}");
        status.code().is_none()
    }

    /// Exit code; `None` if it does not end within `time`, after which it is killed.
    pub(crate) fn wait_for(mut self, time: Duration) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// Exit code; fails after a minute.
    pub(crate) fn wait(mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "the run does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The configuration of `window` for the oracle, and the same as YAML below `processor:`.
pub(crate) fn query(window: Window, lateness_ms: i64) -> (RecordsConfig, String) {
    let secs = |ms: i64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
    let lateness = secs(lateness_ms);
    let window_yaml = match window {
        Window::Tumbling { size_ms, offset_ms } => format!(
            "{{ default_type: tumbling, tumbling: {{ size_secs: {}, offset_secs: {}, allowed_lateness_secs: {lateness} }} }}",
            secs(size_ms),
            secs(offset_ms)
        ),
        Window::Sliding { size_ms, slide_ms, .. } => format!(
            "{{ default_type: sliding, sliding: {{ size_secs: {}, slide_secs: {}, allowed_lateness_secs: {lateness} }} }}",
            secs(size_ms),
            secs(slide_ms)
        ),
        Window::Session { gap_ms } => format!(
            "{{ default_type: session, session: {{ gap_secs: {}, allowed_lateness_secs: {lateness} }} }}",
            secs(gap_ms)
        ),
    };
    let yaml = format!(
        "  event:
    profile: custom
    timestamp: timestamp
    key: [service, model]
    values: {{ latency_ms: metrics.latency_ms }}
  windows: {window_yaml}
  watermark: {{ strategy: bounded_out_of_orderness, max_out_of_orderness_secs: 5 }}
  aggregation: {{ enabled: [count, sum, average, min, max, stddev, percentile], percentiles: [50, 95, 99.9] }}
"
    );
    let mut config =
        RecordsConfig { window, allowed_lateness_ms: lateness_ms, ..RecordsConfig::default() };
    config.statistics.retain(|statistic| !matches!(statistic, Statistic::Percentile(_)));
    config.statistics.extend([50_000, 95_000, 99_900].map(Statistic::Percentile));
    (config, yaml)
}

/// File in, files out.
pub(crate) const FILES: &str = "processor:
  source: { type: file, path: events.ndjson }
  sinks: [ { type: file, path: results.ndjson } ]
  side_outputs: { late: { type: file, path: late.ndjson }, dead_letter: { type: file, path: dead.ndjson } }
";
