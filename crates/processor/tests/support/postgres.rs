//! A real `PostgreSQL` for tests: a cluster in a folder of its own, reached by a socket there.
//!
//! Without the server's programs (Debian: `postgresql`) the tests say loudly that they did not run; with
//! `CI=true` they fail.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use postgres::{Client, NoTls};
use tempfile::TempDir;

/// A cluster that runs until this value is dropped.
pub(crate) struct Cluster {
    folder: TempDir,
    programs: PathBuf,
}

impl Cluster {
    /// A new cluster, or `None` where there can be none.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "no PostgreSQL on this machine, and CI=true: run scripts/setup test"
            );
            eprintln!("NO POSTGRESQL (apt-get install postgresql): THIS TEST DID NOT RUN");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        // The server refuses to run as root.
        if fs::metadata(folder.path()).unwrap().uid() == 0 {
            let (user, group) = nobody();
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let cluster = Self { folder, programs };
        let data = cluster.data();
        cluster.run(
            "initdb",
            &["-D", &data, "-U", "app", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"],
        );
        cluster.up();
        Some(cluster)
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    /// Starts the server and waits until it answers.
    pub(crate) fn up(&self) {
        let socket = self.folder.path().display();
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories={socket} -c max_connections=40 \
             -c shared_buffers=16MB -c fsync=off"
        );
        let log = self.folder.path().join("log").display().to_string();
        self.run("pg_ctl", &["-D", &self.data(), "-l", &log, "-o", &options, "-w", "start"]);
    }

    /// Ends the server as a crash would: without a checkpoint, connections cut.
    pub(crate) fn kill(&self) {
        self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "stop"]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = as_unprivileged(&self.programs.join(program), self.folder.path())
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.folder.path().join(format!("{program}.err"))).unwrap())
            .status()
            .unwrap();
        let said = fs::read_to_string(self.folder.path().join(format!("{program}.err")));
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        assert!(output.success(), "{program}: {said:?}\n{log}");
    }

    /// The address of the database for a sink.
    pub(crate) fn url(&self) -> String {
        let socket = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://app:hunter2@{socket}/postgres")
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.url(), NoTls).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stop = as_unprivileged(&self.programs.join("pg_ctl"), self.folder.path())
            .args(["-D", &self.data(), "-m", "immediate", "-w", "stop"])
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        drop(stop);
    }
}

/// Debian keeps the server's programs by version; the newest counts.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions
        .map(|version| version.path().join("bin"))
        .filter(|programs| programs.join("initdb").exists())
        .collect();
    found.sort();
    let on_path = || Path::new("/usr/bin/initdb").exists().then(|| PathBuf::from("/usr/bin"));
    found.pop().or_else(on_path)
}

/// User and group `nobody`.
fn nobody() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("nobody:")).expect("a user nobody");
    let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
    (fields.next().unwrap(), fields.next().unwrap())
}

fn as_unprivileged(program: &Path, folder: &Path) -> Command {
    let (uid, gid) = (fs::metadata(folder).unwrap().uid(), fs::metadata(folder).unwrap().gid());
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".into()]);
    command.arg(program);
    command
}
