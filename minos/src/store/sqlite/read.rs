//! Reads, on connections of their own: a reader never waits for the writer.

use chrono::{DateTime, Utc};
use sqlx::{
    Arguments, AssertSqlSafe, SqlitePool,
    sqlite::{SqliteArguments, SqliteRow},
};
use uuid::Uuid;

use super::{batch, fault, find::compile, rows, script::Script};
use crate::{
    message::{Message, Outcome},
    payload::Payload,
    store::{
        Cursor, Error, Find, Guard, Head, Position, Result, SagaFilter, SagaRow, StoredEvent,
        StreamId, Timer,
    },
};

/// All rows at once: a snapshot that stays open over awaits would keep the log file from shrinking.
macro_rules! fetch {
    ($pool:expr, $sql:expr $(, $bind:expr)* $(,)?) => {
        sqlx::query($sql)$(.bind($bind))*.fetch_all($pool).await.map_err(fault::explain)?
    };
}
pub(super) use fetch;

pub(super) fn bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

pub(super) fn at(row: i64) -> Position {
    Position {
        row,
        ..Position::START
    }
}

pub(super) async fn load(pool: &SqlitePool, streams: &[StreamId]) -> Result<Vec<Option<Head>>> {
    let mut heads = vec![None; streams.len()];
    if streams.is_empty() {
        return Ok(heads);
    }
    let mut script = Script::new();
    let numbered: Vec<(i64, &StreamId)> = (0..).zip(streams).collect();
    script.rows(
        (),
        "SELECT v.column1, t.version, t.tail, t.state, t.created_at, t.updated_at FROM ",
        3,
        " v CROSS JOIN minos_heads t ON t.aggregate = v.column2 AND t.id = v.column3",
        &numbered,
        |s, (n, stream)| {
            s.bind(*n).text(&stream.aggregate).id(stream.id);
        },
    );
    let mut connection = pool.acquire().await.map_err(fault::explain)?;
    let found = script.run(&mut connection).await;
    for ((), row) in found.map_err(|broken| fault::explain(broken.error))? {
        if let Some(place) = heads.get_mut(rows::index(&row)?) {
            *place = Some(head(&row)?);
        }
    }
    Ok(heads)
}

/// A head from the columns behind the first.
fn head(row: &SqliteRow) -> Result<Head> {
    Ok(Head {
        guard: rows::guard(row, 1)?,
        state: rows::optional_json(row, 3)?,
        created_at: rows::time(row, 4)?,
        updated_at: rows::time(row, 5)?,
    })
}

pub(super) async fn find(pool: &SqlitePool, find: &Find) -> Result<Vec<(Uuid, Head)>> {
    let select = "SELECT id, version, tail, state, created_at, updated_at FROM minos_heads \
                  WHERE aggregate = ?1 AND state IS NOT NULL";
    let rows = matching(pool, find, select, "state", "id", 3).await?;
    rows.iter()
        .map(|row| Ok((rows::id(row, 0)?, head(row)?)))
        .collect()
}

pub(super) async fn find_views(pool: &SqlitePool, find: &Find) -> Result<Vec<(String, Payload)>> {
    let select = "SELECT key, body FROM minos_views WHERE view = ?1";
    let rows = matching(pool, find, select, "body", "key", 1).await?;
    rows.iter()
        .map(|row| Ok((rows::get(row, 0)?, rows::json(row, 1)?)))
        .collect()
}

