//! The tables, and how a file gets them.

use sqlx::{Executor, Row, SqliteConnection};

use super::fault;
use crate::store::{Error, Result};

/// One text per version. What stands here was applied somewhere: append, never edit.
pub(super) const MIGRATIONS: [&str; 2] = [
    "
CREATE TABLE minos_heads (
    aggregate TEXT NOT NULL,
    id BLOB NOT NULL,
    version INTEGER NOT NULL,
    tail BLOB NOT NULL,
    state TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (aggregate, id)
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: a position is never used twice, not even after the last rows were removed.
CREATE TABLE minos_events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL,
    aggregate TEXT NOT NULL,
    stream BLOB NOT NULL,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    headers TEXT NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (aggregate, stream, version)
) STRICT;

CREATE TABLE minos_inbox (
    consumer TEXT NOT NULL,
    message BLOB NOT NULL,
    unit BLOB NOT NULL,
    status TEXT,
    payload TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (consumer, message)
) STRICT, WITHOUT ROWID;

CREATE TABLE minos_marks (
    consumer TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    stream BLOB NOT NULL,
    version INTEGER NOT NULL,
    tail BLOB NOT NULL,
    unit BLOB NOT NULL,
    PRIMARY KEY (consumer, aggregate, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE minos_outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    envelope TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;

CREATE TABLE minos_cursors (
    name TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    xid INTEGER NOT NULL,
    position INTEGER NOT NULL,
    fence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE minos_sagas (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    due_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX minos_sagas_due ON minos_sagas (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX minos_sagas_created ON minos_sagas (created_at, id);

CREATE TABLE minos_saga_history (
    saga BLOB NOT NULL,
    version INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (saga, version, entry)
) STRICT, WITHOUT ROWID;

CREATE TABLE minos_timers (
    id BLOB PRIMARY KEY,
    due_at INTEGER NOT NULL,
    envelope TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX minos_timers_due ON minos_timers (due_at, id);

CREATE TABLE minos_views (
    view TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (view, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE minos_claims (
    aggregate TEXT NOT NULL,
    field TEXT NOT NULL,
    value TEXT NOT NULL,
    id BLOB NOT NULL,
    PRIMARY KEY (aggregate, field, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX minos_claims_held ON minos_claims (aggregate, id);

CREATE TABLE minos_dead_letters (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    consumer TEXT NOT NULL,
    key TEXT NOT NULL,
    error TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    at INTEGER NOT NULL,
    envelope TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;
CREATE INDEX minos_dead_letters_key ON minos_dead_letters (consumer, key);

-- Units that leave no other trace; kept for a day, so that one whose outcome was unknown is known again.
CREATE TABLE minos_units (
    id BLOB PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX minos_units_at ON minos_units (at);
",
    "
ALTER TABLE minos_dead_letters ADD COLUMN version INTEGER;
ALTER TABLE minos_dead_letters ADD COLUMN reason TEXT NOT NULL DEFAULT 'failed';
ALTER TABLE minos_dead_letters ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
ALTER TABLE minos_dead_letters ADD COLUMN bytes BLOB;
UPDATE minos_dead_letters SET version = json_extract(envelope, '$.headers.version'),
    reason = CASE
        WHEN consumer = 'relay' THEN 'unpublished'
        WHEN error LIKE '%the log was forked%' THEN 'fork'
        WHEN error LIKE '%are missing%' THEN 'gap'
        WHEN error LIKE '%it queues behind%' THEN 'behind'
        ELSE 'failed'
    END;
UPDATE minos_dead_letters SET key = json_extract(envelope, '$.topic') || '/' || key WHERE version IS NOT NULL;
DROP INDEX minos_dead_letters_key;
CREATE INDEX minos_dead_letters_key ON minos_dead_letters (consumer, key, version, place);
CREATE INDEX minos_inbox_old ON minos_inbox (consumer, at);
CREATE INDEX minos_sagas_ended ON minos_sagas (status, updated_at) WHERE due_at IS NULL;
",
];

/// Brings the tables to this version. Several processes may do so at once: the first one works, the others find
/// its work done.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<()> {
    // Another process may still be changing the file to WAL, or be migrating: `begin` waits for it.
    let outcome = migrate_locked(connection).await;
    let end = if outcome.is_ok() {
        "COMMIT"
    } else {
        "ROLLBACK"
    };
    let ended = connection.execute(end).await.map_err(fault::explain);
    outcome?;
    ended.map(drop)
}

async fn migrate_locked(connection: &mut SqliteConnection) -> Result<()> {
    let meta = "CREATE TABLE IF NOT EXISTS minos_meta \
                (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID; \
                INSERT INTO minos_meta (key, value) VALUES ('schema', 0) ON CONFLICT DO NOTHING";
    connection.execute(meta).await.map_err(fault::explain)?;
    let row = sqlx::query("SELECT value FROM minos_meta WHERE key = 'schema'")
        .fetch_one(&mut *connection)
        .await
        .map_err(fault::explain)?;
    let found: i64 = row.try_get(0).map_err(fault::explain)?;
    let known = MIGRATIONS.len();
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    if done > known {
        return Err(Error::Corrupt(format!(
            "the database has schema {found}, this version of minos knows {known}: a newer version wrote it"
        )));
    }
    for migration in &MIGRATIONS[done..] {
        connection
            .execute(*migration)
            .await
            .map_err(fault::explain)?;
    }
    if done < known {
        sqlx::query("UPDATE minos_meta SET value = ? WHERE key = 'schema'")
            .bind(i64::try_from(known).unwrap_or(i64::MAX))
            .execute(&mut *connection)
            .await
            .map_err(fault::explain)?;
    }
    Ok(())
}
