//! The embedded event store in an SQLite file.
//!
//! One task writes, any number of tasks read. What is submitted while a transaction runs goes into the next one:
//! one `COMMIT`, and one sync of the disk, for many units. A unit is acknowledged after that `COMMIT`.
//!
//! Several processes may open one file; the write lock is SQLite's. User SQL shares the file: the tables of this
//! store begin with `minos_`, all other names are the user's.

mod batch;
mod changes;
mod fault;
mod file;
mod find;
mod known;
mod letters;
mod read;
mod rows;
mod schema;
mod script;
#[cfg(test)]
mod tests;
mod tokens;
mod user;
mod writer;

use std::{collections::BTreeMap, fmt, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::SqlitePool;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use self::{
    batch::{Answer, Work},
    file::File,
    user::Loan,
    writer::{Command, Job, PROBE, Writer},
};
use super::{
    Cursor, DeadLetter, Error, Find, Guard, Head, LetterFilter, Old, Position, Result, SagaFilter,
    SagaRow, SqlTransaction, StoredEvent, StreamId, Timer, UnitOfWork,
};
use crate::{
    message::{Message, Outcome},
    payload::Payload,
};

/// How a store works.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many connections read.
    pub readers: u32,
    /// How many units share a commit at most.
    pub batch: usize,
    /// How long to wait for the lock of another process.
    pub busy_timeout: Duration,
    /// How long a transaction of user SQL may hold the writer.
    pub budget: Duration,
    /// How often to look for commits of other processes.
    pub poll: Duration,
    /// The largest size of the file, in pages of 4096 bytes; for tests of a full disk.
    #[doc(hidden)]
    pub max_pages: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: 4,
            batch: 256,
            busy_timeout: Duration::from_secs(5),
            budget: Duration::from_secs(1),
            poll: Duration::from_millis(20),
            max_pages: None,
        }
    }
}

/// How many submissions wait without waiting to be queued.
const QUEUE: usize = 1024;

/// An event store in an SQLite file.
pub struct Store {
    queue: mpsc::Sender<Command>,
    readers: SqlitePool,
    changes: watch::Sender<u64>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("sqlite::Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the file at a path (`data/foo.db`) or URL (`sqlite://data/foo.db`); makes it, its folder and its tables
    /// where they are missing.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a path where the store would not be safe, such as a network file system;
    /// [`Error::Corrupt`] for a file that is no database, or that a newer version wrote; [`Error::Unavailable`] for
    /// one that cannot be opened.
    pub async fn open(path_or_url: &str, options: Options) -> Result<Self> {
        let path = file::path_of(path_or_url)?;
        file::prepare(&path)?;
        let file = File::new(path, options.clone());
        let mut writer = file.writer().await.map_err(fault::explain)?;
        let begun = file::begin(&mut writer, options.busy_timeout).await;
        begun.map_err(fault::explain)?;
        schema::migrate(&mut writer.sqlite).await?;
        // What a crash left in the log is in the database before anybody is served.
        writer::checkpoint(&mut writer)
            .await
            .map_err(fault::explain)?;

        let readers = file.readers();
        let changes = watch::Sender::new(0);
        let (queue, commands) = mpsc::channel(QUEUE);
        let writer = Writer::new(commands, file, options, changes.clone(), writer);
        tokio::spawn(writer.run());
        Ok(Self {
            queue,
            readers,
            changes,
        })
    }

    /// Gives work to the writer, which finishes it even if nobody waits any more.
    async fn submit(&self, work: Work) -> Result<Answer> {
        let (answer, answered) = oneshot::channel();
        let command = Command::Job(Job { work, answer });
        self.queue.send(command).await.map_err(|_| closed())?;
        answered
            .await
            .unwrap_or_else(|e| Err(Error::OutcomeUnknown(e.into())))
    }
}

fn closed() -> Error {
    Error::Unavailable("the store is closed".into())
}

#[async_trait]
impl super::Store for Store {
    fn backend(&self) -> &'static str {
        "sqlite"
    }

    async fn commit(&self, unit: UnitOfWork) -> Result<()> {
        unit.validate()?;
        self.submit(Work::Unit(Box::new(unit))).await.map(drop)
    }

    async fn begin(&self) -> Result<Box<dyn SqlTransaction>> {
        let (lend, lent) = oneshot::channel();
        let command = Command::Lend(lend);
        self.queue.send(command).await.map_err(|_| closed())?;
        let loan: Loan = lent.await.unwrap_or_else(|_| Err(closed()))?;
        Ok(Box::new(loan))
    }

