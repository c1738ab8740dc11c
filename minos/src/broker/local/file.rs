//! The file: where it is, what is in it, how it is opened.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::Instant;

use super::{Options, error};
use crate::{
    broker::{Error, Result},
    clock::Clock,
};

/// Marks the file as a broker's: `MinB`.
const APPLICATION: i64 = 0x4d69_6e42;
/// The version of the tables.
const VERSION: i64 = 1;

/// Offsets are never used twice (`AUTOINCREMENT`): a cursor must not meet another message where one was.
const TABLES: &str = "
    CREATE TABLE topics (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        partitions INTEGER NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE messages (
        offset INTEGER PRIMARY KEY AUTOINCREMENT,
        topic INTEGER NOT NULL,
        partition INTEGER NOT NULL,
        format INTEGER NOT NULL,
        stored_at INTEGER NOT NULL,
        envelope BLOB NOT NULL,
        payload BLOB NOT NULL
    ) STRICT;
    CREATE INDEX messages_by_partition ON messages (topic, partition);
    CREATE TABLE groups (
        name TEXT PRIMARY KEY,
        generation INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE members (
        id TEXT PRIMARY KEY,
        of_group TEXT NOT NULL,
        topics TEXT NOT NULL,
        until INTEGER NOT NULL,
        lease INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE cursors (
        of_group TEXT NOT NULL,
        topic INTEGER NOT NULL,
        partition INTEGER NOT NULL,
        owner TEXT,
        committed INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (of_group, topic, partition)
    ) STRICT, WITHOUT ROWID;
";

/// An opened file, and how to get more connections to it.
#[derive(Debug, Clone)]
pub(super) struct File {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    patience: Duration,
}

impl File {
    /// Finds or creates the file and its tables; answers the connection that did it as well.
    pub(super) async fn open(place: &Path, options: &Options) -> Result<(Self, SqliteConnection)> {
        let text = place.to_str();
        let path = text.and_then(|url| url.strip_prefix("local://"));
        let path = path.map_or(place, Path::new).to_path_buf();
        let named = |what: String| format!("the broker's file `{}` {what}", path.display());
        if path.as_os_str().is_empty() || path.starts_with(":memory:") {
            let what = named("is none: say a path, or use `broker::memory`".to_owned());
            return Err(Error::Backend(what.into()));
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| {
                Error::Unavailable(
                    named(format!("has no folder, and it cannot be made: {e}")).into(),
                )
            })?;
        }
        if let Some(kind) = network(&path) {
            let what = format!("is on a network file system ({kind}), where its locks do not hold");
            return Err(Error::Backend(named(what).into()));
        }
        let file = Self {
            path: path.clone(),
            clock: Arc::clone(&options.clock),
            patience: options.patience,
        };
        let mut connection = file.connect().await.map_err(|e| match error::from(e) {
            Error::Unavailable(e) => {
                Error::Unavailable(named(format!("cannot be opened: {e}")).into())
            }
            e => Error::Backend(named(format!("cannot be opened: {}", cause(&e))).into()),
        })?;
        let made = file.prepare(&mut connection).await;
        let found = made.map_err(|e| match error::from(e) {
            Error::Unavailable(e) => Error::Unavailable(named(format!("is away: {e}")).into()),
            e => Error::Backend(named(format!("cannot be used: {}", cause(&e))).into()),
        })?;
        match found {
            (APPLICATION, VERSION) => Ok((file, connection)),
            (APPLICATION, version) => {
                let what = format!("has version {version}, and this program reads {VERSION}");
                Err(Error::Backend(named(what).into()))
            }
            _ => Err(Error::Backend(
                named("belongs to something else".to_owned()).into(),
            )),
        }
    }

    /// Makes the tables in an empty file; answers whose file it is then, and its version.
    async fn prepare(&self, connection: &mut SqliteConnection) -> sqlx::Result<(i64, i64)> {
        let mut retry = self.retry();
        loop {
            match marks(connection).await {
                Ok(found) if found == (APPLICATION, VERSION) => return Ok(found),
                // The two marks are read one after the other: only under the lock they belong together.
                Ok(_) => break,
                Err(e) => retry.after(e).await?,
            }
        }
        let mut unit = loop {
            match connection.begin_with("BEGIN IMMEDIATE").await {
                Ok(unit) => break unit,
                Err(e) => retry.after(e).await?,
            }
        };
        let tables = "SELECT count(*) FROM sqlite_schema";
        let tables: i64 = sqlx::query_scalar(tables).fetch_one(&mut *unit).await?;
        let found = marks(&mut unit).await?;
        if found != (0, 0) || tables != 0 {
            return Ok(found);
        }
        sqlx::raw_sql(TABLES).execute(&mut *unit).await?;
        let mark =
            format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}");
        let mark = sqlx::raw_sql(sqlx::AssertSqlSafe(mark));
        mark.execute(&mut *unit).await?;
        unit.commit().await?;
        Ok((APPLICATION, VERSION))
    }

    /// How connections are made. They never wait for a lock within SQLite: [`Retry`] does that without a thread.
    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::ZERO)
            .pragma("journal_size_limit", "67108864")
            .foreign_keys(false)
            .row_buffer_size(1024)
            .thread_name(|_| "minos-broker".to_owned())
            .disable_statement_logging()
    }

    /// How connections for reading are made: they are never in anybody's way, and hardly ever have to wait.
    pub(super) fn reading(&self) -> SqliteConnectOptions {
        let patience = self.patience;
        self.options()
            .busy_timeout(patience)
            .pragma("query_only", "ON")
    }

    pub(super) async fn connect(&self) -> sqlx::Result<SqliteConnection> {
        let mut retry = self.retry();
        loop {
            match self.options().connect().await {
                Ok(connection) => return Ok(connection),
                Err(e) => retry.after(e).await?,
            }
        }
    }

    pub(super) fn retry(&self) -> Retry {
        Retry {
            clock: Arc::clone(&self.clock),
            until: Instant::now() + self.patience,
            pause: Duration::from_micros(200),
        }
    }
}

