//! The one writer: a task that drains a queue and commits what it finds there together.
//!
//! While a batch is being written, the next units queue; so the busier the store, the larger its batches, and the
//! cheaper each unit.
//!
//! There is no savepoint per unit. All that a unit could violate is checked before the first write and under the
//! write lock, so a savepoint would cost two statements per unit and protect against nothing. A statement that raises
//! all the same - a full disk - may have rolled back the whole transaction, savepoints included; so nothing of the
//! batch is acknowledged, it is rolled back, and each unit is tried alone: a poisoned unit fails alone.

use std::{sync::Arc, time::Duration};

use sqlx::Row;
use tokio::{
    sync::{Mutex, mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use super::{
    Options,
    batch::{self, Answer, Begin, Trouble, Work},
    fault,
    file::{self, Connection, File, Pauses},
    user::{Loan, Slot},
};
use crate::store::{Error, Result, UnitOfWork};

/// Something for the writer.
pub(super) enum Command {
    /// Something to commit with others.
    Job(Job),
    /// Lend the connection to user SQL.
    Lend(oneshot::Sender<Result<Loan>>),
    /// Finish what is queued and close the file, then say so.
    Close(oneshot::Sender<()>),
}

/// Work, and who waits for it.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) answer: oneshot::Sender<Result<Answer>>,
}

pub(super) struct Writer {
    queue: mpsc::Receiver<Command>,
    file: File,
    options: Options,
    changes: watch::Sender<u64>,
    connection: Option<Connection>,
    /// What `PRAGMA data_version` said last: it changes with commits of other connections.
    seen: i64,
    /// Whether the last batch had company.
    crowded: bool,
    /// Set once a write may not have reached the disk: from then on nothing is promised.
    broken: Option<Broken>,
}

impl Writer {
    pub(super) fn new(
        queue: mpsc::Receiver<Command>,
        file: File,
        options: Options,
        changes: watch::Sender<u64>,
        connection: Connection,
    ) -> Self {
        Self {
            queue,
            file,
            options,
            changes,
            connection: Some(connection),
            seen: 0,
            crowded: false,
            broken: None,
        }
    }

    pub(super) async fn run(mut self) {
        let mut polls = interval(self.options.poll);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut next, mut waiting) = (None, Vec::new());
        loop {
            let command = match next.take() {
                Some(command) => Some(command),
                None => tokio::select! {
                    biased;
                    command = self.queue.recv() => command,
                    _ = polls.tick() => {
                        self.look().await;
                        continue;
                    }
                },
            };
            let Some(command) = command else { break };
            match command {
                Command::Job(job) => {
                    if self.crowded {
                        // Those who were just answered get the time to come with their next unit.
                        tokio::task::yield_now().await;
                    }
                    let (jobs, other) = self.collect(job);
                    next = other;
                    self.crowded = jobs.len() > 1;
                    self.batch(jobs).await;
                }
                Command::Lend(borrower) => self.lend(borrower).await,
                Command::Close(done) => {
                    self.queue.close();
                    waiting.push(done);
                }
            }
        }
        if let Some(mut connection) = self.connection.take() {
            // The log file of a closed database is empty, so that a copy of the one file is a backup.
            checkpoint(&mut connection).await.ok();
            sqlx::Connection::close(connection.sqlite).await.ok();
        }
        for done in waiting {
            done.send(()).ok();
        }
    }

    /// What is queued already, up to something that is no job.
    fn collect(&mut self, first: Job) -> (Vec<Job>, Option<Command>) {
        let mut jobs = vec![first];
        while jobs.len() < self.options.batch {
            match self.queue.try_recv() {
                Ok(Command::Job(job)) => jobs.push(job),
                Ok(other) => return (jobs, Some(other)),
                Err(_) => break,
            }
        }
        (jobs, None)
    }

    async fn batch(&mut self, jobs: Vec<Job>) {
        let works: Vec<&Work> = jobs.iter().map(|job| &job.work).collect();
        let answers = match self.attempt(&works).await {
            Err(Trouble::Failed(_)) if works.len() > 1 => {
                let mut answers = Vec::with_capacity(works.len());
                for work in works {
                    let outcome = self.attempt(&[work]).await;
                    answers.extend(told(outcome, 1));
                }
                answers
            }
            outcome => told(outcome, works.len()),
        };
        for (job, answer) in jobs.into_iter().zip(answers) {
            job.answer.send(answer).ok();
        }
    }

    /// One transaction. Nothing is answered before its COMMIT.
    async fn attempt(&mut self, works: &[&Work]) -> Result<Vec<Result<Answer>>, Trouble> {
        if let Some(cause) = &self.broken {
            // Not "nothing was written": it may be a unit whose outcome is unknown, and comes again.
            return Err(Trouble::Unknown(cause.error()));
        }
        let mut connection = self.take().await.map_err(Trouble::Failed)?;
        let mut pauses = Pauses::new(self.options.busy_timeout);
        let outcome = loop {
            match transact(&mut connection, works).await {
                Err(Trouble::Busy(_)) if pauses.pause().await => {}
                outcome => break outcome,
            }
        };
        match outcome {
            Ok((answers, changed)) => {
                self.connection = Some(connection);
                if changed {
                    self.changes.send_modify(|n| *n += 1);
                }
                Ok(answers)
            }
            Err(Trouble::Unknown(e)) => {
                self.lose(connection, &e);
                Err(Trouble::Unknown(e))
            }
            Err(Trouble::Failed(e) | Trouble::Busy(e)) => {
                self.connection = roll_back(connection).await;
                Err(Trouble::Failed(e))
            }
        }
    }

    /// The connection, opened again if it was lost.
    async fn take(&mut self) -> sqlx::Result<Connection> {
        if let Some(cause) = &self.broken {
            return Err(cause.error());
        }
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.file.writer().await,
        }
    }

    /// After a COMMIT that failed the connection is not used again; after one that could not reach the disk nothing
    /// is: the kernel may have forgotten what it could not write, and a second sync would be told a lie.
    fn lose(&mut self, connection: Connection, cause: &sqlx::Error) {
        tracing::error!(error = %cause, "the outcome of a commit is unknown");
        drop(connection);
        if fault::is_io(cause) {
            self.broken = Some(Broken(cause.to_string()));
        }
    }

    /// Looks for commits of other processes.
    async fn look(&mut self) {
        let Ok(mut connection) = self.take().await else {
            return;
        };
        let row = sqlx::query("PRAGMA data_version")
            .fetch_one(&mut connection.sqlite)
            .await;
        match row.and_then(|row| row.try_get::<i64, _>(0)) {
            Ok(version) => {
                self.connection = Some(connection);
                if version != self.seen {
                    self.seen = version;
                    self.changes.send_modify(|n| *n += 1);
                }
            }
            Err(e) => tracing::warn!(error = %e, "cannot look for changes of other processes"),
        }
    }

    /// Lends the connection for at most the budget.
    async fn lend(&mut self, borrower: oneshot::Sender<Result<Loan>>) {
        let connection = match self.begin_alone().await {
            Ok(connection) => connection,
            Err(e) => {
                borrower.send(Err(fault::explain(e))).ok();
                return;
            }
        };
        let gate = connection.gate.clone();
        gate.close();
        let deadline = Instant::now() + self.options.budget;
        let slot: Slot = Arc::new(Mutex::new(Some(connection)));
        let (finish, finished) = oneshot::channel();
        let loan = Loan {
            slot: slot.clone(),
            gate: gate.clone(),
            budget: self.options.budget,
            finish,
        };
        // A borrower who is gone drops the loan, and with it `finish`.
        borrower.send(Ok(loan)).ok();
        let finished = timeout_at(deadline, finished).await;
        // Dropped or over time: what still runs is interrupted. Else the last statement may end within the budget.
        if !matches!(finished, Ok(Ok(_))) {
            gate.stop();
        }
        let connection = match timeout_at(deadline, slot.lock()).await {
            Ok(mut slot) => slot.take(),
            Err(_) => {
                gate.stop();
                slot.lock().await.take()
            }
        };
        let Some(connection) = connection else { return };
        match finished {
            Ok(Ok((unit, answer))) => {
                answer.send(self.finish(connection, unit).await).ok();
            }
            Ok(Err(_)) => self.connection = roll_back(connection).await,
            Err(_) => {
                tracing::warn!(
                    budget = ?self.options.budget,
                    "a transaction of user SQL took too long and was rolled back"
                );
                sqlx::Connection::close(connection.sqlite).await.ok();
            }
        }
    }

    async fn begin_alone(&mut self) -> sqlx::Result<Connection> {
        let mut connection = self.take().await?;
        let begun = file::begin(&mut connection, self.options.busy_timeout).await;
        match begun {
            Ok(()) => Ok(connection),
            Err(e) => {
                self.connection = roll_back(connection).await;
                Err(e)
            }
        }
    }

    /// Commits the user's rows and the unit together.
    async fn finish(&mut self, mut connection: Connection, unit: UnitOfWork) -> Result<()> {
        if connection.gate.is_lost() {
            self.connection = roll_back(connection).await;
            return Err(Error::Backend(LOST.into()));
        }
        let work = Work::Unit(Box::new(unit));
        let works = [&work];
        let outcome = match batch::decide(&mut connection.sqlite, &works, Begin::Before).await {
            Ok(mut decision) => match decision.answers.pop() {
                // Committed before, then with the same user SQL: what it wrote now must not count again.
                Some(Ok(_)) if decision.changes.is_empty() && !is_empty(&work) => Ok(false),
                Some(Ok(_)) => {
                    connection.gate.open();
                    let written = batch::write(&mut connection.sqlite, &decision.changes).await;
                    written.map(|()| true)
                }
                Some(Err(refused)) => {
                    self.connection = roll_back(connection).await;
                    return Err(refused);
                }
                None => Ok(false),
            },
            Err(trouble) => Err(trouble),
        };
        match outcome {
            Ok(true) => {
                self.connection = Some(connection);
                self.changes.send_modify(|n| *n += 1);
                Ok(())
            }
            Ok(false) => {
                self.connection = roll_back(connection).await;
                Ok(())
            }
            Err(Trouble::Failed(e) | Trouble::Busy(e)) => {
                self.connection = roll_back(connection).await;
                Err(fault::explain(e))
            }
            Err(Trouble::Unknown(e)) => {
                self.lose(connection, &e);
                Err(Error::OutcomeUnknown(e.into()))
            }
        }
    }
}

