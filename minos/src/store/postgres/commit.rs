//! Those who commit: each has a connection and takes from the queue what may be decided together.
//!
//! While a batch is under way, the next units queue; so the busier the store, the larger its batches, and the cheaper
//! each unit.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use sqlx::{AssertSqlSafe, PgConnection};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use super::{
    Options,
    answer::{self, Answer, Verdict},
    batch::Batch,
    columns::PARAMETERS,
    epoch, fault,
    health::Stalled,
    loads::{Handled, Loads},
    pool::Pool,
    queue::{Group, Job, Queue},
    read::{NextDue, Quiet},
    single::{self, Statements},
};
use crate::store::{Error, Result, StreamId, UnitOfWork};

/// What all who commit share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) pool: Arc<Pool>,
    pub(super) changes: watch::Sender<u64>,
    /// The youngest transaction that this process has committed.
    pub(super) last: AtomicI64,
    pub(super) quiet: Quietness,
    pub(super) loads: Arc<Loads<StreamId>>,
    pub(super) sagas: Arc<Loads<Uuid>>,
    pub(super) inbox: Arc<Loads<Handled>>,
    pub(super) stalled: Stalled,
    pub(super) options: Options,
    /// The connection of those who commit by themselves.
    express: Mutex<Option<(PgConnection, i64)>>,
    /// The call of `minos_commit`.
    call: String,
    single: Statements,
}

/// What is known to have nothing new.
#[derive(Debug, Default)]
pub(super) struct Quietness {
    pub(super) events: Quiet,
    pub(super) outbox: Quiet,
    pub(super) due: NextDue,
}

/// Why a transaction came to nothing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nothing was written.
    Failed(sqlx::Error),
    /// The epoch must be raised first; nothing was written.
    Epoch,
    /// The answer cannot be read, or the request cannot be written.
    Unreadable(Error),
    /// It may have happened.
    Unknown(sqlx::Error),
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Failed(e) => fault::explain(e),
            Trouble::Epoch => Error::Unavailable("the server changes".into()),
            Trouble::Unreadable(e) => e,
            Trouble::Unknown(e) => Error::OutcomeUnknown(e.into()),
        }
    }
}

impl Trouble {
    fn of(error: sqlx::Error) -> Self {
        if fault::is_lost(&error) {
            Trouble::Unknown(error)
        } else if fault::code(&error).as_deref() == Some(epoch::MOVED) {
            Trouble::Epoch
        } else {
            Trouble::Failed(error)
        }
    }

    /// Whether the same may succeed a little later.
    fn passes(&self) -> bool {
        match self {
            Trouble::Failed(e) => fault::code(e).is_some_and(|c| fault::is_passing(&c)),
            Trouble::Epoch => true,
            Trouble::Unreadable(_) | Trouble::Unknown(_) => false,
        }
    }
}

impl Shared {
    pub(super) fn new(pool: Arc<Pool>, options: Options) -> Arc<Self> {
        let schema = &pool.connector.schema;
        let parameters: Vec<String> = (1..=PARAMETERS).map(|n| format!("${n}")).collect();
        let call = schema.sql(&format!(
            "SELECT * FROM minos_commit({})",
            parameters.join(", ")
        ));
        Arc::new(Self {
            queue: Queue::default(),
            changes: watch::Sender::new(0),
            last: AtomicI64::new(0),
            quiet: Quietness::default(),
            loads: Arc::default(),
            sagas: Arc::default(),
            inbox: Arc::default(),
            stalled: Stalled::default(),
            express: Mutex::default(),
            call,
            single: Statements::new(schema),
            options,
            pool,
        })
    }

    /// One call of the function; it is a transaction of its own unless one has begun. Without an epoch the server looks
    /// it up.
    pub(super) async fn call(
        &self,
        connection: &mut PgConnection,
        epoch: Option<i64>,
        groups: &[&[&UnitOfWork]],
        each: bool,
    ) -> Result<Answer, Trouble> {
        let refused = |e| Trouble::Unreadable(Error::Backend(e));
        let batch = Batch::of(groups.iter().copied()).map_err(refused)?;
        let arguments = batch.arguments(each, epoch).map_err(refused)?;
        let query = sqlx::query_with(AssertSqlSafe(self.call.as_str()), arguments);
        let rows = self.in_time(query.fetch_all(connection)).await?;
        let Some(row) = rows.first() else {
            let e = Error::Corrupt("a commit answers nothing".to_owned());
            return Err(Trouble::Unreadable(e));
        };
        // It is committed: what cannot be read now must not be told as "nothing was written".
        answer::read(row, &batch, groups)
            .map_err(|e| Trouble::Unknown(sqlx::Error::Decode(Box::new(e))))
    }

