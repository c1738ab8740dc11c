//! User SQL: a connection with an open transaction, lent for a while.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Postgres, postgres::PgArguments};
use tokio::{
    sync::{Mutex, OwnedMutexGuard, mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};
use uuid::Uuid;

use super::{
    answer::Verdict,
    commit::{Shared, Trouble},
    fault,
    pool::Lease,
    tokens::check_user_sql,
};
use crate::store::{
    Error, Result, SqlConnection, SqlTransaction, UnitOfWork,
    sql::{Answers, Backend},
};

/// Where the lent connection is; empty once it was taken back.
type Slot = Arc<Mutex<Option<Lease>>>;

/// A connection in the hands of user SQL.
pub(super) struct Loan {
    shared: Arc<Shared>,
    slot: Slot,
    deadline: Instant,
    /// Known to the transaction as long as it is the one that was begun.
    token: String,
    /// Dropped, it ends the watch.
    _watch: oneshot::Sender<()>,
}

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loan").finish_non_exhaustive()
    }
}

/// Begins a transaction for user SQL.
pub(super) async fn begin(shared: &Arc<Shared>) -> Result<Loan> {
    let budget = shared.options.budget;
    let mut lease = shared.pool.acquire("cx.sql").await?;
    let deadline = Instant::now() + budget;
    let token = Uuid::new_v4().to_string();
    // The user's tables are found beside ours, then in `public`; the user's statements are planned as ever.
    let begin = format!(
        "BEGIN; SET LOCAL search_path = {}, public; SET LOCAL enable_seqscan = on; SET LOCAL jit = on; \
         SET LOCAL statement_timeout = {millis}; SET LOCAL lock_timeout = {millis}; \
         SET LOCAL minos.transaction = '{token}'",
        shared.pool.connector.schema.quoted(),
        millis = budget.as_millis().max(1),
    );
    let begun = lease.execute(sqlx::raw_sql(AssertSqlSafe(begin))).await;
    begun.map_err(fault::explain)?;
    let slot: Slot = Arc::new(Mutex::new(Some(lease)));
    let (watch, ended) = oneshot::channel();
    tokio::spawn(guard(slot.clone(), deadline, budget, ended));
    Ok(Loan {
        shared: shared.clone(),
        slot,
        deadline,
        token,
        _watch: watch,
    })
}

/// Takes the connection back when its time is over, or nobody wants it any more.
async fn guard(slot: Slot, deadline: Instant, budget: Duration, ended: oneshot::Receiver<()>) {
    let dropped = timeout_at(deadline, ended).await.is_ok();
    // A statement that runs is ended by the server within the budget.
    let Some(mut lease) = slot.lock().await.take() else {
        return;
    };
    if !dropped {
        tracing::warn!(
            ?budget,
            "a transaction of user SQL took too long and was rolled back"
        );
    }
    if roll_back(&mut lease).await {
        lease.give_back();
    }
}

/// Ends the transaction; says whether the connection can be used again.
async fn roll_back(connection: &mut PgConnection) -> bool {
    let ended = timeout(Duration::from_secs(5), connection.execute("ROLLBACK")).await;
    matches!(ended, Ok(Ok(_)))
}

impl Loan {
    fn spent(&self) -> Error {
        let why = format!(
            "the transaction took longer than {:?} and was rolled back: it holds up the readers of the log, so await \
             nothing but SQL while it is open",
            self.shared.options.budget
        );
        Error::Unavailable(why.into())
    }
}

/// Why a transaction of user SQL cannot be committed any more.
const LOST: &str = "the transaction was rolled back while the user's SQL ran";

#[async_trait]
impl SqlTransaction for Loan {
    async fn connection(&self) -> Result<Box<dyn SqlConnection>> {
        let held = self.slot.clone().lock_owned().await;
        if held.is_none() || Instant::now() >= self.deadline {
            return Err(self.spent());
        }
        Ok(Box::new(Held(held)))
    }

    async fn commit(self: Box<Self>, unit: UnitOfWork) -> Result<()> {
        unit.validate()?;
        let mut slot = self.slot.lock().await;
        if Instant::now() >= self.deadline {
            return Err(self.spent());
        }
        let Some(lease) = slot.take() else {
            return Err(self.spent());
        };
        drop(slot);
        // From here on it runs to its end, even if nobody waits.
        let (shared, token) = (self.shared.clone(), self.token.clone());
        let finished = tokio::spawn(async move { finish(&shared, lease, &token, &unit).await });
        finished
            .await
            .unwrap_or_else(|e| Err(Error::OutcomeUnknown(e.into())))
    }
}

/// Commits the user's rows and the unit together.
async fn finish(shared: &Shared, mut lease: Lease, token: &str, unit: &UnitOfWork) -> Result<()> {
    let outcome = match still_open(&mut lease, token).await {
        Ok(()) => decide(shared, &mut lease, unit).await,
        Err(e) => Err(e),
    };
    match outcome {
        Ok(Some(xid)) => match lease.execute("COMMIT").await {
            Ok(_) => {
                lease.give_back();
                shared.committed(xid, [unit]);
                Ok(())
            }
            Err(e) if fault::is_lost(&e) => {
                drop(lease);
                resolve(shared, unit, e).await
            }
            // What is checked late, such as a deferred foreign key of the user's.
            Err(e) => {
                lease.give_back();
                Err(fault::explain(e))
            }
        },
        Ok(None) => {
            if roll_back(&mut lease).await {
                lease.give_back();
            }
            Ok(())
        }
        Err(e) => {
            if roll_back(&mut lease).await {
                lease.give_back();
            }
            Err(e)
        }
    }
}

