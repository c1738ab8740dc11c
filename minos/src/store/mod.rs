//! The event store: one commit per unit of work, one safe order.
//!
//! [`Store`] is the contract, `conformance` the suite that holds every backend to it.

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod facts;
mod find;
mod letter;
pub mod memory;
#[cfg(test)]
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) mod old_letters;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod unit;

use std::{any::Any, collections::BTreeMap, fmt};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use uuid::Uuid;

pub use self::{
    find::{Condition, Find, Order, Value},
    letter::{DeadLetter, LetterFilter, Reason, Trial},
    unit::{Claim, InboxMark, Mark, NewEvent, Timer, UnitOfWork, ViewWrite, Write},
};
use crate::{
    error::{self, Failure},
    message::{Headers, Message, Outcome},
    payload::Payload,
};

/// The name of one aggregate: its type and its id. Its events are one stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The aggregate's name, such as `Foo`.
    pub aggregate: String,
    /// The aggregate's id.
    pub id: Uuid,
}

impl StreamId {
    /// The stream of one aggregate.
    pub fn new(aggregate: impl Into<String>, id: Uuid) -> Self {
        Self {
            aggregate: aggregate.into(),
            id,
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.aggregate, self.id)
    }
}

/// What a decision was based on: a version and the id of the event that made it.
///
/// The version alone would accept a decision on a state that never existed (ABA).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// The number of events so far.
    pub version: u64,
    /// The id of the last one.
    pub tail: Uuid,
}

/// Where a stream stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Version and last event.
    pub guard: Guard,
    /// The current state as JSON; [`None`] after the aggregate was deleted.
    pub state: Option<Payload>,
    /// When the first event was committed.
    pub created_at: DateTime<Utc>,
    /// When the last event was committed.
    pub updated_at: DateTime<Utc>,
}

/// A place in the log. Readers keep it as it is; only its order has a meaning.
///
/// A backend with a single writer leaves `epoch` and `xid` zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Raised when a database is restored or fails over.
    pub epoch: i64,
    /// The transaction.
    pub xid: i64,
    /// The row.
    pub row: i64,
}

impl Position {
    /// Before the first row.
    pub const START: Self = Self {
        epoch: 0,
        xid: 0,
        row: 0,
    };
}

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Where it stands.
    pub position: Position,
    /// Its id.
    pub id: Uuid,
    /// Whose event it is.
    pub stream: StreamId,
    /// The aggregate's version after it.
    pub version: u64,
    /// Its name, such as `FooCreated`.
    pub name: String,
    /// What happened.
    pub payload: Payload,
    /// Cause, correlation, and user.
    pub headers: Headers,
    /// When it was committed, by the clock of the unit of work.
    pub at: DateTime<Utc>,
}

/// How far a reader has come, with the number that fences off its predecessors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Everything up to here is done.
    pub position: Position,
    /// Raised by every takeover; an older holder can no longer move the cursor.
    pub fence: i64,
}

/// A saga's row: what the store must know of it; the rest is in the body.
#[derive(Debug, Clone, PartialEq)]
pub struct SagaRow {
    /// The run's id.
    pub id: Uuid,
    /// The saga's name.
    pub name: String,
    /// One at the start, raised by one with every transition; the new value in a write.
    pub version: u64,
    /// Where it stands, such as `running`, `completed`, `compensated`, or `stuck`.
    pub status: String,
    /// When somebody must look at it again; [`None`] once it has ended.
    pub due_at: Option<DateTime<Utc>>,
    /// When it was started.
    pub created_at: DateTime<Utc>,
    /// When it last moved.
    pub updated_at: DateTime<Utc>,
    /// The state of the run, as JSON.
    pub body: Payload,
}

/// Which sagas to list.
#[derive(Debug, Clone, Default)]
pub struct SagaFilter {
    /// Only those with this status.
    pub status: Option<String>,
    /// Only those of this name.
    pub name: Option<String>,
    /// At most so many, the newest first.
    pub limit: u32,
}

/// What can be forgotten one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Old {
    /// Which messages a consumer handled, by the time of the unit of work.
    Inbox {
        /// Whose inbox.
        consumer: String,
    },
    /// The same of all consumers whose names begin so.
    Inboxes {
        /// How they begin.
        prefix: String,
    },
    /// Sagas and their history, by the time when they last moved.
    Sagas {
        /// Only those with this status, none of which is due.
        status: String,
    },
}

