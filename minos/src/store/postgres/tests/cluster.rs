//! Servers of a test's own, to be crashed, copied, and promoted.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A server; stopped and removed with this.
pub(super) struct Cluster {
    folder: tempfile::TempDir,
    port: u16,
}

/// Where the programs are: on the path, or where Debian has them.
fn programs() -> PathBuf {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<PathBuf> = debian
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_default()
}

/// A program of PostgreSQL, as a user who may run a server: `initdb` refuses root.
fn run(program: &str, arguments: &[&str]) -> Output {
    let path = programs().join(program);
    let root = Path::new("/root").metadata().is_ok() && fs::read_dir("/root").is_ok();
    let mut command = if root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(path);
        command
    } else {
        Command::new(path)
    };
    let output = command.args(arguments).current_dir("/").output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn free_port() -> u16 {
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    door.local_addr().unwrap().port()
}

impl Cluster {
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        // The server's user is another one than ours.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        folder
    }

    /// A new, empty server.
    pub(super) fn new() -> Self {
        let cluster = Self {
            folder: Self::folder(),
            port: free_port(),
        };
        let data = cluster.data();
        run(
            "initdb",
            &[
                "-D", &data, "-U", "minos", "-A", "trust", "-N", "-E", "UTF8",
            ],
        );
        cluster.start();
        cluster
    }

    /// A server that lets nobody in without TLS; answers the file of the authority that signed its certificate, which
    /// is for `127.0.0.1`.
    pub(super) fn with_tls() -> (Self, String) {
        let cluster = Self::new();
        cluster.stop();
        let data = cluster.data();
        let in_data = |name: &str| format!("{data}/{name}");
        let (key, certificate) = (in_data("server.key"), in_data("server.crt"));
        let authority = cluster.folder.path().join("authority.crt");
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            ])
            .args([
                "-subj",
                "/CN=127.0.0.1",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                // It is shown as it is trusted, so it must not be one that signs others.
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ])
            .args(["-keyout", &key, "-out", &certificate])
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        fs::copy(&certificate, &authority).unwrap();
        // The server refuses a key that others may read.
        let data_folder = fs::metadata(&data).unwrap();
        for file in [&key, &certificate] {
            std::os::unix::fs::chown(file, Some(data_folder.uid()), Some(data_folder.gid()))
                .unwrap();
        }
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(
            in_data("pg_hba.conf"),
            "hostssl all all 127.0.0.1/32 trust\n",
        )
        .unwrap();
        let mut settings = fs::OpenOptions::new()
            .append(true)
            .open(in_data("postgresql.conf"))
            .unwrap();
        settings.write_all(b"ssl = on\n").unwrap();
        cluster.start();
        (cluster, authority.display().to_string())
    }

    /// A server that follows this one.
    pub(super) fn standby(&self) -> Self {
        let standby = Self {
            folder: Self::folder(),
            port: free_port(),
        };
        let (port, data) = (self.port.to_string(), standby.data());
        run(
            "pg_basebackup",
            &[
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "minos",
                "-D",
                &data,
                "-R",
                "-c",
                "fast",
            ],
        );
        standby.start();
        standby
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    pub(super) fn start(&self) {
        let folder = self.folder.path().display();
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}",
            self.port
        );
        let log = format!("{folder}/log");
        let data = self.data();
        run(
            "pg_ctl",
            &["-D", &data, "-o", &options, "-l", &log, "-w", "start"],
        );
    }

    pub(super) fn stop(&self) {
        run("pg_ctl", &["-D", &self.data(), "-m", "fast", "-w", "stop"]);
    }

    /// As if the machine had lost its power.
    pub(super) fn crash(&self) {
        run(
            "pg_ctl",
            &["-D", &self.data(), "-m", "immediate", "-w", "stop"],
        );
    }

    pub(super) fn promote(&self) {
        run("pg_ctl", &["-D", &self.data(), "-w", "promote"]);
    }

    /// Copies the database into another server, as SQL.
    pub(super) fn restore_into(&self, other: &Self) {
        let file = self.folder.path().join("dump").display().to_string();
        let (from, to) = (self.port.to_string(), other.port.to_string());
        let server = |port| ["-h", "127.0.0.1", "-U", "minos", "-p", port];
        run(
            "pg_dump",
            &[&server(&from)[..], &["-f", &file, "postgres"]].concat(),
        );
        let strict = ["-v", "ON_ERROR_STOP=1", "-q", "-f", &file, "postgres"];
        run("psql", &[&server(&to)[..], &strict].concat());
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://minos:pw@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if fs::exists(self.folder.path().join("data/postmaster.pid")).unwrap_or(false) {
            let stopped = std::panic::catch_unwind(|| self.crash());
            drop(stopped);
        }
        // The files belong to the server's user.
        let data = self.data();
        let removed = std::panic::catch_unwind(|| {
            if fs::remove_dir_all(&data).is_err() {
                Command::new("rm").args(["-rf", &data]).status().unwrap();
            }
        });
        drop(removed);
    }
}
