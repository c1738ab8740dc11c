//! The database file: where it is, whether it may be there, and connections to it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{
    ConnectOptions, Executor, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Options, fault};
use crate::store::{Error, Result};

/// File systems whose locks or shared memory SQLite cannot trust.
const NETWORK: [&str; 16] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse.ceph",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "glusterfs",
    "lustre",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
];

/// The path in `sqlite://data/foo.db`, `sqlite:data/foo.db`, or `data/foo.db`.
pub(super) fn path_of(url: &str) -> Result<PathBuf> {
    let path = url
        .strip_prefix("sqlite://")
        .or_else(|| url.strip_prefix("sqlite:"));
    let has_options = path.is_some_and(|p| p.contains('?'));
    let path = path.unwrap_or(url);
    if path.is_empty() || path == ":memory:" {
        return Err(Error::Unsupported(format!(
            "`{url}` names no file; use the memory store for a database that may be lost"
        )));
    }
    if has_options {
        return Err(Error::Unsupported(format!(
            "`{url}` has options behind `?`; a URL of this store is only `sqlite://` and a path"
        )));
    }
    Ok(path.into())
}

/// Makes the folder, and refuses a network file system.
pub(super) fn prepare(path: &Path) -> Result<()> {
    let away = |e: std::io::Error| Error::Unavailable(e.into());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(away)?;
    let folder = folder.canonicalize().map_err(away)?;
    // Where there is no such file (not Linux), nothing is known and nothing refused.
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    match network(&mounts, &folder) {
        None => Ok(()),
        Some(kind) => Err(Error::Unsupported(format!(
            "{} is on a network file system ({kind}), where SQLite loses data; put the file on a local disk, or \
             use PostgreSQL",
            path.display()
        ))),
    }
}

/// The kind of the network file system that holds a folder, if it is one.
fn network<'m>(mounts: &'m str, folder: &Path) -> Option<&'m str> {
    let mut holds: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(point), Some(kind)) = (fields.next(), fields.next()) else {
            continue;
        };
        let point = point.replace("\\040", " ").replace("\\011", "\t");
        let depth = Path::new(&point).components().count();
        // The last of several on one point is on top.
        if folder.starts_with(&point) && holds.is_none_or(|(d, _)| d <= depth) {
            holds = Some((depth, kind));
        }
    }
    holds
        .map(|(_, kind)| kind)
        .filter(|kind| NETWORK.contains(kind))
}

/// The writer's connection, and the hooks that it asks before it commits or goes on.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sqlite: SqliteConnection,
    pub(super) gate: Arc<Gate>,
}

/// What the hooks of a connection look at.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// User SQL runs: a COMMIT becomes a ROLLBACK.
    closed: AtomicBool,
    /// The running statement is to be interrupted.
    stop: AtomicBool,
    /// The transaction was rolled back.
    lost: AtomicBool,
}

impl Gate {
    /// User SQL begins.
    pub(super) fn close(&self) {
        self.lost.store(false, Ordering::SeqCst);
        self.closed.store(true, Ordering::SeqCst);
    }

    /// User SQL ends: the writer may commit.
    pub(super) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.stop.store(false, Ordering::SeqCst);
    }

    /// Interrupts the running statement.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Whether there was a rollback since user SQL began.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }
}

/// Opens connections to one file.
#[derive(Debug, Clone)]
pub(super) struct File {
    path: PathBuf,
    options: Options,
}

/// How many steps of SQLite's virtual machine pass between two looks at the gate.
const STEPS: i32 = 10_000;

impl File {
    pub(super) fn new(path: PathBuf, options: Options) -> Self {
        Self { path, options }
    }

    fn base(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .thread_name(|n| format!("minos-sqlite-{n}"))
            .statement_cache_capacity(256)
            .row_buffer_size(1024)
            .disable_statement_logging()
    }