/// Why a unit of work was not committed, or a read failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The decision was based on an older (or never existing) state; nothing was written.
    #[error("{stream} moved: expected version {expected}, found {actual}")]
    Conflict {
        /// Whose version.
        stream: StreamId,
        /// The version the decision was based on; zero for "does not exist".
        expected: u64,
        /// The version found; zero for "does not exist".
        actual: u64,
    },
    /// The inbox holds this message already; nothing was written.
    #[error("message {message} was handled before by {consumer}")]
    Duplicate {
        /// Who handled it.
        consumer: String,
        /// The message.
        message: Uuid,
        /// How it ended.
        outcome: Option<Outcome>,
    },
    /// The consumer's mark of this aggregate is not where the unit expects it; nothing was written.
    #[error("{consumer} stands at version {version} of {stream}")]
    OutOfOrder {
        /// Whose mark.
        consumer: String,
        /// Of which aggregate.
        stream: StreamId,
        /// Where the mark stands; zero for "nowhere yet".
        version: u64,
    },
    /// A unique value belongs to another aggregate; nothing was written.
    #[error("another {aggregate} has this `{field}` already")]
    Claimed {
        /// The aggregate's name.
        aggregate: String,
        /// The unique field.
        field: String,
        /// Who has it.
        holder: Uuid,
    },
    /// The saga moved, or the timer or dead letter was taken by somebody else; nothing was written.
    #[error("{what} {id} moved")]
    Moved {
        /// `saga`, `timer`, or `dead letter`.
        what: &'static str,
        /// Which.
        id: Uuid,
    },
    /// The commit may or may not have happened. Submit the identical unit again.
    #[error("the outcome of the commit is unknown")]
    OutcomeUnknown(#[source] BoxError),
    /// The store is away; nothing was written.
    #[error("the store is not available")]
    Unavailable(#[source] BoxError),
    /// The store has no such ability.
    #[error("{0}")]
    Unsupported(String),
    /// What is stored cannot be read.
    #[error("{0}")]
    Corrupt(String),
    /// Anything else; nothing was written.
    #[error("the store failed")]
    Backend(#[source] BoxError),
}

/// The cause of a failure below the store.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A result of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether running the handler again on fresh state may help.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Error::Conflict { .. } | Error::Claimed { .. })
    }
}

impl<E> From<Error> for error::Error<E> {
    fn from(e: Error) -> Self {
        let kind = match &e {
            Error::Conflict { .. } | Error::Claimed { .. } | Error::Moved { .. } => {
                error::Kind::Conflict
            }
            Error::OutcomeUnknown(_) => error::Kind::OutcomeUnknown,
            Error::Unavailable(_) => error::Kind::Unavailable,
            Error::Corrupt(_) => error::Kind::Corrupt,
            Error::Duplicate { .. }
            | Error::OutOfOrder { .. }
            | Error::Unsupported(_)
            | Error::Backend(_) => error::Kind::Internal,
        };
        error::Error::Failed(Failure::new(kind, e.to_string()).because(e))
    }
}

/// A transaction in which user SQL runs; it ends with the unit of work.
#[async_trait]
pub trait SqlTransaction: Send + Sync + fmt::Debug {
    /// The backend's connection for one statement; others wait until the hold is dropped.
    ///
    /// The budget cannot take the connection from somebody who holds it, so hold it in a task that runs by itself
    /// (as `sqlite::run` does), never in a future that the user may stop polling.
    ///
    /// # Errors
    /// [`Error::Unavailable`] once its time budget is spent.
    async fn connection(&self) -> Result<Box<dyn SqlConnection>>;

    /// Commits the user's SQL and the unit, all or nothing.
    ///
    /// # Errors
    /// As [`Store::commit`].
    async fn commit(self: Box<Self>, unit: UnitOfWork) -> Result<()>;
}

/// One statement's hold on the connection of a [`SqlTransaction`].
pub trait SqlConnection: Send {
    /// The connection itself, to be downcast (for SQLite to `sqlx::SqliteConnection`).
    fn as_any(&mut self) -> &mut dyn Any;
}