/// Why nothing is promised any more.
struct Broken(String);

impl Broken {
    fn error(&self) -> sqlx::Error {
        sqlx::Error::Io(std::io::Error::other(format!(
            "a write may not have reached the disk ({}); restart the service, which reads what is there",
            self.0
        )))
    }
}

/// Why a transaction of user SQL cannot be committed any more.
pub(super) const LOST: &str = "the transaction was rolled back while the user's SQL ran";

fn is_empty(work: &Work) -> bool {
    matches!(work, Work::Unit(unit) if unit.is_empty())
}

/// Decides, writes, commits; says whether something changed.
async fn transact(
    connection: &mut Connection,
    works: &[&Work],
) -> Result<(Vec<Result<Answer>>, bool), Trouble> {
    let sqlite = &mut connection.sqlite;
    let decision = batch::decide(sqlite, works, Begin::Here).await?;
    batch::write(sqlite, &decision.changes).await?;
    Ok((decision.answers, !decision.changes.is_empty()))
}

/// Ends whatever runs, so that the connection can be used again; [`None`] if it cannot.
async fn roll_back(mut connection: Connection) -> Option<Connection> {
    connection.gate.open();
    let ended = sqlx::query("ROLLBACK")
        .execute(&mut connection.sqlite)
        .await;
    // An error is fine if SQLite has rolled back by itself, or nothing had begun: a new transaction tells.
    if ended.is_err() {
        let begun = sqlx::raw_sql("BEGIN; ROLLBACK").execute(&mut connection.sqlite);
        begun.await.ok()?;
    }
    Some(connection)
}

/// What the works of one transaction are told. One that failed is told only to a single work: more are tried alone.
fn told(outcome: Result<Vec<Result<Answer>>, Trouble>, works: usize) -> Vec<Result<Answer>> {
    match outcome {
        Ok(answers) => answers,
        Err(Trouble::Failed(e) | Trouble::Busy(e)) => vec![Err(fault::explain(e))],
        Err(Trouble::Unknown(e)) => {
            let cause = Arc::new(e);
            let each = |_| Err(Error::OutcomeUnknown(cause.clone().into()));
            (0..works).map(each).collect()
        }
    }
}

/// Moves the log file into the database and empties it; does what it can while others read.
pub(super) async fn checkpoint(connection: &mut Connection) -> sqlx::Result<()> {
    let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
    sqlx::query(sql).fetch_all(&mut connection.sqlite).await?;
    Ok(())
}

/// How long a probe of the writer may take.
pub(super) const PROBE: Duration = Duration::from_secs(5);
