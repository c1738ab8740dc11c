//! Which server wrote the rows.
//!
//! Transaction numbers mean something within one history of one server only. After a restore into a new server they
//! begin again below those of the rows; after a failover the new primary may use some a second time. So every row
//! carries an epoch, raised whenever the server's identity or timeline is another one; older epochs stand below
//! every horizon.

use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::{fault, names::Schema};
use crate::store::{Error, Result};

/// The SQLSTATE with which a commit says that the epoch must be raised first.
pub(super) const MOVED: &str = "MN002";

/// Compares the server with the one that wrote last, and raises the epoch if it is another one. Answers whether
/// somebody must allow to publish first.
pub(super) async fn check(
    connection: &mut PgConnection,
    schema: &Schema,
    allow_restored: bool,
) -> Result<bool> {
    // A standby has no timeline of its own to write.
    let sql = schema.sql(
        "SELECT pg_is_in_recovery(), s.held, s.system = c.system AND s.timeline = c.timeline \
         FROM minos_server s, LATERAL (SELECT \
            (SELECT system_identifier::text FROM pg_control_system()) AS system, \
            CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline) c",
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .fetch_all(&mut *connection)
        .await
        .map_err(fault::explain)?;
    let (standby, mut held, same) = match rows.first() {
        Some(row) => (
            row.try_get::<bool, _>(0).map_err(fault::explain)?,
            row.try_get::<bool, _>(1).map_err(fault::explain)?,
            row.try_get::<Option<bool>, _>(2).map_err(fault::explain)?,
        ),
        None => (false, false, Some(false)),
    };
    if standby {
        let text = "the server is a standby, which cannot write";
        return Err(Error::Unavailable(text.into()));
    }
    if same != Some(true) {
        held = raise(connection, schema).await?;
    }
    if held && allow_restored {
        release(connection, schema).await?;
        held = false;
    }
    Ok(held)
}

/// The first to come raises the epoch; the others wait for its row and find it done.
async fn raise(connection: &mut PgConnection, schema: &Schema) -> Result<bool> {
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
    if let Some(row) = rows.first() {
        let epoch: i64 = row.try_get(0).map_err(fault::explain)?;
        if epoch > 1 {
            tracing::warn!(
                epoch,
                "another server wrote these rows before; a new epoch begins"
            );
        }
        return row.try_get(1).map_err(fault::explain);
    }
    let sql = schema.sql("SELECT held FROM minos_server");
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(&mut *connection)
        .await
        .map_err(fault::explain)?;
    row.try_get(0).map_err(fault::explain)
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
