//! Reads. Those of the log and of the outbox take their horizon from the snapshot that gives them the rows.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgArguments, PgRow};
use tokio::time::{Duration, Instant, sleep, timeout};
use uuid::Uuid;

use super::{
    commit::Shared,
    find::{Compiled, compile},
    loads::Handled,
    names::{brief, printable},
    pool::Pool,
    rows,
};
use crate::{
    message::{Message, Outcome},
    payload::Payload,
    store::{
        Cursor, Error, Find, Guard, Head, Position, Result, SagaFilter, SagaRow, StoredEvent,
        StreamId, Timer,
    },
};

/// Runs a statement with its parameters and answers its rows.
macro_rules! fetch {
    ($pool:expr, $what:literal, $sql:expr $(, $bind:expr)* $(,)?) => {{
        let sql = $pool.connector.schema.sql($sql);
        $pool.read($what, &sql, |_to| {
            #[allow(unused_imports)]
            use sqlx::Arguments;
            $(_to.add($bind)?;)*
            Ok(())
        }).await?
    }};
}
pub(super) use fetch;

pub(super) type Connections = Arc<Pool>;

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) async fn load(pool: &Connections, streams: &[StreamId]) -> Result<Vec<Option<Head>>> {
    let rows = match streams {
        [] => return Ok(Vec::new()),
        [one] => fetch!(
            pool,
            "load",
            "SELECT 1::bigint, version, tail, state, created_at, updated_at FROM minos_heads \
             WHERE aggregate = $1 AND id = $2",
            &one.aggregate,
            one.id,
        ),
        many => {
            let aggregates: Vec<&str> = many.iter().map(|s| s.aggregate.as_str()).collect();
            let ids: Vec<Uuid> = many.iter().map(|s| s.id).collect();
            fetch!(
                pool,
                "load",
                "SELECT w.n, t.version, t.tail, t.state, t.created_at, t.updated_at \
                 FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY w(aggregate, id, n) \
                 JOIN minos_heads t ON t.aggregate = w.aggregate AND t.id = w.id",
                &aggregates,
                &ids,
            )
        }
    };
    places(&rows, streams.len(), head)
}

/// What each row says, at the place that its first column names, counted from one.
fn places<T: Clone>(
    rows: &[PgRow],
    count: usize,
    read: impl Fn(&PgRow) -> Result<T>,
) -> Result<Vec<Option<T>>> {
    let mut found = vec![None; count];
    for row in rows {
        let n = rows::count(row, 0)?;
        let place = usize::try_from(n).unwrap_or(usize::MAX).wrapping_sub(1);
        if let Some(place) = found.get_mut(place) {
            *place = Some(read(row)?);
        }
    }
    Ok(found)
}

/// A head from the columns behind the first.
fn head(row: &PgRow) -> Result<Head> {
    Ok(Head {
        guard: rows::guard(row, 1)?,
        state: rows::optional_json(row, 3)?,
        created_at: rows::time(row, 4)?,
        updated_at: rows::time(row, 5)?,
    })
}

/// Whether streams stand where they are expected, all at one moment.
pub(super) async fn confirm(pool: &Connections, reads: &[(StreamId, Option<Guard>)]) -> Result<()> {
    let streams: Vec<StreamId> = reads.iter().map(|(stream, _)| stream.clone()).collect();
    let heads = load(pool, &streams).await?;
    for ((stream, expected), head) in reads.iter().zip(heads) {
        let actual = head.map(|h| h.guard);
        if actual != *expected {
            return Err(Error::Conflict {
                stream: stream.clone(),
                expected: expected.map_or(0, |g| g.version),
                actual: actual.map_or(0, |g| g.version),
            });
        }
    }
    Ok(())
}

pub(super) async fn find(pool: &Connections, find: &Find) -> Result<Vec<(Uuid, Head)>> {
    let select = "SELECT id, version, tail, state, created_at, updated_at, state::jsonb AS doc, id AS key \
                  FROM minos_heads WHERE aggregate = $1 AND state IS NOT NULL";
    let rows = matching(pool, find, select, 3).await?;
    rows.iter()
        .map(|row| Ok((rows::get(row, 0)?, head(row)?)))
        .collect()
}

