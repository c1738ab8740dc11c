//! User SQL: the writer's connection, lent for a while.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sqlx::{
    Executor, Sqlite,
    sqlite::{SqliteArguments, SqliteConnection},
};
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};

use super::{
    file::{Connection, Gate},
    tokens::check_user_sql,
    writer::LOST,
};
use crate::store::{
    Error, Result, SqlConnection, SqlTransaction, UnitOfWork,
    sql::{Answers, Backend},
};

/// Where the lent connection is; empty once the writer has taken it back.
pub(super) type Slot = Arc<Mutex<Option<Connection>>>;

/// The writer's connection in the hands of user SQL.
pub(super) struct Loan {
    pub(super) slot: Slot,
    pub(super) gate: Arc<Gate>,
    pub(super) budget: Duration,
    /// Ends it with a unit; dropped, it ends it with a rollback.
    pub(super) finish: oneshot::Sender<(UnitOfWork, oneshot::Sender<Result<()>>)>,
}

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loan").finish_non_exhaustive()
    }
}

impl Loan {
    fn spent(&self) -> Error {
        let why = format!(
            "the transaction took longer than {:?} and was rolled back: it holds the only writer, so await nothing \
             but SQL while it is open",
            self.budget
        );
        Error::Unavailable(why.into())
    }
}

#[async_trait]
impl SqlTransaction for Loan {
    async fn connection(&self) -> Result<Box<dyn SqlConnection>> {
        let held = self.slot.clone().lock_owned().await;
        if held.is_none() {
            return Err(self.spent());
        }
        if self.gate.is_lost() {
            return Err(Error::Backend(LOST.into()));
        }
        Ok(Box::new(Held(held)))
    }

    async fn commit(self: Box<Self>, unit: UnitOfWork) -> Result<()> {
        unit.validate()?;
        let spent = self.spent();
        let (answer, answered) = oneshot::channel();
        if self.finish.send((unit, answer)).is_err() {
            return Err(spent);
        }
        answered
            .await
            .unwrap_or_else(|e| Err(Error::OutcomeUnknown(e.into())))
    }
}

/// One statement's hold on the connection.
struct Held(OwnedMutexGuard<Option<Connection>>);

impl SqlConnection for Held {
    fn as_any(&mut self) -> &mut dyn Any {
        match &mut *self.0 {
            Some(connection) => &mut connection.sqlite,
            None => {
                unreachable!("`connection` answers only a full slot, and the hold is exclusive")
            }
        }
    }
}

impl Backend for Sqlite {
    const BACKEND: &'static str = "sqlite";

    fn run(
        connection: Box<dyn SqlConnection>,
        sql: sqlx::SqlStr,
        arguments: Option<SqliteArguments>,
        persistent: bool,
    ) -> Answers<Sqlite> {
        run(connection, sql, arguments, persistent)
    }
}

fn run(
    mut connection: Box<dyn SqlConnection>,
    sql: sqlx::SqlStr,
    arguments: Option<SqliteArguments>,
    persistent: bool,
) -> Answers<Sqlite> {
    let (send, answers) = mpsc::unbounded_channel();
    if let Err(why) = check_user_sql(sql.as_str()) {
        send.send(Err(sqlx::Error::Protocol(why))).ok();
        return answers;
    }
    tokio::spawn(async move {
        let Some(sqlite) = connection.as_any().downcast_mut::<SqliteConnection>() else {
            let wrong = "this transaction is not SQLite's".to_owned();
            send.send(Err(sqlx::Error::Protocol(wrong))).ok();
            return;
        };
        let mut rows = match arguments {
            Some(arguments) => {
                let query = sqlx::query_with(sql, arguments);
                sqlite.fetch_many(query.persistent(persistent))
            }
            None => sqlite.fetch_many(sql),
        };
        loop {
            let answer = tokio::select! {
                answer = rows.try_next() => answer.transpose(),
                () = send.closed() => break,
            };
            match answer {
                Some(answer) => send.send(answer).ok(),
                None => break,
            };
        }
    });
    answers
}