/// After a COMMIT of which no answer came: looks, in a transaction that is rolled back, whether the unit is there. Locks
/// and unique keys wait for the old transaction while it is still on its way.
async fn resolve(shared: &Shared, unit: &UnitOfWork, cause: sqlx::Error) -> Result<()> {
    let until = Instant::now() + shared.options.patience;
    let mut pause = Duration::from_millis(20);
    loop {
        if let Ok(outcome) = look(shared, unit).await {
            return outcome;
        }
        if Instant::now() + pause > until {
            return Err(Error::OutcomeUnknown(cause.into()));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// What became of a unit; an error if nobody can say yet.
async fn look(shared: &Shared, unit: &UnitOfWork) -> Result<Result<()>> {
    let mut lease = shared.pool.acquire("a look for a unit").await?;
    lease.execute("BEGIN").await.map_err(fault::explain)?;
    let found = shared.call(&mut lease, None, &[&[unit]], false).await;
    if roll_back(&mut lease).await {
        lease.give_back();
    }
    let mut answer = found?;
    let written = answer.written.contains(&true);
    match answer.verdicts.pop() {
        Some(Verdict::Decided(Ok(()))) if written => {
            let text = "the connection died before the commit; nothing was written";
            Ok(Err(Error::Unavailable(text.into())))
        }
        Some(Verdict::Decided(outcome)) => Ok(outcome),
        Some(Verdict::Again(e)) => Err(e),
        None => Err(Error::Corrupt("a commit answers nothing".to_owned())),
    }
}

async fn still_open(lease: &mut Lease, token: &str) -> Result<()> {
    let rows = sqlx::query("SELECT current_setting('minos.transaction', true) = $1")
        .bind(token)
        .fetch_all(&mut **lease)
        .await;
    let same = match rows {
        Ok(rows) => match rows.first() {
            Some(row) => super::rows::get::<Option<bool>>(row, 0)? == Some(true),
            None => false,
        },
        // A statement of the user's failed, and with it the transaction.
        Err(e) if fault::code(&e).as_deref() == Some("25P02") => false,
        Err(e) => return Err(fault::explain(e)),
    };
    if same {
        Ok(())
    } else {
        Err(Error::Backend(LOST.into()))
    }
}

/// The transaction's number if it is to be committed; [`None`] if the unit was committed before, then with the same
/// user SQL: what it wrote now must not count again.
async fn decide(shared: &Shared, lease: &mut Lease, unit: &UnitOfWork) -> Result<Option<i64>> {
    let mut answer = match shared.call(lease, None, &[&[unit]], false).await {
        Ok(answer) => answer,
        // Nothing was committed yet, whatever happened.
        Err(Trouble::Unknown(e)) => return Err(Error::Unavailable(e.into())),
        Err(trouble) => return Err(trouble.into()),
    };
    let written = answer.written.contains(&true);
    match answer.verdicts.pop() {
        Some(Verdict::Decided(Ok(()))) => Ok(written.then_some(answer.xid)),
        // The rerun begins a younger transaction.
        Some(Verdict::Decided(Err(e)) | Verdict::Again(e)) => Err(e),
        None => Err(Error::Corrupt("a commit answers nothing".to_owned())),
    }
}

/// One statement's hold on the connection.
struct Held(OwnedMutexGuard<Option<Lease>>);

impl SqlConnection for Held {
    fn as_any(&mut self) -> &mut dyn Any {
        match &mut *self.0 {
            Some(lease) => &mut **lease,
            None => {
                unreachable!("`connection` answers only a full slot, and the hold is exclusive")
            }
        }
    }
}

impl Backend for Postgres {
    const BACKEND: &'static str = "postgres";

    fn run(
        connection: Box<dyn SqlConnection>,
        sql: sqlx::SqlStr,
        arguments: Option<PgArguments>,
        persistent: bool,
    ) -> Answers<Postgres> {
        run(connection, sql, arguments, persistent)
    }
}

fn run(
    mut connection: Box<dyn SqlConnection>,
    sql: sqlx::SqlStr,
    arguments: Option<PgArguments>,
    persistent: bool,
) -> Answers<Postgres> {
    let (send, answers) = mpsc::unbounded_channel();
    if let Err(why) = check_user_sql(sql.as_str()) {
        send.send(Err(sqlx::Error::Protocol(why))).ok();
        return answers;
    }
    tokio::spawn(async move {
        let Some(postgres) = connection.as_any().downcast_mut::<PgConnection>() else {
            let wrong = "this transaction is not PostgreSQL's".to_owned();
            send.send(Err(sqlx::Error::Protocol(wrong))).ok();
            return;
        };
        let mut rows = match arguments {
            Some(arguments) => {
                let query = sqlx::query_with(sql, arguments);
                postgres.fetch_many(query.persistent(persistent))
            }
            None => postgres.fetch_many(sql),
        };
        // To its end even if nobody listens: the connection must be ready for the next statement.
        while let Some(answer) = rows.try_next().await.transpose() {
            let failed = answer.is_err();
            send.send(answer).ok();
            if failed {
                break;
            }
        }
    });
    answers
}