/// Waits while others write: short at first, longer then, never in step with them.
pub(super) struct Retry {
    clock: Arc<dyn Clock>,
    until: Instant,
    pause: Duration,
}

impl Retry {
    /// Waits if trying again makes sense, or gives the error back.
    pub(super) async fn after(&mut self, e: sqlx::Error) -> sqlx::Result<()> {
        if !error::is_busy(&e) || Instant::now() >= self.until {
            return Err(e);
        }
        let pause = self.pause.mul_f64(0.5 + self.clock.chance());
        tokio::time::sleep(pause).await;
        self.pause = (self.pause * 2).min(Duration::from_millis(10));
        Ok(())
    }
}

async fn marks(connection: &mut SqliteConnection) -> sqlx::Result<(i64, i64)> {
    let marks =
        "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version";
    let marks = sqlx::query(marks).fetch_one(connection).await?;
    Ok((marks.try_get(0)?, marks.try_get(1)?))
}

fn cause(e: &Error) -> String {
    std::error::Error::source(e).map_or_else(|| e.to_string(), ToString::to_string)
}

/// The kind of network file system a path is on, where the system says so.
///
/// SQLite's locks and shared memory do not work across machines; the log would be damaged without a word.
fn network(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let folder = path.ancestors().find_map(|p| p.canonicalize().ok())?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    mounted(&folder, &mounts)
}

fn mounted(folder: &Path, mounts: &str) -> Option<String> {
    const NETWORK: [&str; 10] = [
        "afs",
        "ceph",
        "cifs",
        "fuse.sshfs",
        "glusterfs",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    ];
    let kind = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            // A blank in a path is written as an octal number.
            let at = words.next()?.replace("\\040", " ");
            let kind = words.next()?;
            folder.starts_with(&at).then_some((at.len(), kind))
        })
        // The last of equal ones lies on top.
        .max_by_key(|(length, _)| *length)?
        .1;
    NETWORK.contains(&kind).then(|| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_decides() {
        let mounts = "\
            /dev/sda1 / ext4 rw 0 0\n\
            server:/home /home nfs4 rw 0 0\n\
            /dev/sdb1 /home/local\\040disk xfs rw 0 0\n";
        let kind = |path| mounted(Path::new(path), mounts);
        assert_eq!(kind("/var/data"), None);
        assert_eq!(kind("/home/ann"), Some("nfs4".into()));
        assert_eq!(kind("/homework"), None);
        assert_eq!(kind("/home/local disk/data"), None);
    }
}
