//! Dead letters, and what is old enough to be forgotten.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{
    error::BoxDynError,
    postgres::{PgArguments, PgRow},
};
use uuid::Uuid;

use super::{
    names::{brief, printable},
    read::{Connections, fetch},
    rows,
};
use crate::{
    payload::Payload,
    store::{DeadLetter, Error, LetterFilter, Old, Position, Reason, Result, letter::Details},
};

const COLUMNS: &str = "SELECT place, id, consumer, key, error, attempts, at, envelope, payload, reason, details, \
                       bytes FROM minos_dead_letters";

/// What a filter says, as parameters 1 to 8.
const FITS: &str = "($1::text IS NULL OR consumer = $1) AND ($2::text IS NULL OR brief = $2) \
                    AND ($3::text IS NULL OR kind = $3) AND ($4::text IS NULL OR name = $4) \
                    AND ($5::text IS NULL OR topic = $5) AND ($6::text IS NULL OR reason = $6) \
                    AND ($7::timestamptz IS NULL OR at >= $7) AND ($8::timestamptz IS NULL OR at < $8)";

fn bind(filter: &LetterFilter, to: &mut PgArguments) -> Result<(), BoxDynError> {
    use sqlx::Arguments;
    let text = |text: &Option<String>| text.as_deref().map(|t| printable(t).into_owned());
    to.add(text(&filter.consumer))?;
    to.add(text(&filter.key).map(|key| brief(&key).into_owned()))?;
    to.add(filter.kind.map(|k| k.as_str()))?;
    to.add(text(&filter.name))?;
    to.add(text(&filter.topic))?;
    to.add(filter.reason.map(Reason::as_str))?;
    to.add(filter.since)?;
    to.add(filter.until)
}

pub(super) async fn list(
    pool: &Connections,
    filter: &LetterFilter,
) -> Result<Vec<(Position, DeadLetter)>> {
    let sql = format!("{COLUMNS} WHERE {FITS} AND place > $9 ORDER BY place LIMIT $10");
    let sql = pool.connector.schema.sql(&sql);
    let found = pool.read("dead letters", &sql, |to| {
        use sqlx::Arguments;
        bind(filter, to)?;
        to.add(filter.after.row)?;
        to.add(i64::from(filter.limit))
    });
    let placed = |row: &PgRow| {
        let place = Position {
            row: rows::get(row, 0)?,
            ..Position::START
        };
        Ok((place, letter(row)?))
    };
    found.await?.iter().map(placed).collect()
}

pub(super) async fn one(pool: &Connections, id: Uuid) -> Result<Option<DeadLetter>> {
    let sql = format!("{COLUMNS} WHERE id = $1");
    let rows = fetch!(pool, "a dead letter", &sql, id);
    rows.first().map(letter).transpose()
}

pub(super) async fn counts(
    pool: &Connections,
    filter: &LetterFilter,
) -> Result<BTreeMap<String, u64>> {
    let sql =
        format!("SELECT consumer, count(*) FROM minos_dead_letters WHERE {FITS} GROUP BY consumer");
    let sql = pool.connector.schema.sql(&sql);
    let found = pool.read("counts of dead letters", &sql, |to| bind(filter, to));
    let rows = found.await?;
    rows.iter()
        .map(|row| Ok((rows::get(row, 0)?, rows::count(row, 1)?)))
        .collect()
}

pub(super) async fn first(
    pool: &Connections,
    consumer: &str,
    key: &str,
) -> Result<Option<DeadLetter>> {
    let sql = format!(
        "{COLUMNS} WHERE consumer = $1 AND brief = $2 ORDER BY version NULLS FIRST, place LIMIT 1"
    );
    let key = printable(key);
    let rows = fetch!(
        pool,
        "the first parked",
        &sql,
        &*printable(consumer),
        &*brief(&key)
    );
    rows.first().map(letter).transpose()
}

fn letter(row: &PgRow) -> Result<DeadLetter> {
    let corrupt = |what: String| Error::Corrupt(format!("a stored dead letter: {what}"));
    let payload: &[u8] = rows::get(row, 8)?;
    let payload = std::str::from_utf8(payload).map_err(|e| corrupt(e.to_string()))?;
    let reason: &str = rows::get(row, 9)?;
    let details: &str = rows::get(row, 10)?;
    let details: Details<'_> = serde_json::from_str(details).map_err(|e| corrupt(e.to_string()))?;
    Ok(DeadLetter {
        id: rows::get(row, 1)?,
        consumer: rows::get(row, 2)?,
        key: rows::get(row, 3)?,
        message: rows::message(row, 7, Payload::from_text(payload))?,
        reason: Reason::named(reason).ok_or_else(|| corrupt(format!("the reason `{reason}`")))?,
        error: rows::get(row, 4)?,
        attempts: u32::try_from(rows::count(row, 5)?).unwrap_or(u32::MAX),
        at: rows::time(row, 6)?,
        origin: details.origin.map(std::borrow::Cow::into_owned),
        history: details.history.into_owned(),
        bytes: rows::get(row, 11)?,
    })
}

pub(super) async fn purge(
    pool: &Connections,
    old: &Old,
    before: DateTime<Utc>,
    limit: u32,
) -> Result<u64> {
    let (of, text) = match old {
        Old::Inbox { consumer } => (
            consumer,
            "DELETE FROM minos_inbox t WHERE t.consumer = $1 AND t.message IN (SELECT o.message FROM minos_inbox o \
             WHERE o.consumer = $1 AND o.at < $2 LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING 1",
        ),
        Old::Inboxes { prefix } => (
            prefix,
            "DELETE FROM minos_inbox t WHERE (t.consumer, t.message) IN (SELECT o.consumer, o.message \
             FROM minos_inbox o WHERE o.consumer >= $1 AND o.consumer < $1 || chr(1114111) AND o.at < $2 LIMIT $3 \
             FOR UPDATE SKIP LOCKED) RETURNING 1",
        ),
        Old::Sagas { status } => (
            status,
            "WITH gone AS (DELETE FROM minos_sagas t WHERE t.id IN (SELECT o.id FROM minos_sagas o \
             WHERE o.status = $1 AND o.due_at IS NULL AND o.updated_at < $2 LIMIT $3 FOR UPDATE SKIP LOCKED) \
             RETURNING id), history AS (DELETE FROM minos_saga_history h USING gone WHERE h.saga = gone.id) \
             SELECT 1 FROM gone",
        ),
    };
    let sql = pool.connector.schema.sql(text);
    let gone = pool.write("what is old", &sql, |to| {
        use sqlx::Arguments;
        to.add(&*printable(of))?;
        to.add(before)?;
        to.add(i64::from(limit))
    });
    Ok(u64::try_from(gone.await?.len()).unwrap_or(u64::MAX))
}
