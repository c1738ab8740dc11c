//! Who waits for changes is woken: at once for those of this process, by a notification or a look for those of others.
//!
//! A notification costs a transaction, and inside a commit it would make all commits wait for each other; so it is
//! sent beside them, for many at once, and nobody depends on it: who misses one sees the change at the next look.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

use super::{commit::Shared, fault, rows};
use crate::store::{Error, Result};

/// Looks for changes of others until the store is closed.
pub(super) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let me = Uuid::new_v4().to_string();
    tokio::select! {
        () = look(&shared) => {}
        () = tell(&shared, &me) => {}
        () = listen(&shared, &me) => {}
        _ = stop.wait_for(|stopped| *stopped) => {}
    }
}

/// What one look sees.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Sight {
    /// The last places that were given out, for rows that may not be there yet.
    events: i64,
    outbox: i64,
    /// The oldest transaction that still runs.
    horizon: i64,
    /// Behind the last transaction that is over.
    next: i64,
}

/// Looks often while something happens, rarely while nothing does.
async fn look(shared: &Shared) {
    let (least, most) = shared.options.poll;
    let mut pause = least;
    let mut seen = Sight::default();
    // This and all below it has to be over before what was seen last can be read.
    let mut unsettled: Option<i64> = None;
    loop {
        sleep(pause).await;
        let Ok(sight) = sight(shared).await else {
            // Nobody knows what went on meanwhile.
            shared.changes.send_modify(|n| *n += 1);
            pause = most;
            continue;
        };
        let moved = (sight.events, sight.outbox) != (seen.events, seen.outbox);
        if moved {
            unsettled = Some(newest(shared).await.unwrap_or(sight.next));
        }
        let settled = unsettled.is_some_and(|newest| sight.horizon > newest);
        let grown = unsettled.is_some() && sight.horizon != seen.horizon;
        if moved || settled || grown {
            shared.changes.send_modify(|n| *n += 1);
        }
        if settled {
            unsettled = None;
        }
        shared.stalled.note(unsettled.is_some(), sight.horizon);
        pause = if moved || unsettled.is_some() {
            least
        } else {
            (pause * 2).min(most)
        };
        seen = sight;
    }
}

/// A transaction number that is higher than that of whoever has a place by now. A snapshot does not tell: its upper
/// end is behind the last transaction that is *over*, so one that still runs may be beyond it.
async fn newest(shared: &Shared) -> Result<i64> {
    let sql = "SELECT pg_current_xact_id()::text::bigint";
    let rows = shared.pool.read("a transaction number", sql, |_| Ok(()));
    let rows = rows.await?;
    rows.first().map_or_else(
        || Err(Error::Corrupt("no number".to_owned())),
        |row| rows::get(row, 0),
    )
}

async fn sight(shared: &Shared) -> Result<Sight> {
    let sql = shared.pool.connector.schema.sql(
        "SELECT e.last_value + e.is_called::int, o.last_value + o.is_called::int, pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint \
         FROM minos_events_place_seq e, minos_outbox_place_seq o, pg_current_snapshot() s",
    );
    let rows = shared
        .pool
        .read("a look for changes", &sql, |_| Ok(()))
        .await?;
    let Some(row) = rows.first() else {
        return Ok(Sight::default());
    };
    Ok(Sight {
        events: rows::get(row, 0)?,
        outbox: rows::get(row, 1)?,
        horizon: rows::get(row, 2)?,
        next: rows::get(row, 3)?,
    })
}

/// Tells the others, once for all commits of a while.
async fn tell(shared: &Shared, me: &str) {
    let channel = shared.pool.connector.schema.channel();
    let mut told = shared.last.load(Ordering::Relaxed);
    let mut changes = shared.changes.subscribe();
    loop {
        if changes.changed().await.is_err() {
            return;
        }
        let until = Instant::now() + shared.options.notify_every;
        let last = shared.last.load(Ordering::Relaxed);
        if last > told {
            told = last;
            // It need not be durable.
            let sql = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)";
            let sent = shared.pool.read("a notification", sql, |to| {
                use sqlx::Arguments;
                to.add(channel.as_str())?;
                to.add(me)
            });
            if let Err(e) = sent.await {
                tracing::debug!(error = %e, "a notification was not sent");
            }
        }
        sleep_until(until).await;
    }
}

/// Hears the others. A pooler has no sessions to hear with: then looking has to do.
async fn listen(shared: &Shared, me: &str) {
    if shared.pool.connector.pooled {
        return std::future::pending().await;
    }
    loop {
        if let Err(e) = hear(shared, me).await {
            tracing::debug!(error = %e, "cannot listen for notifications");
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn hear(shared: &Shared, me: &str) -> Result<()> {
    let mut listener = shared.pool.connector.listener().await?;
    let channel = shared.pool.connector.schema.channel();
    listener.listen(&channel).await.map_err(fault::explain)?;
    loop {
        let heard = listener.try_recv().await.map_err(fault::explain)?;
        // Without a connection something may have been missed.
        if heard.is_none_or(|n| n.payload() != me) {
            shared.changes.send_modify(|n| *n += 1);
        }
    }
}