    async fn load(&self, streams: &[StreamId]) -> Result<Vec<Option<Head>>> {
        read::load(&self.readers, streams).await
    }

    async fn find(&self, find: &Find) -> Result<Vec<(Uuid, Head)>> {
        read::find(&self.readers, find).await
    }

    async fn stream(&self, stream: &StreamId, after: u64, limit: u32) -> Result<Vec<StoredEvent>> {
        read::stream(&self.readers, stream, after, limit).await
    }

    async fn events(&self, after: Position, limit: u32) -> Result<Vec<StoredEvent>> {
        read::events(&self.readers, after, limit).await
    }

    async fn last_position(&self) -> Result<Position> {
        read::last_position(&self.readers).await
    }

    async fn outbox(&self, after: Position, limit: u32) -> Result<Vec<(Position, Message)>> {
        read::outbox(&self.readers, after, limit).await
    }

    async fn trim_outbox(&self, upto: Position) -> Result<()> {
        self.submit(Work::Trim(upto)).await.map(drop)
    }

    async fn cursor(&self, name: &str) -> Result<Cursor> {
        read::cursor(&self.readers, name).await
    }

    async fn take_cursor(&self, name: &str) -> Result<Cursor> {
        match self.submit(Work::Take(name.to_owned())).await? {
            Answer::Cursor(cursor) => Ok(cursor),
            other => unreachable!("taking a cursor answers one, not {other:?}"),
        }
    }

    async fn move_cursor(&self, name: &str, from: Cursor, to: Position) -> Result<bool> {
        let answer = self.submit(Work::Move(name.to_owned(), from, to)).await?;
        Ok(answer == Answer::Moved(true))
    }

    async fn inbox(&self, consumer: &str, message: Uuid) -> Result<Option<Option<Outcome>>> {
        read::inbox(&self.readers, consumer, message).await
    }

    async fn mark(&self, consumer: &str, stream: &StreamId) -> Result<Option<Guard>> {
        read::mark(&self.readers, consumer, stream).await
    }

    async fn view(&self, view: &str, key: &str) -> Result<Option<Payload>> {
        read::view(&self.readers, view, key).await
    }

    async fn find_views(&self, find: &Find) -> Result<Vec<(String, Payload)>> {
        read::find_views(&self.readers, find).await
    }

    async fn saga(&self, id: Uuid) -> Result<Option<SagaRow>> {
        read::saga(&self.readers, id).await
    }

    async fn sagas(&self, filter: &SagaFilter) -> Result<Vec<SagaRow>> {
        read::sagas(&self.readers, filter).await
    }

    async fn saga_history(&self, id: Uuid, limit: u32) -> Result<Vec<Payload>> {
        read::saga_history(&self.readers, id, limit).await
    }

    async fn due_sagas(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<SagaRow>> {
        read::due_sagas(&self.readers, now, limit).await
    }

    async fn due_timers(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<Timer>> {
        read::due_timers(&self.readers, now, limit).await
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>> {
        read::next_due(&self.readers).await
    }

    async fn dead_letters(&self, filter: &LetterFilter) -> Result<Vec<(Position, DeadLetter)>> {
        letters::list(&self.readers, filter).await
    }

    async fn dead_letter(&self, id: Uuid) -> Result<Option<DeadLetter>> {
        letters::one(&self.readers, id).await
    }

    async fn count_dead_letters(&self, filter: &LetterFilter) -> Result<BTreeMap<String, u64>> {
        letters::counts(&self.readers, filter).await
    }

    async fn first_parked(&self, consumer: &str, key: &str) -> Result<Option<DeadLetter>> {
        letters::first(&self.readers, consumer, key).await
    }

    async fn purge(&self, old: &Old, before: DateTime<Utc>, limit: u32) -> Result<u64> {
        let forget = letters::old(&self.readers, old, before, limit).await?;
        let gone = forget.inbox.len() + forget.sagas.len();
        if gone > 0 {
            self.submit(Work::Forget(forget)).await?;
        }
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn health(&self) -> Result<()> {
        let probe = tokio::time::timeout(PROBE, self.submit(Work::Probe));
        match probe.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(Error::OutcomeUnknown(e))) => Err(Error::Unavailable(e)),
            Ok(Err(e)) => Err(e),
            Err(_) => Err(Error::Unavailable("the writer does not answer".into())),
        }
    }

    async fn close(&self) {
        let (done, finished) = oneshot::channel();
        self.queue.send(Command::Close(done)).await.ok();
        self.readers.close().await;
        finished.await.ok();
    }
}
