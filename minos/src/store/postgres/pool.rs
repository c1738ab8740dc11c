//! Connections for reads and for user SQL; it knows who has them.

use std::{
    collections::BTreeMap,
    fmt,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Connection, PgConnection,
    error::BoxDynError,
    postgres::{PgArguments, PgRow},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::{connect::Connector, fault};
use crate::store::{Error, Result};

/// How soon a statement is tried again that met a lock of others, on the average.
const AGAIN: Duration = Duration::from_millis(20);

/// A few connections, lent one at a time.
pub(super) struct Pool {
    pub(super) connector: Arc<Connector>,
    permits: Arc<Semaphore>,
    size: u32,
    patience: Duration,
    state: Mutex<State>,
    closed: AtomicBool,
}

#[derive(Default)]
struct State {
    idle: Vec<PgConnection>,
    holders: BTreeMap<u64, (&'static str, Instant)>,
    last: u64,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("size", &self.size).finish()
    }
}

impl Pool {
    pub(super) fn new(connector: Arc<Connector>, size: u32, patience: Duration) -> Arc<Self> {
        let permits = usize::try_from(size.max(1)).unwrap_or(1);
        Arc::new(Self {
            connector,
            permits: Arc::new(Semaphore::new(permits)),
            size: size.max(1),
            patience,
            state: Mutex::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// Nothing below panics half-way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A connection, for what is said; the error of those who wait too long tells who has them, and since when.
    pub(super) async fn acquire(self: &Arc<Self>, what: &'static str) -> Result<Lease> {
        let mut lease = self.seat(what).await?;
        let idle = self.state().idle.pop();
        lease.connection = match idle {
            Some(connection) => Some(connection),
            None => {
                lease.fresh = true;
                let (connection, _) = self.connector.connect().await?;
                Some(connection)
            }
        };
        Ok(lease)
    }

    async fn seat(self: &Arc<Self>, what: &'static str) -> Result<Lease> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(closed());
        }
        let permit = match timeout(self.patience, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(closed()),
            Err(_) => return Err(Error::Unavailable(self.holders().into())),
        };
        let mut state = self.state();
        state.last += 1;
        let id = state.last;
        state.holders.insert(id, (what, Instant::now()));
        drop(state);
        Ok(Lease {
            pool: self.clone(),
            connection: None,
            fresh: false,
            clean: false,
            id,
            _permit: permit,
        })
    }

    /// Who has the connections.
    fn holders(&self) -> String {
        let state = self.state();
        let mut oldest: Vec<_> = state.holders.values().collect();
        oldest.sort_by_key(|(_, since)| *since);
        let list: Vec<String> = oldest
            .iter()
            .take(8)
            .map(|(what, since)| format!("{what} for {:.1?}", since.elapsed()))
            .collect();
        format!(
            "all {} connections (`database.pool`) were in use for {:?}: {}",
            self.size,
            self.patience,
            list.join(", ")
        )
    }

    /// Runs one statement that changes nothing and answers all its rows. A connection that died while it was idle is
    /// replaced.
    pub(super) async fn read(
        self: &Arc<Self>,
        what: &'static str,
        sql: &str,
        bind: impl Fn(&mut PgArguments) -> Result<(), BoxDynError> + Send + Sync,
    ) -> Result<Vec<PgRow>> {
        loop {
            let mut arguments = PgArguments::default();
            bind(&mut arguments).map_err(Error::Backend)?;
            let mut lease = self.acquire(what).await?;
            let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
            match query.fetch_all(&mut *lease).await {
                Ok(rows) => {
                    lease.give_back();
                    return Ok(rows);
                }
                Err(e) if fault::is_lost(&e) => {
                    if lease.fresh {
                        return Err(fault::explain(e));
                    }
                }
                Err(e) => {
                    lease.give_back();
                    return Err(fault::explain(e));
                }
            }
        }
    }

    /// Runs one statement that changes something. It must be one that may be repeated, for it may have run although
    /// an error is answered.
    pub(super) async fn write(
        self: &Arc<Self>,
        what: &'static str,
        sql: &str,
        bind: impl Fn(&mut PgArguments) -> Result<(), BoxDynError> + Send + Sync,
    ) -> Result<Vec<PgRow>> {
        let until = Instant::now() + self.patience;
        loop {
            let mut arguments = PgArguments::default();
            bind(&mut arguments).map_err(Error::Backend)?;
            let mut lease = self.acquire(what).await?;
            let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
            match query.fetch_all(&mut *lease).await {
                Ok(rows) => {
                    lease.give_back();
                    return Ok(rows);
                }
                Err(e) if fault::is_lost(&e) => return Err(Error::OutcomeUnknown(e.into())),
                Err(e) => {
                    lease.give_back();
                    // Others hold the row: who waits for it here would keep a connection.
                    let passes = fault::code(&e).is_some_and(|c| fault::is_passing(&c));
                    if !passes || Instant::now() >= until {
                        return Err(fault::explain(e));
                    }
                }
            }
            tokio::time::sleep(AGAIN.mul_f64(0.5 + fastrand::f64())).await;
        }
    }

    /// Lends no more, and closes the connections once they are back.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let all = timeout(self.patience, self.permits.acquire_many(self.size)).await;
        self.permits.close();
        drop(all);
        let idle = std::mem::take(&mut self.state().idle);
        for connection in idle {
            connection.close().await.ok();
        }
    }
}

pub(super) fn closed() -> Error {
    Error::Unavailable("the store is closed".into())
}

/// A connection that is lent. Dropped without [`give_back`](Lease::give_back) it is closed: something may still run.
pub(super) struct Lease {
    pool: Arc<Pool>,
    connection: Option<PgConnection>,
    /// It was made for this lease.
    pub(super) fresh: bool,
    clean: bool,
    id: u64,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Says that nothing runs on it any more.
    pub(super) fn give_back(mut self) {
        self.clean = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.holders.remove(&self.id);
        if let Some(connection) = self.connection.take()
            && self.clean
        {
            state.idle.push(connection);
        }
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match &self.connection {
            Some(connection) => connection,
            None => unreachable!("`acquire` fills it, only `drop` empties it"),
        }
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match &mut self.connection {
            Some(connection) => connection,
            None => unreachable!("`acquire` fills it, only `drop` empties it"),
        }
    }
}
