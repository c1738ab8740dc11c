//! Dead letters, and what is old enough to be forgotten.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{SqlitePool, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    changes::Forget,
    fault,
    read::{at, bytes, fetch},
    rows,
};
use crate::{
    message::Kind,
    store::{DeadLetter, Error, LetterFilter, Old, Position, Reason, Result, letter::Details},
};

const COLUMNS: &str = "SELECT place, id, consumer, key, error, attempts, at, envelope, payload, reason, details, \
                       bytes FROM minos_dead_letters";

/// What a filter says, as parameters 1 to 8.
const FITS: &str = "(?1 IS NULL OR consumer = ?1) AND (?2 IS NULL OR key = ?2) \
                    AND (?3 IS NULL OR envelope ->> 'kind' = ?3) AND (?4 IS NULL OR envelope ->> 'name' = ?4) \
                    AND (?5 IS NULL OR envelope ->> 'topic' = ?5) AND (?6 IS NULL OR reason = ?6) \
                    AND (?7 IS NULL OR at >= ?7) AND (?8 IS NULL OR at < ?8)";

macro_rules! fetch_fitting {
    ($pool:expr, $sql:expr, $filter:expr $(, $bind:expr)* $(,)?) => {{
        let sql: String = $sql;
        let sql = sqlx::AssertSqlSafe(sql);
        fetch!(
            $pool,
            sql,
            &$filter.consumer,
            &$filter.key,
            $filter.kind.map(Kind::as_str),
            &$filter.name,
            &$filter.topic,
            $filter.reason.map(Reason::as_str),
            $filter.since.map(|t| t.timestamp_micros()),
            $filter.until.map(|t| t.timestamp_micros())
            $(, $bind)*
        )
    }};
}

pub(super) async fn list(
    pool: &SqlitePool,
    filter: &LetterFilter,
) -> Result<Vec<(Position, DeadLetter)>> {
    let rows = fetch_fitting!(
        pool,
        format!("{COLUMNS} WHERE {FITS} AND place > ?9 ORDER BY place LIMIT ?10"),
        filter,
        filter.after.row,
        filter.limit,
    );
    rows.iter()
        .map(|row| Ok((at(rows::get(row, 0)?), letter(row)?)))
        .collect()
}

pub(super) async fn one(pool: &SqlitePool, id: Uuid) -> Result<Option<DeadLetter>> {
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE id = ?"));
    let rows = fetch!(pool, sql, bytes(id));
    rows.first().map(letter).transpose()
}

pub(super) async fn counts(
    pool: &SqlitePool,
    filter: &LetterFilter,
) -> Result<BTreeMap<String, u64>> {
    let rows = fetch_fitting!(
        pool,
        format!("SELECT consumer, count(*) FROM minos_dead_letters WHERE {FITS} GROUP BY consumer"),
        filter,
    );
    rows.iter()
        .map(|row| Ok((rows::get(row, 0)?, rows::count(row, 1)?)))
        .collect()
}

pub(super) async fn first(
    pool: &SqlitePool,
    consumer: &str,
    key: &str,
) -> Result<Option<DeadLetter>> {
    let sql = format!(
        "{COLUMNS} WHERE consumer = ? AND key = ? ORDER BY version NULLS FIRST, place LIMIT 1"
    );
    let rows = fetch!(pool, sqlx::AssertSqlSafe(sql), consumer, key);
    rows.first().map(letter).transpose()
}

fn letter(row: &SqliteRow) -> Result<DeadLetter> {
    let corrupt = |what: String| Error::Corrupt(format!("a stored dead letter: {what}"));
    let attempts = rows::count(row, 5)?;
    let reason: &str = rows::get(row, 9)?;
    let details: &str = rows::get(row, 10)?;
    let details: Details<'_> = serde_json::from_str(details).map_err(|e| corrupt(e.to_string()))?;
    Ok(DeadLetter {
        id: rows::id(row, 1)?,
        consumer: rows::get(row, 2)?,
        key: rows::get(row, 3)?,
        message: rows::message(row, 7)?,
        reason: Reason::named(reason).ok_or_else(|| corrupt(format!("the reason `{reason}`")))?,
        error: rows::get(row, 4)?,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        at: rows::time(row, 6)?,
        origin: details.origin.map(std::borrow::Cow::into_owned),
        history: details.history.into_owned(),
        bytes: rows::get(row, 11)?,
    })
}

/// What is old. Readers look for it: the writer gets the keys and does not search.
pub(super) async fn old(
    pool: &SqlitePool,
    old: &Old,
    before: DateTime<Utc>,
    limit: u32,
) -> Result<Forget> {
    let before = before.timestamp_micros();
    let mut forget = Forget::default();
    match old {
        Old::Inbox { consumer } => {
            let rows = fetch!(
                pool,
                "SELECT message FROM minos_inbox WHERE consumer = ? AND at < ? LIMIT ?",
                consumer,
                before,
                limit,
            );
            for row in &rows {
                forget.inbox.push((consumer.clone(), rows::id(row, 0)?));
            }
        }
        Old::Inboxes { prefix } => {
            let rows = fetch!(
                pool,
                "SELECT message, consumer FROM minos_inbox \
                 WHERE consumer >= ?1 AND consumer < ?1 || char(1114111) AND at < ?2 LIMIT ?3",
                prefix,
                before,
                limit,
            );
            for row in &rows {
                forget.inbox.push((rows::get(row, 1)?, rows::id(row, 0)?));
            }
        }
        Old::Sagas { status } => {
            let rows = fetch!(
                pool,
                "SELECT id FROM minos_sagas WHERE status = ? AND due_at IS NULL AND updated_at < ? LIMIT ?",
                status,
                before,
                limit,
            );
            for row in &rows {
                forget.sagas.push(rows::id(row, 0)?);
            }
        }
    }
    Ok(forget)
}