pub(super) async fn find_views(pool: &Connections, find: &Find) -> Result<Vec<(String, Payload)>> {
    let select = "SELECT coalesce(key, brief), body, body::jsonb AS doc, coalesce(key, brief) AS key \
                  FROM minos_views WHERE view = $1";
    let rows = matching(pool, find, select, 1).await?;
    rows.iter()
        .map(|row| Ok((rows::get(row, 0)?, rows::json(row, 1)?)))
        .collect()
}

/// The rows that match; `document` is the number of the column that the condition is about.
async fn matching(
    pool: &Connections,
    find: &Find,
    select: &str,
    document: usize,
) -> Result<Vec<PgRow>> {
    use sqlx::Arguments;
    let select = pool.connector.schema.sql(select);
    let of = printable(&find.of);
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let parameters = |to: &mut PgArguments| -> Result<Compiled> {
        to.add(&*of).map_err(Error::Backend)?;
        compile(find, std::mem::take(to))
    };
    let compiled = parameters(&mut PgArguments::default())?;
    let (condition, order) = (compiled.condition, compiled.order);
    // OFFSET 0: each document is parsed once.
    let mut sql =
        format!("SELECT * FROM ({select} OFFSET 0) t WHERE {condition} ORDER BY {order}key");
    if compiled.exact {
        let n = compiled.arguments.len();
        sql.push_str(&format!(" LIMIT ${} OFFSET ${}", n + 1, n + 2));
    }
    let bind = |to: &mut PgArguments| {
        *to = parameters(to)?.arguments;
        if compiled.exact {
            to.add(i64::from(find.limit))?;
            to.add(i64::from(find.offset))?;
        }
        Ok(())
    };
    let mut rows = pool.read("find", &sql, bind).await?;
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
        let page = kept.into_iter().skip(size(find.offset));
        rows = page.take(size(find.limit)).collect();
    }
    Ok(rows)
}

pub(super) async fn stream(
    pool: &Connections,
    stream: &StreamId,
    after: u64,
    limit: u32,
) -> Result<Vec<StoredEvent>> {
    let rows = fetch!(
        pool,
        "stream",
        "SELECT epoch, xid, place, id, aggregate, stream, version, name, payload, headers, at FROM minos_events \
         WHERE aggregate = $1 AND stream = $2 AND version > $3 ORDER BY version LIMIT $4",
        &stream.aggregate,
        stream.id,
        signed(after),
        i64::from(limit),
    );
    rows.iter().map(|row| event(row, 0)).collect()
}

/// Rows of the log or the outbox that have a place for good: those of older epochs, and those of transactions older
/// than all that still run. Both sides come from the snapshot of the one statement; a function that looks at a later one
/// would let rows slip by. Without such a row there is one of the horizon alone.
macro_rules! settled {
    ($columns:literal, $table:literal) => {
        concat!(
            "SELECT s.horizon, t.* FROM (SELECT epoch AS now_epoch, \
             pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon FROM minos_server) s \
             LEFT JOIN LATERAL (SELECT epoch, xid, place, ",
            $columns,
            " FROM ",
            $table,
            " WHERE (epoch, xid, place) > ($1, $2, $3) AND (epoch < s.now_epoch OR xid < s.horizon) \
             ORDER BY epoch, xid, place LIMIT $4) t ON true"
        )
    };
}

pub(super) async fn events(
    shared: &Shared,
    after: Position,
    limit: u32,
) -> Result<Vec<StoredEvent>> {
    let sql = settled!(
        "id, aggregate, stream, version, name, payload, headers, at",
        "minos_events"
    );
    let rows = page(shared, &shared.quiet.events, sql, after, limit).await?;
    rows.iter().map(|row| event(row, 1)).collect()
}

/// The longest pause between two looks at what an older transaction hides.
const HIDDEN: Duration = Duration::from_millis(2);

