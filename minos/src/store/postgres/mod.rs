//! The event store in PostgreSQL.
//!
//! Everything of a unit of work is one transaction and, without user SQL, one round trip. Units that are submitted
//! while others are under way share a transaction: a few tasks with a connection each call one function for a batch.
//!
//! Rows of the log carry the number of their transaction. A reader takes those of which no older transaction can add
//! any more, in the order of (epoch, transaction, row); so it never passes an event that may still appear before it.
//!
//! The tables are in a schema of the service's own, so that several services may share a database. User SQL shares
//! the schema: our tables begin with `minos_`, all other names are the user's.
//!
//! Behind PgBouncer in transaction mode (1.21 or newer, with `max_prepared_statements`), add `?pgbouncer=true` to the
//! URL: nothing is set for a session then, and changes of other processes are seen by looking, not by notification.

mod answer;
mod batch;
mod columns;
mod commit;
mod connect;
mod cursors;
mod epoch;
mod fault;
mod find;
mod health;
mod keys;
mod letters;
mod loads;
mod names;
mod pool;
mod queue;
mod read;
mod rows;
mod schema;
mod single;
#[cfg(test)]
mod tests;
mod tokens;
mod user;
mod wake;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use uuid::Uuid;

use self::{
    commit::{Committer, Shared},
    connect::Connector,
    loads::Handled,
    pool::Pool,
    queue::Job,
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
    /// The schema of the tables: the service's name.
    pub schema: String,
    /// How the connections are named in `pg_stat_activity`.
    pub application: String,
    /// How many connections read, or run user SQL.
    pub pool: u32,
    /// How many connections commit.
    pub committers: usize,
    /// How many units share a commit at most; above 60, a batch that is tried unit by unit would be slow.
    pub batch: usize,
    /// How long to wait for a connection.
    pub acquire_timeout: Duration,
    /// How long a statement may take.
    pub statement_timeout: Duration,
    /// How long a transaction may be idle.
    pub idle_timeout: Duration,
    /// How long a statement may wait for a lock before it is tried again.
    pub lock_timeout: Duration,
    /// How long a unit may be held up by locks of others before it fails.
    pub patience: Duration,
    /// How long a transaction of user SQL may take.
    pub budget: Duration,
    /// How long a read of the log waits for events that this process has committed but an older transaction hides.
    pub settle: Duration,
    /// How often to look for changes of other processes: while something happens, and while nothing does.
    pub poll: (Duration, Duration),
    /// How often other processes are told of changes at most.
    pub notify_every: Duration,
    /// How long the log may stand still before [`Store::health`](super::Store::health) complains.
    pub stall: Duration,
    /// How long to wait for a server that is away when the store is opened.
    pub connect_timeout: Duration,
    /// Whether there is a pooler in between that has no sessions; also `?pgbouncer=true` in the URL.
    pub pgbouncer: bool,
    /// Whether to publish what was restored into another server; see [`Store::allow_restored`].
    pub allow_restored: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            schema: "minos".to_owned(),
            application: "minos".to_owned(),
            pool: 8,
            committers: 2,
            batch: 60,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_millis(100),
            patience: Duration::from_secs(5),
            budget: Duration::from_secs(1),
            settle: Duration::from_millis(20),
            poll: (Duration::from_millis(20), Duration::from_millis(200)),
            notify_every: Duration::from_millis(10),
            stall: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(30),
            pgbouncer: false,
            allow_restored: false,
        }
    }
}

/// An event store in PostgreSQL.
pub struct Store {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("postgres::Store").finish_non_exhaustive()
    }
}

/// Its tasks end, and with them its connections.
impl Drop for Store {
    fn drop(&mut self) {
        self.shared.queue.shut();
    }
}

impl Store {
    /// Connects to a database (`postgres://user:password@host/database`) and makes the schema and its tables where
    /// they are missing. The database itself must be there.
    ///
    /// A server that is away is waited for.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for what only a change of the URL or the server can help, such as a missing database;
    /// [`Error::Corrupt`] for tables that a newer version made; [`Error::Unavailable`] for a server that stays away.
    pub async fn open(url: &str, options: Options) -> Result<Self> {
        let connector = Arc::new(Connector::new(url, &options)?);
        let mut first = connect::patiently(options.connect_timeout, || connector.plain()).await?;
        schema::migrate(&mut first, &connector.schema).await?;
        let epoch = connector.check(&mut first).await?;
        if connector.pooled {
            // A pooler that mixes statements up shows it as soon as there are two.
            drop(connector.connect().await?);
        }
        let pool = Pool::new(connector, options.pool, options.acquire_timeout);
        let committers = options.committers.max(1);
        let shared = Shared::new(pool, options);
        let mut first = Some((first, epoch));
        for _ in 0..committers {
            let committer = Committer {
                shared: shared.clone(),
                connection: first.take(),
            };
            tokio::spawn(committer.run());
        }
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(wake::run(shared.clone(), stopped));
        Ok(Self { shared, stop })
    }

    /// Allows to read, and so to publish, a log that was restored into another server. Until then
    /// [`events`](super::Store::events) and [`outbox`](super::Store::outbox) refuse: the old server may still run, and
    /// would publish the same with other numbers.
    ///
    /// # Errors
    /// If the database cannot be reached.
    pub async fn allow_restored(&self) -> Result<()> {
        let pool = &self.shared.pool;
        let mut lease = pool.acquire("allow restored").await?;
        epoch::release(&mut lease, &pool.connector.schema).await?;
        lease.give_back();
        pool.connector.release();
        self.shared.changes.send_modify(|n| *n += 1);
        Ok(())
    }
}