/// Where events, snapshots, inbox, outbox, sagas, timers, and views are kept.
///
/// Every write goes through [`commit`](Store::commit): it is done as a whole or not at all. Reads see only what
/// is committed.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The backend's name, such as `sqlite`.
    fn backend(&self) -> &'static str;

    /// Commits a unit of work: durable once this returns `Ok`.
    ///
    /// A unit that was committed before (its outcome was unknown and it is submitted again) is `Ok` and does
    /// nothing.
    ///
    /// # Errors
    /// The variants of [`Error`] say what is wrong; except for [`Error::OutcomeUnknown`] nothing was written.
    ///
    /// # Cancel safety
    /// A dropped call may or may not have committed.
    async fn commit(&self, unit: UnitOfWork) -> Result<()>;

    /// Begins a transaction for user SQL. It holds the only writer of an embedded store, so it has a time budget.
    async fn begin(&self) -> Result<Box<dyn SqlTransaction>>;

    /// Where these streams stand, in their order; [`None`] for one that never existed.
    async fn load(&self, streams: &[StreamId]) -> Result<Vec<Option<Head>>>;

    /// The living aggregates that match.
    async fn find(&self, find: &Find) -> Result<Vec<(Uuid, Head)>>;

    /// The events of one stream above `after`, in version order.
    async fn stream(&self, stream: &StreamId, after: u64, limit: u32) -> Result<Vec<StoredEvent>>;

    /// The events of all streams after `after`, in the one safe order: none can still appear before the last.
    async fn events(&self, after: Position, limit: u32) -> Result<Vec<StoredEvent>>;

    /// The position of the last event.
    async fn last_position(&self) -> Result<Position>;

    /// The outgoing messages after `after`.
    async fn outbox(&self, after: Position, limit: u32) -> Result<Vec<(Position, Message)>>;

    /// Removes outgoing messages up to `upto`, which are published.
    async fn trim_outbox(&self, upto: Position) -> Result<()>;

    /// Where a reader stands; the start for a new one.
    async fn cursor(&self, name: &str) -> Result<Cursor>;

    /// Raises the fence of a cursor and answers where it stands: the caller is the new holder.
    async fn take_cursor(&self, name: &str) -> Result<Cursor>;

    /// Moves a cursor if it still stands at `from` (position and fence); `false` if not.
    async fn move_cursor(&self, name: &str, from: Cursor, to: Position) -> Result<bool>;

    /// How the inbox has this message: not at all, or with which outcome.
    async fn inbox(&self, consumer: &str, message: Uuid) -> Result<Option<Option<Outcome>>>;

    /// How far a consumer of events has come in a stream.
    async fn mark(&self, consumer: &str, stream: &StreamId) -> Result<Option<Guard>>;

    /// One row of a view.
    async fn view(&self, view: &str, key: &str) -> Result<Option<Payload>>;

    /// The rows of a view that match, with their keys.
    async fn find_views(&self, find: &Find) -> Result<Vec<(String, Payload)>>;

    /// One saga.
    async fn saga(&self, id: Uuid) -> Result<Option<SagaRow>>;

    /// Sagas, the newest first.
    async fn sagas(&self, filter: &SagaFilter) -> Result<Vec<SagaRow>>;

    /// The last `limit` lines of what happened in a saga, oldest first.
    async fn saga_history(&self, id: Uuid, limit: u32) -> Result<Vec<Payload>>;

    /// Sagas that are due, the longest first.
    async fn due_sagas(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<SagaRow>>;

    /// Timers that are due, the longest first.
    async fn due_timers(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<Timer>>;

    /// When the next saga or timer is due.
    async fn next_due(&self) -> Result<Option<DateTime<Utc>>>;

    /// Parked messages, each with its place in the queue, in the order in which they were parked.
    async fn dead_letters(&self, filter: &LetterFilter) -> Result<Vec<(Position, DeadLetter)>>;

    /// One parked message.
    async fn dead_letter(&self, id: Uuid) -> Result<Option<DeadLetter>>;

    /// How many parked messages match, by consumer; `after` and `limit` do not count.
    async fn count_dead_letters(&self, filter: &LetterFilter) -> Result<BTreeMap<String, u64>>;

    /// The first message of this key that is parked for this consumer: the one of the lowest version (those without
    /// one come first), and of several the one that was parked first.
    async fn first_parked(&self, consumer: &str, key: &str) -> Result<Option<DeadLetter>>;

    /// Forgets what is older than `before`, at most `limit` rows; answers how many. The caller sees to it that nobody
    /// needs them any more.
    async fn purge(&self, old: &Old, before: DateTime<Utc>, limit: u32) -> Result<u64>;

    /// Changes with every commit of this process; other processes are seen by polling.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Whether the store can be reached and written.
    async fn health(&self) -> Result<()>;

    /// Finishes what was submitted and closes the files.
    async fn close(&self);
}