/// A page of rows behind their horizon.
///
/// What this process has committed should be seen by its next read, but an older transaction of anybody may hide it:
/// if there is nothing else to read, waits a little for that one's end.
async fn page(
    shared: &Shared,
    quiet: &Quiet,
    sql: &str,
    after: Position,
    limit: u32,
) -> Result<Vec<PgRow>> {
    let pool = &shared.pool;
    pool.connector.refuse_if_held()?;
    let signs = *shared.changes.borrow();
    let own = shared.last.load(Ordering::Relaxed);
    if limit == 0 || quiet.knows(after, signs) {
        return Ok(Vec::new());
    }
    let until = Instant::now() + shared.options.settle;
    let mut changes = shared.changes.subscribe();
    loop {
        changes.mark_unchanged();
        let mut rows = fetch!(
            pool,
            "a page of the log",
            sql,
            after.epoch,
            after.xid,
            after.row,
            i64::from(limit),
        );
        pool.connector.refuse_if_held()?;
        let horizon: i64 = rows.first().map_or(Ok(0), |row| rows::get(row, 0))?;
        let none: Option<i64> = rows.first().map_or(Ok(None), |row| rows::get(row, 1))?;
        if none.is_none() {
            rows.clear();
        }
        let full = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
        if !full && horizon > own {
            let last = rows.last().map(|row| rows::position(row, 1)).transpose()?;
            quiet.note(last.unwrap_or(after), signs);
        }
        if !rows.is_empty() || horizon > own || Instant::now() > until {
            return Ok(rows);
        }
        // The transaction that hides it is most likely one of ours.
        timeout(HIDDEN, changes.changed()).await.ok();
    }
}

/// That there is nothing behind a position as long as there is no sign of a change, so that those who only look
/// whether there is something new need not ask the server.
#[derive(Debug, Default)]
pub(super) struct Quiet(Mutex<Option<(Position, u64)>>);

impl Quiet {
    fn knows(&self, after: Position, signs: u64) -> bool {
        let known = self.0.lock().unwrap_or_else(|e| e.into_inner());
        known.is_some_and(|(last, at)| after >= last && at == signs)
    }

    fn note(&self, last: Position, signs: u64) {
        *self.0.lock().unwrap_or_else(|e| e.into_inner()) = Some((last, signs));
    }
}

/// An event from the columns behind so many.
fn event(row: &PgRow, skip: usize) -> Result<StoredEvent> {
    Ok(StoredEvent {
        position: rows::position(row, skip)?,
        id: rows::get(row, skip + 3)?,
        stream: StreamId::new(
            rows::get::<String>(row, skip + 4)?,
            rows::get(row, skip + 5)?,
        ),
        version: rows::count(row, skip + 6)?,
        name: rows::get(row, skip + 7)?,
        payload: rows::json(row, skip + 8)?,
        headers: rows::headers(row, skip + 9)?,
        at: rows::time(row, skip + 10)?,
    })
}

pub(super) async fn last_position(shared: &Shared) -> Result<Position> {
    let own = shared.last.load(Ordering::Relaxed);
    let until = Instant::now() + shared.options.settle;
    loop {
        let rows = fetch!(
            shared.pool,
            "last position",
            "SELECT s.horizon, t.* FROM (SELECT epoch AS now_epoch, \
             pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon FROM minos_server) s \
             LEFT JOIN LATERAL (SELECT epoch, xid, place FROM minos_events \
             WHERE epoch < s.now_epoch OR xid < s.horizon \
             ORDER BY epoch DESC, xid DESC, place DESC LIMIT 1) t ON true",
        );
        let Some(row) = rows.first() else {
            return Ok(Position::START);
        };
        let horizon: i64 = rows::get(row, 0)?;
        if horizon > own || Instant::now() > until {
            let there: Option<i64> = rows::get(row, 1)?;
            return there.map_or(Ok(Position::START), |_| rows::position(row, 1));
        }
        sleep(Duration::from_millis(1)).await;
    }
}

