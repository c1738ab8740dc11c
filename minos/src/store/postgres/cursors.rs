//! What changes without a unit of work: cursors, and the end of the outbox.
//!
//! A step forward need not be durable: a crash of the server sets the reader back, which then sees again what it has
//! seen, as after a crash of its own.

use std::sync::Arc;

use super::{pool::Pool, read::cursor_row};
use crate::store::{Cursor, Error, Position, Result};

pub(super) async fn take(pool: &Arc<Pool>, name: &str) -> Result<Cursor> {
    let sql = pool.connector.schema.sql(
        "INSERT INTO minos_cursors AS t (name, epoch, xid, place, fence) VALUES ($1, 0, 0, 0, 1) \
         ON CONFLICT (name) DO UPDATE SET fence = t.fence + 1 RETURNING epoch, xid, place, fence",
    );
    let rows = pool
        .write("a cursor", &sql, |to| {
            use sqlx::Arguments;
            to.add(name)
        })
        .await?;
    match rows.first() {
        Some(row) => cursor_row(row),
        None => Err(Error::Corrupt("taking a cursor answers nothing".to_owned())),
    }
}

pub(super) async fn shift(
    pool: &Arc<Pool>,
    name: &str,
    from: Cursor,
    to: Position,
) -> Result<bool> {
    // A cursor that nobody has taken stands at the start.
    let text = if from == Cursor::default() {
        "INSERT INTO minos_cursors AS t (name, epoch, xid, place, fence) VALUES ($1, $6, $7, $8, $5) \
         ON CONFLICT (name) DO UPDATE SET epoch = $6, xid = $7, place = $8 \
         WHERE t.epoch = $2 AND t.xid = $3 AND t.place = $4 AND t.fence = $5 \
         RETURNING set_config('synchronous_commit', 'off', true)"
    } else {
        "UPDATE minos_cursors t SET epoch = $6, xid = $7, place = $8 \
         WHERE t.name = $1 AND t.epoch = $2 AND t.xid = $3 AND t.place = $4 AND t.fence = $5 \
         RETURNING set_config('synchronous_commit', 'off', true)"
    };
    let sql = pool.connector.schema.sql(text);
    let rows = pool
        .write("a cursor", &sql, |arguments| {
            use sqlx::Arguments;
            arguments.add(name)?;
            for n in [from.position.epoch, from.position.xid, from.position.row] {
                arguments.add(n)?;
            }
            for n in [from.fence, to.epoch, to.xid, to.row] {
                arguments.add(n)?;
            }
            Ok(())
        })
        .await?;
    Ok(!rows.is_empty())
}

pub(super) async fn trim(pool: &Arc<Pool>, upto: Position) -> Result<()> {
    let sql = pool
        .connector
        .schema
        .sql(
            "DELETE FROM minos_outbox USING (SELECT set_config('synchronous_commit', 'off', true)) quick \
             WHERE (epoch, xid, place) <= ($1, $2, $3)",
        );
    pool.write("the outbox's end", &sql, |to| {
        use sqlx::Arguments;
        to.add(upto.epoch)?;
        to.add(upto.xid)?;
        to.add(upto.row)
    })
    .await
    .map(drop)
}
