//! Which server wrote the rows.
//!
//! Transaction numbers mean something within one history of one server only. After a restore into a new server they
//! begin again below those of the rows; after a failover the new primary may use some a second time. So every row
//! carries an epoch, raised whenever the server's identity or timeline is another one; older epochs stand below
//! every horizon.

use sqlx::{AssertSqlSafe, PgConnection, postgres::PgRow};

use super::{fault, names::Schema, rows::get};
use crate::store::{Error, Result};

/// The SQLSTATE with which a commit says that the epoch must be raised first.
pub(super) const MOVED: &str = "MN002";

/// The epoch of a server, and whether somebody must allow to publish first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Epoch {
    pub(super) number: i64,
    pub(super) held: bool,
}

/// Compares the server with the one that wrote last, and raises the epoch if it is another one.
///
/// A connection to a primary that was compared stays right: another timeline takes another server, or a restart.
pub(super) async fn check(
    connection: &mut PgConnection,
    schema: &Schema,
    allow_restored: bool,
) -> Result<Epoch> {
    // A standby has no timeline of its own to write.
    let sql = schema.sql(
        "SELECT pg_is_in_recovery(), s.held, s.epoch, s.system = c.system AND s.timeline = c.timeline \
         FROM minos_server s, LATERAL (SELECT \
            (SELECT system_identifier::text FROM pg_control_system()) AS system, \
            CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline) c",
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .fetch_all(&mut *connection)
        .await
        .map_err(fault::explain)?;
    let (standby, mut epoch, same) = match rows.first() {
        Some(row) => (
            get(row, 0)?,
            Epoch {
                held: get(row, 1)?,
                number: get(row, 2)?,
            },
            get::<Option<bool>>(row, 3)?,
        ),
        None => (
            false,
            Epoch {
                held: false,
                number: 0,
            },
            Some(false),
        ),
    };
    if standby {
        let text = "the server is a standby, which cannot write";
        return Err(Error::Unavailable(text.into()));
    }
    if same != Some(true) {
        epoch = raise(connection, schema).await?;
    }
    if epoch.held && allow_restored {
        release(connection, schema).await?;
        epoch.held = false;
    }
    Ok(epoch)
}

/// The first to come raises the epoch; the others wait for its row and find it done.
async fn raise(connection: &mut PgConnection, schema: &Schema) -> Result<Epoch> {
    let sql = schema.sql(
        "WITH c AS (SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system, \
            left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline) \
         INSERT INTO minos_server AS s (epoch, system, timeline) SELECT 1, c.system, c.timeline FROM c \
         ON CONFLICT (one) DO UPDATE SET epoch = s.epoch + 1, held = s.held OR s.system <> excluded.system, \
            system = excluded.system, timeline = excluded.timeline \
         WHERE s.system <> excluded.system OR s.timeline <> excluded.timeline \
         RETURNING s.epoch, s.held",
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .fetch_all(&mut *connection)
        .await
        .map_err(fault::explain)?;
    let of = |row: &PgRow| -> Result<Epoch> {
        Ok(Epoch {
            number: get(row, 0)?,
            held: get(row, 1)?,
        })
    };
    if let Some(row) = rows.first() {
        let epoch = of(row)?;
        if epoch.number > 1 {
            tracing::warn!(
                epoch = epoch.number,
                "another server wrote these rows before; a new epoch begins"
            );
        }
        return Ok(epoch);
    }
    let sql = schema.sql("SELECT epoch, held FROM minos_server");
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(&mut *connection)
        .await
        .map_err(fault::explain)?;
    of(&row)
}

/// Allows to publish what was restored.
pub(super) async fn release(connection: &mut PgConnection, schema: &Schema) -> Result<()> {
    let sql = schema.sql("UPDATE minos_server SET held = false WHERE held");
    sqlx::query(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .map_err(fault::explain)?;
    Ok(())
}