pub(super) async fn outbox(
    shared: &Shared,
    after: Position,
    limit: u32,
) -> Result<Vec<(Position, Message)>> {
    let sql = settled!("envelope, payload", "minos_outbox");
    let rows = page(shared, &shared.quiet.outbox, sql, after, limit).await?;
    let message = |row: &PgRow| {
        let message = rows::message(row, 4, rows::json(row, 5)?)?;
        Ok((rows::position(row, 1)?, message))
    };
    rows.iter().map(message).collect()
}

pub(super) async fn cursor(pool: &Connections, name: &str) -> Result<Cursor> {
    let rows = fetch!(
        pool,
        "cursor",
        "SELECT epoch, xid, place, fence FROM minos_cursors WHERE name = $1",
        name,
    );
    let cursor = rows.first().map(cursor_row).transpose()?;
    Ok(cursor.unwrap_or_default())
}

/// A cursor from its four columns.
pub(super) fn cursor_row(row: &PgRow) -> Result<Cursor> {
    Ok(Cursor {
        position: rows::position(row, 0)?,
        fence: rows::get(row, 3)?,
    })
}

pub(super) async fn inbox(
    pool: &Connections,
    handled: &[Handled],
) -> Result<Vec<Option<Option<Outcome>>>> {
    let rows = match handled {
        [one] => fetch!(
            pool,
            "inbox",
            "SELECT 1::bigint, status, payload FROM minos_inbox WHERE consumer = $1 AND message = $2",
            &*printable(&one.consumer),
            one.message,
        ),
        many => {
            let consumers: Vec<_> = many.iter().map(|h| printable(&h.consumer)).collect();
            let consumers: Vec<&str> = consumers.iter().map(|c| &**c).collect();
            let messages: Vec<Uuid> = many.iter().map(|h| h.message).collect();
            fetch!(
                pool,
                "inbox",
                "SELECT w.n, t.status, t.payload \
                 FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY w(consumer, message, n) \
                 JOIN minos_inbox t ON t.consumer = w.consumer AND t.message = w.message",
                &consumers,
                &messages,
            )
        }
    };
    let outcome = |row: &PgRow| rows::outcome(rows::get(row, 1)?, rows::get(row, 2)?);
    places(&rows, handled.len(), outcome)
}

pub(super) async fn mark(
    pool: &Connections,
    consumer: &str,
    stream: &StreamId,
) -> Result<Option<Guard>> {
    let rows = fetch!(
        pool,
        "mark",
        "SELECT version, tail FROM minos_marks WHERE consumer = $1 AND aggregate = $2 AND stream = $3",
        &*printable(consumer),
        &*printable(&stream.aggregate),
        stream.id,
    );
    rows.first().map(|row| rows::guard(row, 0)).transpose()
}

pub(super) async fn view(pool: &Connections, view: &str, key: &str) -> Result<Option<Payload>> {
    if view.contains('\0') || key.contains('\0') {
        return Ok(None);
    }
    let rows = fetch!(
        pool,
        "view",
        "SELECT body FROM minos_views WHERE view = $1 AND brief = $2",
        view,
        &*brief(key),
    );
    rows.first().map(|row| rows::json(row, 0)).transpose()
}

/// These sagas, in their order.
pub(super) async fn sagas_of(pool: &Connections, ids: &[Uuid]) -> Result<Vec<Option<SagaRow>>> {
    let rows = match ids {
        [one] => fetch!(
            pool,
            "saga",
            "SELECT id, name, version, status, due_at, created_at, updated_at, body FROM minos_sagas WHERE id = $1",
            *one,
        ),
        many => fetch!(
            pool,
            "sagas",
            "SELECT t.id, t.name, t.version, t.status, t.due_at, t.created_at, t.updated_at, t.body \
             FROM unnest($1::uuid[]) w(id) JOIN minos_sagas t ON t.id = w.id",
            &many,
        ),
    };
    let rows = rows.iter().map(saga_row).collect::<Result<Vec<_>>>()?;
    let of = |id: &Uuid| rows.iter().find(|row| row.id == *id).cloned();
    Ok(ids.iter().map(of).collect())
}