    /// The server ends what takes too long; this is for a server that does not answer at all.
    async fn in_time<T>(
        &self,
        statement: impl Future<Output = sqlx::Result<T>>,
    ) -> Result<T, Trouble> {
        let patience = self.options.statement_timeout + Duration::from_secs(5);
        match timeout(patience, statement).await {
            Ok(outcome) => outcome.map_err(Trouble::of),
            Err(_) => {
                let silent = std::io::Error::from(std::io::ErrorKind::TimedOut);
                Err(Trouble::Unknown(sqlx::Error::Io(silent)))
            }
        }
    }

    /// Notes that a transaction of this process has committed something.
    pub(super) fn committed<'u>(&self, xid: i64, units: impl IntoIterator<Item = &'u UnitOfWork>) {
        self.last.fetch_max(xid, Ordering::Relaxed);
        let due =
            |u: &UnitOfWork| !(u.sagas.is_empty() && u.timers.is_empty() && u.fired.is_empty());
        if units.into_iter().any(due) {
            self.quiet.due.moved();
        }
        self.changes.send_modify(|n| *n += 1);
    }

    /// Commits a unit in the caller's own task if nothing else is under way: a task that commits for it would take two
    /// more switches. [`None`] if it must queue.
    ///
    /// Dropped on the way, its connection is closed; nobody else depends on it.
    pub(super) async fn express(&self, unit: &UnitOfWork) -> Option<Result<()>> {
        if self.pool.connector.pooled {
            return None;
        }
        self.single.of(unit)?;
        let _pass = self.queue.pass(unit)?;
        let idle = self.express_seat().take();
        let (mut connection, epoch) = match idle {
            Some(idle) => idle,
            None => match self
                .pool
                .connector
                .connect_patiently(self.options.patience)
                .await
            {
                Ok(connected) => connected,
                Err(e) => return Some(Err(e)),
            },
        };
        match self.commit_single(&mut connection, epoch, unit).await {
            Ok(done) => {
                *self.express_seat() = Some((connection, epoch));
                match done {
                    Some(xid) => {
                        self.committed(xid, None);
                        Some(Ok(()))
                    }
                    // The function says what is wrong, or tries again.
                    None => Some(self.alone(unit).await),
                }
            }
            Err(Trouble::Unknown(e)) => Some(Err(Error::OutcomeUnknown(e.into()))),
            Err(_) => {
                *self.express_seat() = Some((connection, epoch));
                Some(self.alone(unit).await)
            }
        }
    }

    fn express_seat(&self) -> MutexGuard<'_, Option<(PgConnection, i64)>> {
        self.express.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Tries the one statement; [`None`] if the unit is not for it, or was not committed by it.
    async fn commit_single(
        &self,
        connection: &mut PgConnection,
        epoch: i64,
        unit: &UnitOfWork,
    ) -> Result<Option<i64>, Trouble> {
        let Some(sql) = self.single.of(unit) else {
            return Ok(None);
        };
        let refused = |e| Trouble::Unreadable(Error::Backend(e));
        let arguments = single::arguments(unit, epoch).map_err(refused)?;
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
        let rows = self.in_time(query.fetch_all(connection)).await?;
        rows.first()
            .map(|row| super::rows::get(row, 0))
            .transpose()
            .map_err(|e| Trouble::Unknown(sqlx::Error::Decode(Box::new(e))))
    }

    /// Commits one unit by itself, again and again while others hold its locks.
    async fn alone(&self, unit: &UnitOfWork) -> Result<()> {
        let until = Instant::now() + self.options.patience;
        let mut pause = Duration::from_millis(10);
        loop {
            let mut lease = self.pool.acquire("a commit").await?;
            let why = match self.call(&mut lease, None, &[&[unit]], false).await {
                Ok(mut answer) => {
                    lease.give_back();
                    if answer.written.contains(&true) {
                        self.committed(answer.xid, [unit]);
                    }
                    match answer.verdicts.pop() {
                        Some(Verdict::Decided(outcome)) => return outcome,
                        Some(Verdict::Again(why)) => why,
                        None => return Err(Error::Corrupt("a commit answers nothing".to_owned())),
                    }
                }
                Err(trouble) => {
                    if matches!(trouble, Trouble::Epoch) {
                        self.pool.connector.check(&mut lease).await?;
                    }
                    if !matches!(trouble, Trouble::Unknown(_)) {
                        lease.give_back();
                    }
                    if !trouble.passes() {
                        return Err(trouble.into());
                    }
                    trouble.into()
                }
            };
            if Instant::now() + pause > until {
                return Err(why);
            }
            sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }
}

/// One who commits.
pub(super) struct Committer {
    pub(super) shared: Arc<Shared>,
    /// With the epoch of its server.
    pub(super) connection: Option<(PgConnection, i64)>,
}

impl Committer {
    pub(super) async fn run(mut self) {
        let most = self.shared.options.batch;
        while let Some(groups) = self.shared.queue.next(most).await {
            self.batch(groups).await;
        }
        if let Some((connection, _)) = self.connection.take() {
            sqlx::Connection::close(connection).await.ok();
        }
    }