/// The rows that match; `document` is the number of the column that the condition is about.
async fn matching(
    pool: &SqlitePool,
    find: &Find,
    select: &str,
    column: &'static str,
    key: &str,
    document: usize,
) -> Result<Vec<SqliteRow>> {
    let mut arguments = SqliteArguments::default();
    arguments.add(find.of.as_str()).map_err(Error::Backend)?;
    let compiled = compile(find, column, arguments)?;
    let (condition, order) = (compiled.condition, compiled.order);
    let mut sql = format!("{select} AND {condition} ORDER BY {order}{key}");
    if compiled.exact {
        sql.push_str(&format!(" LIMIT {} OFFSET {}", find.limit, find.offset));
    }
    let query = sqlx::query_with(AssertSqlSafe(sql), compiled.arguments);
    let mut rows = query.fetch_all(pool).await.map_err(fault::explain)?;
    if !compiled.exact {
        let mut kept = Vec::new();
        for row in rows {
            let text: &str = rows::get(&row, document)?;
            let value: serde_json::Value = serde_json::from_str(text)
                .map_err(|e| Error::Corrupt(format!("a row of {} is not JSON: {e}", find.of)))?;
            if find.condition.holds(&value) {
                kept.push(row);
            }
        }
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let page = kept.into_iter().skip(size(find.offset));
        rows = page.take(size(find.limit)).collect();
    }
    Ok(rows)
}

pub(super) async fn stream(
    pool: &SqlitePool,
    stream: &StreamId,
    after: u64,
    limit: u32,
) -> Result<Vec<StoredEvent>> {
    let rows = fetch!(
        pool,
        "SELECT position, id, aggregate, stream, version, name, payload, headers, at FROM minos_events \
         WHERE aggregate = ? AND stream = ? AND version > ? ORDER BY version LIMIT ?",
        &stream.aggregate,
        bytes(stream.id),
        i64::try_from(after).unwrap_or(i64::MAX),
        limit,
    );
    rows.iter().map(event).collect()
}

pub(super) async fn events(
    pool: &SqlitePool,
    after: Position,
    limit: u32,
) -> Result<Vec<StoredEvent>> {
    let rows = fetch!(
        pool,
        "SELECT position, id, aggregate, stream, version, name, payload, headers, at FROM minos_events \
         WHERE position > ? ORDER BY position LIMIT ?",
        after.row,
        limit,
    );
    rows.iter().map(event).collect()
}

fn event(row: &SqliteRow) -> Result<StoredEvent> {
    Ok(StoredEvent {
        position: at(rows::get(row, 0)?),
        id: rows::id(row, 1)?,
        stream: StreamId::new(rows::get::<String>(row, 2)?, rows::id(row, 3)?),
        version: rows::count(row, 4)?,
        name: rows::get(row, 5)?,
        payload: rows::json(row, 6)?,
        headers: rows::headers(row, 7)?,
        at: rows::time(row, 8)?,
    })
}

pub(super) async fn last_position(pool: &SqlitePool) -> Result<Position> {
    let rows = fetch!(pool, "SELECT max(position) FROM minos_events");
    let last: Option<Option<i64>> = rows.first().map(|row| rows::get(row, 0)).transpose()?;
    Ok(last.flatten().map_or(Position::START, at))
}

pub(super) async fn outbox(
    pool: &SqlitePool,
    after: Position,
    limit: u32,
) -> Result<Vec<(Position, Message)>> {
    let rows = fetch!(
        pool,
        "SELECT position, envelope, payload FROM minos_outbox WHERE position > ? ORDER BY position LIMIT ?",
        after.row,
        limit,
    );
    let message = |row: &SqliteRow| Ok((at(rows::get(row, 0)?), rows::message(row, 1)?));
    rows.iter().map(message).collect()
}

pub(super) async fn cursor(pool: &SqlitePool, name: &str) -> Result<Cursor> {
    let rows = fetch!(
        pool,
        "SELECT epoch, xid, position, fence FROM minos_cursors WHERE name = ?",
        name,
    );
    let cursor = rows.first().map(|row| batch::cursor(row, 0)).transpose()?;
    Ok(cursor.unwrap_or_default())
}

pub(super) async fn inbox(
    pool: &SqlitePool,
    consumer: &str,
    message: Uuid,
) -> Result<Option<Option<Outcome>>> {
    let rows = fetch!(
        pool,
        "SELECT status, payload FROM minos_inbox WHERE consumer = ? AND message = ?",
        consumer,
        bytes(message),
    );
    rows.first().map(|row| rows::outcome(row, 0)).transpose()
}

