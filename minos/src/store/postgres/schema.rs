//! The tables, and how a database gets them.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use super::{fault, names::Schema};
use crate::store::{Error, Result};

/// One text per version. What stands here was applied somewhere: append, never edit.
///
/// The last one makes the function that commits, so that there is one text of it: whoever changes its parameters
/// moves it, behind `DROP FUNCTION`, to a new last one.
pub(super) const MIGRATIONS: [&str; 2] = [
    include_str!("schema.sql"),
    concat!(include_str!("letters.sql"), include_str!("commit.sql")),
];

/// How long to wait for another instance that migrates.
const PATIENCE: Duration = Duration::from_secs(120);

/// Brings the tables to this version. Several processes may do so at once: the first one works, the others wait for
/// it and find its work done.
pub(super) async fn migrate(connection: &mut PgConnection, schema: &Schema) -> Result<()> {
    if applied(connection, schema).await? == Some(MIGRATIONS.len()) {
        return Ok(());
    }
    let outcome = migrate_locked(connection, schema).await;
    let end = if outcome.is_ok() {
        "COMMIT"
    } else {
        "ROLLBACK"
    };
    let ended = connection.execute(end).await.map_err(fault::explain);
    outcome?;
    ended.map(drop)
}

async fn migrate_locked(connection: &mut PgConnection, schema: &Schema) -> Result<()> {
    // The lock is the transaction's: it is free again however this ends.
    let begin = format!(
        "BEGIN; SET LOCAL lock_timeout = '{0}s'; SET LOCAL statement_timeout = '{0}s'; \
         SET LOCAL client_min_messages = warning; \
         SELECT pg_advisory_xact_lock(hashtextextended('minos migration ' || {1}, 0))",
        PATIENCE.as_secs(),
        literal(schema.name()),
    );
    run(connection, begin).await?;
    let done = match applied(connection, schema).await? {
        Some(done) => done,
        None => {
            run(
                connection,
                format!("CREATE SCHEMA IF NOT EXISTS {}", schema.quoted()),
            )
            .await?;
            let meta = "CREATE TABLE minos_schema (version bigint NOT NULL); INSERT INTO minos_schema VALUES (0)";
            run(connection, schema.sql(meta)).await?;
            0
        }
    };
    for migration in MIGRATIONS.get(done..).unwrap_or_default() {
        run(connection, schema.sql(migration)).await?;
    }
    let known = MIGRATIONS.len();
    if done == known {
        return Ok(());
    }
    let noted = format!("UPDATE minos_schema SET version = {known}");
    run(connection, schema.sql(&noted)).await
}

/// How many migrations were applied; [`None`] if there is nothing yet.
async fn applied(connection: &mut PgConnection, schema: &Schema) -> Result<Option<usize>> {
    // Read as rows: functions such as `to_regclass` may answer from a cache that is older than the lock.
    let there = sqlx::query(
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = 'minos_schema'",
    )
    .bind(schema.name())
    .fetch_all(&mut *connection)
    .await
    .map_err(fault::explain)?;
    if there.is_empty() {
        return Ok(None);
    }
    let sql = schema.sql("SELECT version FROM minos_schema");
    let found: i64 = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(&mut *connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(fault::explain)?;
    let known = MIGRATIONS.len();
    match usize::try_from(found) {
        Ok(done) if done <= known => Ok(Some(done)),
        _ => Err(Error::Corrupt(format!(
            "the database has schema {found}, this version of minos knows {known}: a newer version wrote it"
        ))),
    }
}

async fn run(connection: &mut PgConnection, sql: String) -> Result<()> {
    let outcome = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
    outcome.map(drop).map_err(|e| match fault::code(&e).as_deref() {
        Some("42501") => Error::Unsupported(format!(
            "{e}; the user needs the right to make a schema in this database (GRANT CREATE ON DATABASE)"
        )),
        _ => fault::explain(e),
    })
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