    /// The connection that writes. It waits for nobody by itself: SQLite's own waiting has no jitter and blocks the
    /// thread.
    pub(super) async fn writer(&self) -> sqlx::Result<Connection> {
        let mut options = self
            .base()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::ZERO);
        if let Some(pages) = self.options.max_pages {
            options = options.pragma("max_page_count", pages.to_string());
        }
        // Changing a new file to WAL needs the lock, too.
        let mut pauses = Pauses::new(self.options.busy_timeout);
        let mut sqlite = loop {
            match options.connect().await {
                Err(e) if fault::is_busy(&e) && pauses.pause().await => {}
                outcome => break outcome?,
            }
        };
        let gate = Arc::new(Gate::default());
        let mut handle = sqlite.lock_handle().await?;
        let hook = gate.clone();
        handle.set_commit_hook(move || !hook.closed.load(Ordering::SeqCst));
        let hook = gate.clone();
        handle.set_rollback_hook(move || hook.lost.store(true, Ordering::SeqCst));
        let hook = gate.clone();
        handle.set_progress_handler(STEPS, move || !hook.stop.load(Ordering::SeqCst));
        drop(handle);
        Ok(Connection { sqlite, gate })
    }

    /// Connections that only read.
    pub(super) fn readers(&self) -> SqlitePool {
        let options = self
            .base()
            .busy_timeout(self.options.busy_timeout)
            .pragma("query_only", "on");
        SqlitePoolOptions::new()
            .max_connections(self.options.readers.max(1))
            .acquire_timeout(self.options.busy_timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(options)
    }
}

/// Begins a transaction that may write, as soon as nobody else does.
pub(super) async fn begin(connection: &mut Connection, patience: Duration) -> sqlx::Result<()> {
    let mut pauses = Pauses::new(patience);
    loop {
        match connection.sqlite.execute("BEGIN IMMEDIATE").await {
            Err(e) if fault::is_busy(&e) && pauses.pause().await => {}
            outcome => return outcome.map(drop),
        }
    }
}

/// Growing and random pauses while somebody else holds the lock.
pub(super) struct Pauses {
    deadline: tokio::time::Instant,
    next: Duration,
}

impl Pauses {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            deadline: tokio::time::Instant::now() + patience,
            next: Duration::from_micros(500),
        }
    }

    /// Waits a little; `false` once patience is at its end.
    pub(super) async fn pause(&mut self) -> bool {
        if tokio::time::Instant::now() >= self.deadline {
            return false;
        }
        tokio::time::sleep(self.next.mul_f64(0.5 + fastrand::f64())).await;
        self.next = (self.next * 2).min(Duration::from_millis(20));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_paths() {
        let path = |url| path_of(url).map(|p| p.display().to_string());
        assert_eq!(path("sqlite://data/foo.db").unwrap(), "data/foo.db");
        assert_eq!(path("sqlite:///srv/foo.db").unwrap(), "/srv/foo.db");
        assert_eq!(path("sqlite:foo.db").unwrap(), "foo.db");
        assert_eq!(path("what?.db").unwrap(), "what?.db");
        for bad in [
            "",
            "sqlite://",
            ":memory:",
            "sqlite::memory:",
            "sqlite://a.db?mode=rwc",
        ] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn network_file_systems_are_known_by_their_mount() {
        let mounts = "/dev/sda1 / ext4 rw 0 0\nserver:/export /srv nfs4 rw 0 0\n\
                      /dev/sdb1 /srv/local xfs rw 0 0\n//nas/x /mnt/my\\040share cifs rw 0 0\n";
        let kind = |folder: &str| network(mounts, Path::new(folder));
        assert_eq!(kind("/var/lib"), None);
        assert_eq!(kind("/srv/data"), Some("nfs4"));
        assert_eq!(kind("/srv/local/data"), None);
        assert_eq!(kind("/srv-else"), None);
        assert_eq!(kind("/mnt/my share/a"), Some("cifs"));
    }
}