#[async_trait]
impl super::Store for Store {
    fn backend(&self) -> &'static str {
        "postgres"
    }

    async fn commit(&self, unit: UnitOfWork) -> Result<()> {
        unit.validate()?;
        if unit.is_empty() {
            return match unit.reads.as_slice() {
                [] => Ok(()),
                reads => read::confirm(&self.shared.pool, reads).await,
            };
        }
        if batch::has_nul(&unit) {
            let text = "a text with a NUL character, which PostgreSQL cannot keep";
            return Err(Error::Backend(text.into()));
        }
        if let Some(outcome) = self.shared.express(&unit).await {
            return outcome;
        }
        let (job, answered) = Job::new(unit);
        if !self.shared.queue.push(job) {
            return Err(pool::closed());
        }
        answered
            .await
            .unwrap_or_else(|e| Err(Error::OutcomeUnknown(e.into())))
    }

    async fn begin(&self) -> Result<Box<dyn SqlTransaction>> {
        Ok(Box::new(user::begin(&self.shared).await?))
    }

    async fn load(&self, streams: &[StreamId]) -> Result<Vec<Option<Head>>> {
        match streams {
            [one] => Ok(vec![self.shared.loads.one(&self.shared.pool, one).await?]),
            many => read::load(&self.shared.pool, many).await,
        }
    }

    async fn find(&self, find: &Find) -> Result<Vec<(Uuid, Head)>> {
        read::find(&self.shared.pool, find).await
    }

    async fn stream(&self, stream: &StreamId, after: u64, limit: u32) -> Result<Vec<StoredEvent>> {
        read::stream(&self.shared.pool, stream, after, limit).await
    }

    async fn events(&self, after: Position, limit: u32) -> Result<Vec<StoredEvent>> {
        read::events(&self.shared, after, limit).await
    }

    async fn last_position(&self) -> Result<Position> {
        read::last_position(&self.shared).await
    }

    async fn outbox(&self, after: Position, limit: u32) -> Result<Vec<(Position, Message)>> {
        read::outbox(&self.shared, after, limit).await
    }

    async fn trim_outbox(&self, upto: Position) -> Result<()> {
        cursors::trim(&self.shared.pool, upto).await
    }

    async fn cursor(&self, name: &str) -> Result<Cursor> {
        read::cursor(&self.shared.pool, name).await
    }

    async fn take_cursor(&self, name: &str) -> Result<Cursor> {
        cursors::take(&self.shared.pool, name).await
    }

    async fn move_cursor(&self, name: &str, from: Cursor, to: Position) -> Result<bool> {
        cursors::shift(&self.shared.pool, name, from, to).await
    }

    async fn inbox(&self, consumer: &str, message: Uuid) -> Result<Option<Option<Outcome>>> {
        let handled = Handled {
            consumer: consumer.to_owned(),
            message,
        };
        self.shared.inbox.one(&self.shared.pool, &handled).await
    }

    async fn mark(&self, consumer: &str, stream: &StreamId) -> Result<Option<Guard>> {
        read::mark(&self.shared.pool, consumer, stream).await
    }

    async fn view(&self, view: &str, key: &str) -> Result<Option<Payload>> {
        read::view(&self.shared.pool, view, key).await
    }

    async fn find_views(&self, find: &Find) -> Result<Vec<(String, Payload)>> {
        read::find_views(&self.shared.pool, find).await
    }

    async fn saga(&self, id: Uuid) -> Result<Option<SagaRow>> {
        self.shared.sagas.one(&self.shared.pool, &id).await
    }

    async fn sagas(&self, filter: &SagaFilter) -> Result<Vec<SagaRow>> {
        read::sagas(&self.shared.pool, filter).await
    }

    async fn saga_history(&self, id: Uuid, limit: u32) -> Result<Vec<Payload>> {
        read::saga_history(&self.shared.pool, id, limit).await
    }

    async fn due_sagas(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<SagaRow>> {
        read::due_sagas(&self.shared.pool, now, limit).await
    }

    async fn due_timers(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<Timer>> {
        read::due_timers(&self.shared.pool, now, limit).await
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>> {
        read::next_due(&self.shared).await
    }

    async fn dead_letters(&self, filter: &LetterFilter) -> Result<Vec<(Position, DeadLetter)>> {
        letters::list(&self.shared.pool, filter).await
    }

    async fn dead_letter(&self, id: Uuid) -> Result<Option<DeadLetter>> {
        letters::one(&self.shared.pool, id).await
    }

    async fn count_dead_letters(&self, filter: &LetterFilter) -> Result<BTreeMap<String, u64>> {
        letters::counts(&self.shared.pool, filter).await
    }

    async fn first_parked(&self, consumer: &str, key: &str) -> Result<Option<DeadLetter>> {
        letters::first(&self.shared.pool, consumer, key).await
    }

    async fn purge(&self, old: &Old, before: DateTime<Utc>, limit: u32) -> Result<u64> {
        letters::purge(&self.shared.pool, old, before, limit).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    async fn health(&self) -> Result<()> {
        health::check(&self.shared).await
    }

    async fn close(&self) {
        self.shared.queue.close().await;
        self.stop.send_replace(true);
        self.shared.pool.close().await;
    }
}
