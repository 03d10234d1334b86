//! A real `PostgreSQL` for tests: a cluster in a folder of its own, reached by a socket there.
//!
//! Without the server's programs (Debian: `postgresql`) the tests say loudly that they did not run; with
//! `CI=true` they fail.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use postgres::{Client, NoTls};
use tempfile::TempDir;

use super::certificates::Identity;

/// A cluster that runs until this value is dropped.
pub(crate) struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    /// Further settings of the server.
    more: String,
    /// Where it listens, if it does so over TLS.
    port: Option<u16>,
}

impl Cluster {
    /// A new cluster, or `None` where there can be none.
    pub(crate) fn start() -> Option<Self> {
        let cluster = Self::make()?;
        cluster.up();
        Some(cluster)
    }

    /// One that also listens at a port, over TLS alone, as whoever `identity` says.
    pub(crate) fn start_tls(identity: &Identity) -> Option<Self> {
        let mut cluster = Self::make()?;
        let folder = cluster.folder.path().to_owned();
        for (name, text) in [("server.pem", &identity.certificate), ("server.key", &identity.key)] {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            let owner = fs::metadata(&folder).unwrap();
            chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let access = "local all all trust\nhostssl all all 127.0.0.1/32 trust\nhostssl all all ::1/128 trust\n";
        fs::write(folder.join("data/pg_hba.conf"), access).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let files = folder.display();
        cluster.port = Some(port);
        cluster.more = format!(
            "-c listen_addresses=localhost -c port={port} -c ssl=on -c ssl_cert_file={files}/server.pem \
             -c ssl_key_file={files}/server.key"
        );
        cluster.up();
        Some(cluster)
    }

    fn make() -> Option<Self> {
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
        let cluster =
            Self { folder, programs, more: String::from("-c listen_addresses=''"), port: None };
        let data = cluster.data();
        cluster.run(
            "initdb",
            &["-D", &data, "-U", "app", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"],
        );
        Some(cluster)
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    /// Starts the server and waits until it answers.
    pub(crate) fn up(&self) {
        let socket = self.folder.path().display();
        let options = format!(
            "{} -c unix_socket_directories={socket} -c max_connections=40 -c shared_buffers=16MB -c fsync=off",
            self.more
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
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("postgres://app:hunter2@{socket}{port}/postgres")
    }

    /// The same at `host`, with these parameters.
    pub(crate) fn url_over_tls(&self, host: &str, parameters: &str) -> String {
        let port = self.port.expect("it listens over TLS");
        format!("postgres://app:hunter2@{host}:{port}/postgres?{parameters}")
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
