//! `cx.sql()`: hand-written SQL in the unit's own transaction.

use std::{any::Any, fmt, marker::PhantomData};

use futures_util::{
    StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{Database, Either, Execute, Executor, SqlStr};

use super::SqlConnection;
use crate::{
    context::Context,
    error::{Error, Failure, Kind},
};

/// A database whose SQL may be used in a unit of work.
#[diagnostic::on_unimplemented(
    message = "minos does not store in `{Self}`",
    label = "not a database of minos",
    note = "write `cx.sql::<sqlx::Sqlite>()`"
)]
pub trait Backend: Database {
    /// The store's connection, if it is one of this database.
    fn connection(connection: &mut dyn Any) -> Option<&mut Self::Connection>;

    /// Refuses what would end or leave the unit's transaction.
    ///
    /// # Errors
    /// The reason, in words.
    fn check(sql: &str) -> Result<(), String>;
}

/// The unit's transaction, as an executor of `sqlx`: `sqlx::query(..).execute(cx.sql::<Sqlite>()).await?`.
///
/// It is a `Copy` value and locks per statement, so look-ups and effects through the context go on beside it. The
/// first statement begins the transaction; it ends with the unit of work. On SQLite it holds the only writer, so
/// it has a time budget of a second: do not wait for the network in between.
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

fn refused(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Configuration(e.into())
}

fn other_backend<DB: Backend>(store: &str) -> sqlx::Error {
    refused(format!(
        "this service stores in `{store}`, not in {}: its units have no such transaction",
        DB::NAME
    ))
}

impl<'c, DB: Backend> Executor<'c> for Sql<'c, DB>
where
    for<'x> &'x mut DB::Connection: Executor<'x, Database = DB>,
{
    type Database = DB;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<DB::QueryResult, DB::Row>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        // Rows are gathered before the first is handed out: a statement in the reader's loop would wait for itself.
        let rows = async move {
            let query = Checked::<DB>::new(query)?;
            let mut connection = self.cx.connection().await?;
            let connection = DB::connection(connection.as_any())
                .ok_or_else(|| other_backend::<DB>(self.cx.store().backend()))?;
            connection.fetch_many(query).try_collect::<Vec<_>>().await
        };
        stream::once(rows)
            .flat_map(|rows| match rows {
                Ok(rows) => stream::iter(rows).map(Ok).boxed(),
                Err(e) => stream::once(async { Err(e) }).boxed(),
            })
            .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<DB::Row>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        Box::pin(async move {
            let query = Checked::<DB>::new(query)?;
            let mut connection = self.cx.connection().await?;
            let connection = DB::connection(connection.as_any())
                .ok_or_else(|| other_backend::<DB>(self.cx.store().backend()))?;
            connection.fetch_optional(query).await
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            DB::check(sql.as_str()).map_err(refused)?;
            let mut connection = self.cx.connection().await?;
            let connection = DB::connection(connection.as_any())
                .ok_or_else(|| other_backend::<DB>(self.cx.store().backend()))?;
            connection.prepare_with(sql, parameters).await
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<DB>, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let mut connection = self.cx.connection().await?;
            let connection = DB::connection(connection.as_any())
                .ok_or_else(|| other_backend::<DB>(self.cx.store().backend()))?;
            connection.describe(sql).await
        })
    }
}

/// A statement that may run in a unit's transaction.
struct Checked<DB: Database> {
    sql: SqlStr,
    arguments: Option<DB::Arguments>,
    persistent: bool,
}

impl<DB: Backend> Checked<DB> {
    fn new<'q>(mut query: impl Execute<'q, DB>) -> Result<Self, sqlx::Error> {
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        let persistent = query.persistent();
        let sql = query.sql();
        DB::check(sql.as_str()).map_err(refused)?;
        Ok(Self {
            sql,
            arguments,
            persistent,
        })
    }
}

impl<DB: Database> Execute<'_, DB> for Checked<DB> {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&DB::Statement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments>, sqlx::error::BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}