pub(super) async fn sagas(pool: &Connections, filter: &SagaFilter) -> Result<Vec<SagaRow>> {
    let rows = fetch!(
        pool,
        "sagas",
        "SELECT id, name, version, status, due_at, created_at, updated_at, body FROM minos_sagas \
         WHERE ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR name = $2) \
         ORDER BY created_at DESC, id DESC LIMIT $3",
        filter.status.as_deref().map(printable).as_deref(),
        filter.name.as_deref().map(printable).as_deref(),
        i64::from(filter.limit),
    );
    rows.iter().map(saga_row).collect()
}

pub(super) async fn due_sagas(
    pool: &Connections,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<SagaRow>> {
    let rows = fetch!(
        pool,
        "due sagas",
        "SELECT id, name, version, status, due_at, created_at, updated_at, body FROM minos_sagas \
         WHERE due_at IS NOT NULL AND due_at <= $1 ORDER BY due_at, id LIMIT $2",
        now,
        i64::from(limit),
    );
    rows.iter().map(saga_row).collect()
}

fn saga_row(row: &PgRow) -> Result<SagaRow> {
    Ok(SagaRow {
        id: rows::get(row, 0)?,
        name: rows::get(row, 1)?,
        version: rows::count(row, 2)?,
        status: rows::get(row, 3)?,
        due_at: rows::get(row, 4)?,
        created_at: rows::time(row, 5)?,
        updated_at: rows::time(row, 6)?,
        body: rows::json(row, 7)?,
    })
}

pub(super) async fn saga_history(pool: &Connections, id: Uuid, limit: u32) -> Result<Vec<Payload>> {
    let rows = fetch!(
        pool,
        "saga history",
        "SELECT body FROM minos_saga_history WHERE saga = $1 \
         ORDER BY version DESC, entry DESC LIMIT $2",
        id,
        i64::from(limit),
    );
    rows.iter().rev().map(|row| rows::json(row, 0)).collect()
}

pub(super) async fn due_timers(
    pool: &Connections,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Timer>> {
    let rows = fetch!(
        pool,
        "due timers",
        "SELECT id, due_at, envelope, payload FROM minos_timers WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2",
        now,
        i64::from(limit),
    );
    let timer = |row: &PgRow| {
        Ok(Timer {
            id: rows::get(row, 0)?,
            due_at: rows::time(row, 1)?,
            message: rows::message(row, 2, rows::json(row, 3)?)?,
        })
    };
    rows.iter().map(timer).collect()
}

pub(super) async fn next_due(shared: &Shared) -> Result<Option<DateTime<Utc>>> {
    let known = &shared.quiet.due;
    let moves = known.moves.load(Ordering::Acquire);
    if let Some(due) = known.get(moves) {
        return Ok(due);
    }
    let asked = Instant::now();
    let rows = fetch!(
        shared.pool,
        "next due",
        "SELECT least((SELECT min(due_at) FROM minos_sagas WHERE due_at IS NOT NULL), \
         (SELECT min(due_at) FROM minos_timers))",
    );
    let due = rows.first().map_or(Ok(None), |row| rows::get(row, 0))?;
    *known.known.lock().unwrap_or_else(|e| e.into_inner()) = Some((due, moves, asked));
    Ok(due)
}

/// When the next saga or timer is due, as it was a moment ago: those who look after every commit need not ask the
/// server each time. What other processes change is seen a moment later.
#[derive(Debug, Default)]
pub(super) struct NextDue {
    /// Rises with every saga or timer that this process moves.
    moves: AtomicU64,
    known: Mutex<Option<Known>>,
}

/// When it is due, at which moves, and when that was asked.
type Known = (Option<DateTime<Utc>>, u64, Instant);

impl NextDue {
    /// How long an answer is good for.
    const MOMENT: Duration = Duration::from_millis(200);

    pub(super) fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Release);
    }

    fn get(&self, moves: u64) -> Option<Option<DateTime<Utc>>> {
        let known = self.known.lock().unwrap_or_else(|e| e.into_inner());
        let (due, at, asked) = (*known)?;
        (at == moves && asked.elapsed() < Self::MOMENT).then_some(due)
    }
}
