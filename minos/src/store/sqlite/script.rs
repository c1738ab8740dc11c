//! Several statements in one trip to the connection's thread.
//!
//! Every statement that is awaited alone costs two thread switches. A [`Script`] is sent as one text: SQLite takes
//! one statement after another from it, the first that fails ends it, and the text is prepared once and then found
//! again. Rows go in as `VALUES` with bound parameters, filled up with `NULL`s to a power of two, so that few
//! different texts exist.

use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Either, Encode, Executor, Sqlite, SqliteConnection, Type,
    error::BoxDynError,
    sqlite::{SqliteArguments, SqliteRow},
};
use uuid::Uuid;

use crate::payload::Payload;

/// Rows of one `VALUES`.
const CHUNK: usize = 256;

/// Statements with their parameters.
pub(super) struct Script<T> {
    sql: String,
    arguments: SqliteArguments,
    /// What the rows of each statement are.
    statements: Vec<T>,
    /// Whether the text is worth keeping.
    common: bool,
    refused: Option<BoxDynError>,
}

/// A script that did not reach its end.
#[derive(Debug)]
pub(super) struct Broken {
    /// How many statements were done.
    pub(super) done: usize,
    /// How many there were.
    pub(super) of: usize,
    /// Why the next one failed.
    pub(super) error: sqlx::Error,
}

impl<T: Copy> Script<T> {
    pub(super) fn new() -> Self {
        Self {
            sql: String::new(),
            arguments: SqliteArguments::default(),
            statements: Vec::new(),
            common: true,
            refused: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// Adds a statement; its parameters are bound next, in order.
    pub(super) fn statement(&mut self, tag: T, sql: &str) {
        self.sql.push_str(sql);
        self.sql.push(';');
        self.statements.push(tag);
    }

    /// Adds `{before}(VALUES ..){after}` for these rows; nothing if there are none.
    pub(super) fn rows<R>(
        &mut self,
        tag: T,
        before: &str,
        columns: usize,
        after: &str,
        rows: &[R],
        mut bind: impl FnMut(&mut Self, &R),
    ) {
        self.common &= rows.len() <= CHUNK;
        for chunk in rows.chunks(CHUNK) {
            let size = chunk.len().next_power_of_two();
            self.sql.push_str(before);
            self.sql.push_str("(VALUES ");
            for row in 0..size {
                self.sql.push_str(if row == 0 { "(" } else { ",(" });
                for column in 0..columns {
                    self.sql.push_str(if column == 0 { "?" } else { ",?" });
                }
                self.sql.push(')');
            }
            self.sql.push(')');
            self.statement(tag, after);
            for row in chunk {
                bind(self, row);
            }
            for _ in chunk.len() * columns..size * columns {
                self.bind(None::<i64>);
            }
        }
    }

    pub(super) fn bind<'t>(&mut self, value: impl Encode<'t, Sqlite> + Type<Sqlite>) -> &mut Self {
        use sqlx::Arguments;
        if let Err(e) = self.arguments.add(value) {
            self.refused.get_or_insert(e);
        }
        self
    }

    pub(super) fn id(&mut self, id: Uuid) -> &mut Self {
        self.bind(id.as_bytes().to_vec())
    }

    pub(super) fn number(&mut self, n: u64) -> &mut Self {
        match i64::try_from(n) {
            Ok(n) => self.bind(n),
            Err(e) => {
                self.refused.get_or_insert(e.into());
                self
            }
        }
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.bind(text.to_owned())
    }

    pub(super) fn json(&mut self, payload: &Payload) -> &mut Self {
        self.bind(Arc::<str>::from(payload.clone()))
    }

    /// Keeps the first error of a conversion; the script will not run.
    pub(super) fn refuse(&mut self, error: BoxDynError) {
        self.refused.get_or_insert(error);
    }

    /// Runs the statements and answers their rows.
    pub(super) async fn run(
        self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<(T, SqliteRow)>, Broken> {
        let of = self.statements.len();
        let broken = |done, error| Broken { done, of, error };
        if let Some(error) = self.refused {
            return Err(broken(0, sqlx::Error::Encode(error)));
        }
        let query = sqlx::query_with(AssertSqlSafe(self.sql), self.arguments);
        let mut answers = connection.fetch_many(query.persistent(self.common));
        let (mut rows, mut done) = (Vec::new(), 0);
        while let Some(answer) = answers.try_next().await.map_err(|e| broken(done, e))? {
            match answer {
                Either::Left(_) => done += 1,
                Either::Right(row) => match self.statements.get(done) {
                    Some(tag) => rows.push((*tag, row)),
                    None => break,
                },
            }
        }
        if done == of {
            Ok(rows)
        } else {
            // The connection's thread is gone.
            Err(broken(done, sqlx::Error::WorkerCrashed))
        }
    }
}
