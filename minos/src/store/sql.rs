//! `cx.sql()`: hand-written SQL in the unit's own transaction.

use std::{fmt, marker::PhantomData};

use futures_util::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{Database, Either, Execute, Executor, SqlStr};
use tokio::sync::mpsc;

use super::SqlConnection;
use crate::{
    context::Context,
    error::{Error, Failure, Kind},
};

/// What a statement answers: rows, and how many it changed.
pub type Answers<DB> = mpsc::UnboundedReceiver<
    sqlx::Result<Either<<DB as Database>::QueryResult, <DB as Database>::Row>>,
>;

/// A database whose SQL may be used in a unit of work.
#[diagnostic::on_unimplemented(
    message = "minos does not store in `{Self}`",
    label = "not a database of minos",
    note = "write `cx.sql::<sqlx::Sqlite>()` or `cx.sql::<sqlx::Postgres>()`"
)]
pub trait Backend: Database {
    /// The backend's name, such as `sqlite`.
    const BACKEND: &'static str;

    /// Runs a statement on the store's connection, in a task of its own: the connection comes back even if nobody
    /// asks for the answers. What would end or leave the unit's transaction is refused.
    fn run(
        connection: Box<dyn SqlConnection>,
        sql: SqlStr,
        arguments: Option<Self::Arguments>,
        persistent: bool,
    ) -> Answers<Self>;
}

/// The unit's transaction, as an executor of `sqlx`: `sqlx::query(..).execute(cx.sql::<Sqlite>()).await?`.
///
/// It is a `Copy` value and locks per statement, so look-ups and effects through the context go on beside it. The
/// first statement begins the transaction; it ends with the unit of work. On SQLite it holds the only writer, on
/// PostgreSQL it holds up the readers of the log, so it has a time budget of a second: do not wait for the network in
/// between.
pub struct Sql<'c, DB: Backend> {
    cx: &'c Context,
    of: PhantomData<fn() -> DB>,
}

impl<DB: Backend> Clone for Sql<'_, DB> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<DB: Backend> Copy for Sql<'_, DB> {}

impl<DB: Backend> fmt::Debug for Sql<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sql({})", DB::NAME)
    }
}

impl Context {
    /// Hand-written SQL in this unit's own transaction; see [`Sql`].
    #[must_use]
    pub fn sql<DB: Backend>(&self) -> Sql<'_, DB> {
        Sql {
            cx: self,
            of: PhantomData,
        }
    }

    /// One statement's hold on the unit's connection; the first statement begins the transaction. (Boxed: rustc
    /// cannot see that it is `Send` otherwise.)
    fn connection(&self) -> BoxFuture<'_, Result<Box<dyn SqlConnection>, sqlx::Error>> {
        Box::pin(async move {
            let mut open = self.sql.lock().await;
            let transaction = match open.take() {
                Some(transaction) => transaction,
                None => self.store().begin().await.map_err(refused)?,
            };
            open.insert(transaction).connection().await.map_err(refused)
        })
    }
}

impl<E> From<sqlx::Error> for Error<E> {
    fn from(e: sqlx::Error) -> Self {
        let kind = match &e {
            sqlx::Error::RowNotFound => Kind::NotFound,
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => {
                Kind::Unavailable
            }
            _ => Kind::Internal,
        };
        let text = match kind {
            Kind::NotFound => "there is no such row",
            _ => "a statement failed",
        };
        Error::Failed(Failure::new(kind, text).because(e))
    }
}

/// An error of the store as one of sqlx.
fn refused(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Configuration(e.into())
}

impl<'c, DB: Backend> Sql<'c, DB> {
    async fn run<'q>(self, mut query: impl Execute<'q, DB>) -> sqlx::Result<Answers<DB>> {
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        let persistent = query.persistent();
        let sql = query.sql();
        let backend = self.cx.store().backend();
        if backend != DB::BACKEND {
            let why = format!(
                "this service stores in {backend}: its units of work have no {} transaction",
                DB::NAME
            );
            return Err(refused(why));
        }
        let connection = self.cx.connection().await?;
        Ok(DB::run(connection, sql, arguments, persistent))
    }
}

impl<'c, DB: Backend> Executor<'c> for Sql<'c, DB> {
    type Database = DB;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, sqlx::Result<Either<DB::QueryResult, DB::Row>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        // Rows are gathered before the first is handed out: a statement in the reader's loop would wait for itself.
        let answers = async move {
            let mut gathered = Vec::new();
            let mut answers = self.run(query).await?;
            while let Some(answer) = answers.recv().await {
                gathered.push(answer?);
            }
            Ok(gathered)
        };
        stream::once(answers)
            .flat_map(|answers| match answers {
                Ok(answers) => stream::iter(answers).map(Ok).boxed(),
                Err(e) => stream::once(async { Err(e) }).boxed(),
            })
            .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<DB::Row>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        Box::pin(async move {
            let mut answers = self.run(query).await?;
            while let Some(answer) = answers.recv().await {
                if let Either::Right(row) = answer? {
                    return Ok(Some(row));
                }
            }
            Ok(None)
        })
    }

    fn prepare_with<'e>(
        self,
        _sql: SqlStr,
        _parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<DB::Statement>>
    where
        'c: 'e,
    {
        // A statement belongs to its connection, which this one is only lent.
        let why = "statements of a unit of work need no `prepare`: they are kept by their text";
        Box::pin(async move { Err(refused(why)) })
    }

    fn describe<'e>(self, _sql: SqlStr) -> BoxFuture<'e, sqlx::Result<sqlx::Describe<DB>>>
    where
        'c: 'e,
    {
        Box::pin(async move { Err(refused("a unit of work describes no statements")) })
    }
}