    async fn batch(&mut self, groups: Vec<Group>) {
        let (mut connection, mut epoch) = match self.take().await {
            Ok(taken) => taken,
            Err(e) => {
                let cause = Arc::new(e);
                self.done(groups, || Err(Error::Unavailable(cause.clone().into())));
                return;
            }
        };
        let lost = self.commit(&mut connection, &mut epoch, groups).await;
        if !lost {
            self.connection = Some((connection, epoch));
        }
    }

    async fn take(&mut self) -> Result<(PgConnection, i64)> {
        match self.connection.take() {
            Some(taken) => Ok(taken),
            None => {
                let shared = &self.shared;
                let patience = shared.options.patience;
                shared.pool.connector.connect_patiently(patience).await
            }
        }
    }

    /// Says whether the connection is lost.
    async fn commit(
        &self,
        connection: &mut PgConnection,
        epoch: &mut i64,
        groups: Vec<Group>,
    ) -> bool {
        let shared = &self.shared;
        if let Some(unit) = only(&groups)
            && !shared.pool.connector.pooled
        {
            match shared.commit_single(connection, *epoch, unit).await {
                Ok(Some(xid)) => {
                    shared.committed(xid, None);
                    self.done(groups, || Ok(()));
                    return false;
                }
                Err(Trouble::Unknown(e)) => {
                    self.unknown(groups, e);
                    return true;
                }
                // The function says what is wrong, or tries again.
                Ok(None) | Err(_) => {}
            }
        }
        let outcome = self.call(connection, epoch, &groups).await;
        match outcome {
            Ok(answer) => {
                self.told(groups, answer);
                false
            }
            Err(Trouble::Unknown(e)) => {
                self.unknown(groups, e);
                true
            }
            Err(trouble) if only(&groups).is_none() || trouble.passes() => {
                for group in groups {
                    self.again(group);
                }
                false
            }
            Err(trouble) => {
                let mut error = Some(Error::from(trouble));
                let none = || Error::Unavailable("nothing was written".into());
                self.done(groups, || Err(error.take().unwrap_or_else(none)));
                false
            }
        }
    }

    /// All at once; if a statement raises, once more unit by unit.
    async fn call(
        &self,
        connection: &mut PgConnection,
        epoch: &mut i64,
        groups: &[Group],
    ) -> Result<Answer, Trouble> {
        let shared = &self.shared;
        let units: Vec<Vec<&UnitOfWork>> = groups
            .iter()
            .map(|group| group.iter().map(|job| &job.unit).collect())
            .collect();
        let units: Vec<&[&UnitOfWork]> = units.iter().map(Vec::as_slice).collect();
        // Behind a pooler nobody knows which server a statement goes to.
        let known = |epoch: i64| (!shared.pool.connector.pooled).then_some(epoch);
        let mut outcome = shared.call(connection, known(*epoch), &units, false).await;
        if matches!(outcome, Err(Trouble::Epoch)) {
            outcome = match shared.pool.connector.check(connection).await {
                Ok(now) => {
                    *epoch = now;
                    shared.call(connection, known(now), &units, false).await
                }
                Err(e) => Err(Trouble::Unreadable(e)),
            };
        }
        if units.len() > 1 && matches!(outcome, Err(Trouble::Failed(_))) {
            outcome = shared.call(connection, known(*epoch), &units, true).await;
        }
        outcome
    }

    fn told(&self, groups: Vec<Group>, answer: Answer) {
        if answer.written.contains(&true) {
            let units = groups.iter().flatten().map(|job| &job.unit);
            self.shared.committed(answer.xid, units);
        }
        let verdicts = answer.verdicts.into_iter().zip(answer.written);
        for (mut group, (verdict, written)) in groups.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Decided(outcome) if group.len() == 1 => {
                    if let Some(job) = group.pop() {
                        self.shared.queue.done(job, outcome);
                    }
                }
                Verdict::Decided(Ok(())) if written => self.done(vec![group], || Ok(())),
                // Why a chain broke is told to each of its units.
                _ => self.again(group),
            }
        }
    }

    /// Tries units again, one by one, in a task of their own: who waits for a lock holds up nobody else.
    fn again(&self, group: Group) {
        let shared = self.shared.clone();
        tokio::spawn(async move {
            for job in group {
                let outcome = shared.alone(&job.unit).await;
                shared.queue.done(job, outcome);
            }
        });
    }

    fn unknown(&self, groups: Vec<Group>, cause: sqlx::Error) {
        tracing::warn!(error = %cause, "the outcome of a commit is unknown");
        let cause = Arc::new(cause);
        self.done(groups, || Err(Error::OutcomeUnknown(cause.clone().into())));
    }

    fn done(&self, groups: Vec<Group>, mut outcome: impl FnMut() -> Result<()>) {
        for job in groups.into_iter().flatten() {
            self.shared.queue.done(job, outcome());
        }
    }
}

/// The unit of a batch of one.
fn only(groups: &[Group]) -> Option<&UnitOfWork> {
    match groups {
        [group] => match group.as_slice() {
            [Job { unit, .. }] => Some(unit),
            _ => None,
        },
        _ => None,
    }
}
