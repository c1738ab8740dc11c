//! Whether the store can be used, and if not, because of whom.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sqlx::postgres::PgRow;
use tokio::time::{Instant, timeout};

use super::{commit::Shared, pool::Pool, rows};
use crate::store::{Error, Result};

/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(5);

/// Since when rows of the log wait for an older transaction to end.
#[derive(Debug, Default)]
pub(super) struct Stalled(Mutex<Option<(i64, Instant)>>);

impl Stalled {
    /// Notes what a look saw: whether rows wait, and where the horizon is.
    pub(super) fn note(&self, waiting: bool, horizon: i64) {
        let mut since = self.0.lock().unwrap_or_else(|e| e.into_inner());
        *since = match *since {
            _ if !waiting => None,
            Some((stands, since)) if stands == horizon => Some((stands, since)),
            _ => Some((horizon, Instant::now())),
        };
    }

    fn since(&self) -> Option<Instant> {
        let since = self.0.lock().unwrap_or_else(|e| e.into_inner());
        since.map(|(_, since)| since)
    }
}

/// Whether the server can be reached and written, the rows may be published, and the log moves on.
pub(super) async fn check(shared: &Shared) -> Result<()> {
    let Ok(writable) = timeout(PROBE, writable(&shared.pool)).await else {
        return Err(Error::Unavailable("the database does not answer".into()));
    };
    writable?;
    shared.pool.connector.refuse_if_held()?;
    match shared.stalled.since() {
        Some(since) if since.elapsed() >= shared.options.stall => {
            let holder = holder(&shared.pool).await?;
            let text = format!(
                "the log stands still for {:.0?}: {holder} is open, and events after it cannot be read before it ends",
                since.elapsed()
            );
            Err(Error::Unavailable(text.into()))
        }
        _ => Ok(()),
    }
}

async fn writable(pool: &Arc<Pool>) -> Result<()> {
    let sql = pool.connector.schema.sql(
        "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean, s.epoch FROM minos_server s",
    );
    let rows = pool.read("a probe", &sql, |_| Ok(())).await?;
    let read_only = rows.first().map_or(Ok(true), |row| rows::get(row, 0))?;
    if read_only {
        return Err(Error::Unavailable("the database is read-only".into()));
    }
    Ok(())
}

/// Who holds the oldest transaction that has a number, in words.
async fn holder(pool: &Arc<Pool>) -> Result<String> {
    let sql = "SELECT pid, coalesce(application_name, ''), coalesce(usename, ''), coalesce(datname, ''), \
                   coalesce(state, ''), extract(epoch FROM clock_timestamp() - xact_start)::float8, NULL::text \
               FROM (SELECT a.pid, a.application_name::text, a.usename::text, a.datname::text, a.state::text, \
                       a.xact_start, age(a.backend_xid) AS age FROM pg_stat_activity a \
                     WHERE a.backend_xid IS NOT NULL) t \
               UNION ALL \
               SELECT 0, '', owner::text, database::text, '', \
                   extract(epoch FROM clock_timestamp() - prepared)::float8, gid FROM pg_prepared_xacts \
               ORDER BY 6 DESC NULLS LAST LIMIT 1";
    let rows = pool
        .read("a look for the oldest transaction", sql, |_| Ok(()))
        .await?;
    match rows.first() {
        Some(row) => name(row),
        None => Ok(
            "a transaction that this user may not see (grant it `pg_read_all_stats`)".to_owned(),
        ),
    }
}

fn name(row: &PgRow) -> Result<String> {
    let (pid, application): (i32, &str) = (rows::get(row, 0)?, rows::get(row, 1)?);
    let (user, database): (&str, &str) = (rows::get(row, 2)?, rows::get(row, 3)?);
    let (state, age): (&str, Option<f64>) = (rows::get(row, 4)?, rows::get(row, 5)?);
    let age = age.unwrap_or_default();
    let prepared: Option<&str> = rows::get(row, 6)?;
    Ok(match prepared {
        Some(gid) => format!(
            "the prepared transaction `{gid}` (user `{user}`, database `{database}`, {age:.0} s old; COMMIT PREPARED \
             or ROLLBACK PREPARED ends it)"
        ),
        None => format!(
            "the transaction of pid {pid} (application `{application}`, user `{user}`, database `{database}`, \
             {state}, {age:.0} s old; pg_terminate_backend({pid}) ends it)"
        ),
    })
}