pub(super) async fn mark(
    pool: &SqlitePool,
    consumer: &str,
    stream: &StreamId,
) -> Result<Option<Guard>> {
    let rows = fetch!(
        pool,
        "SELECT version, tail FROM minos_marks WHERE consumer = ? AND aggregate = ? AND stream = ?",
        consumer,
        &stream.aggregate,
        bytes(stream.id),
    );
    rows.first().map(|row| rows::guard(row, 0)).transpose()
}

pub(super) async fn view(pool: &SqlitePool, view: &str, key: &str) -> Result<Option<Payload>> {
    let rows = fetch!(
        pool,
        "SELECT body FROM minos_views WHERE view = ? AND key = ?",
        view,
        key,
    );
    rows.first().map(|row| rows::json(row, 0)).transpose()
}

pub(super) async fn saga(pool: &SqlitePool, id: Uuid) -> Result<Option<SagaRow>> {
    let rows = fetch!(
        pool,
        "SELECT id, name, version, status, due_at, created_at, updated_at, body FROM minos_sagas \
         WHERE id = ?",
        bytes(id),
    );
    rows.first().map(saga_row).transpose()
}

pub(super) async fn sagas(pool: &SqlitePool, filter: &SagaFilter) -> Result<Vec<SagaRow>> {
    let rows = fetch!(
        pool,
        "SELECT id, name, version, status, due_at, created_at, updated_at, body FROM minos_sagas \
         WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR name = ?2) \
         ORDER BY created_at DESC, id DESC LIMIT ?3",
        &filter.status,
        &filter.name,
        filter.limit,
    );
    rows.iter().map(saga_row).collect()
}

pub(super) async fn due_sagas(
    pool: &SqlitePool,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<SagaRow>> {
    let rows = fetch!(
        pool,
        "SELECT id, name, version, status, due_at, created_at, updated_at, body FROM minos_sagas \
         WHERE due_at IS NOT NULL AND due_at <= ? ORDER BY due_at, id LIMIT ?",
        now.timestamp_micros(),
        limit,
    );
    rows.iter().map(saga_row).collect()
}

fn saga_row(row: &SqliteRow) -> Result<SagaRow> {
    Ok(SagaRow {
        id: rows::id(row, 0)?,
        name: rows::get(row, 1)?,
        version: rows::count(row, 2)?,
        status: rows::get(row, 3)?,
        due_at: rows::optional_time(row, 4)?,
        created_at: rows::time(row, 5)?,
        updated_at: rows::time(row, 6)?,
        body: rows::json(row, 7)?,
    })
}

pub(super) async fn saga_history(pool: &SqlitePool, id: Uuid, limit: u32) -> Result<Vec<Payload>> {
    let rows = fetch!(
        pool,
        "SELECT body FROM minos_saga_history WHERE saga = ? ORDER BY version DESC, entry DESC LIMIT ?",
        bytes(id),
        i64::from(limit),
    );
    rows.iter().rev().map(|row| rows::json(row, 0)).collect()
}

pub(super) async fn due_timers(
    pool: &SqlitePool,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Timer>> {
    let rows = fetch!(
        pool,
        "SELECT id, due_at, envelope, payload FROM minos_timers WHERE due_at <= ? ORDER BY due_at, id LIMIT ?",
        now.timestamp_micros(),
        limit,
    );
    let timer = |row: &SqliteRow| {
        Ok(Timer {
            id: rows::id(row, 0)?,
            due_at: rows::time(row, 1)?,
            message: rows::message(row, 2)?,
        })
    };
    rows.iter().map(timer).collect()
}

pub(super) async fn next_due(pool: &SqlitePool) -> Result<Option<DateTime<Utc>>> {
    // Two look-ups at the beginning of an index each.
    let rows = fetch!(
        pool,
        "SELECT min(due_at) FROM minos_sagas WHERE due_at IS NOT NULL UNION ALL SELECT min(due_at) FROM minos_timers",
    );
    let mut next = None;
    for row in &rows {
        let due = rows::optional_time(row, 0)?;
        next = [next, due].into_iter().flatten().min();
    }
    Ok(next)
}
