//! One transaction for many units: read what they mention, decide, write what the winners do.

use chrono::{DateTime, Utc};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{
    changes::{self, Changes, Forget},
    fault,
    known::{Known, Mentioned},
    rows,
    script::{Broken, Script},
};
use crate::store::{Cursor, Error, Position, Result, UnitOfWork, facts::Verdict};

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Work {
    /// Commit a unit.
    Unit(Box<UnitOfWork>),
    /// Remove published messages.
    Trim(Position),
    /// Take a cursor over.
    Take(String),
    /// Move a cursor.
    Move(String, Cursor, Position),
    /// Forget these rows.
    Forget(Forget),
    /// Show that it could write.
    Probe,
}

/// What it answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Answer {
    Done,
    Cursor(Cursor),
    Moved(bool),
}

/// Why a transaction came to nothing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Somebody else holds the write lock; nothing has begun.
    Busy(sqlx::Error),
    /// Nothing was written.
    Failed(sqlx::Error),
    /// The COMMIT failed, and may have happened.
    Unknown(sqlx::Error),
}

/// How a transaction begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// By taking the write lock.
    Here,
    /// It has begun: the user's SQL is in it.
    Before,
}

/// The answers to a batch, and what it is to write.
pub(super) struct Decision<'a> {
    pub(super) answers: Vec<Result<Answer>>,
    pub(super) changes: Changes<'a>,
}

/// Reads what the work mentions, under the write lock, and decides in order: an earlier unit of a batch counts for a
/// later one.
pub(super) async fn decide<'a>(
    connection: &mut SqliteConnection,
    works: &[&'a Work],
    begin: Begin,
) -> Result<Decision<'a>, Trouble> {
    let failed = |broken: Broken| Trouble::Failed(broken.error);
    let mentioned = Mentioned::of(works);
    let script = mentioned.script(begin);
    let mut known = Known::default();
    if !script.is_empty() {
        let begun = script.run(connection).await.map_err(|broken| {
            if begin == Begin::Here && broken.done == 0 && fault::is_busy(&broken.error) {
                Trouble::Busy(broken.error)
            } else {
                Trouble::Failed(broken.error)
            }
        });
        for (of, row) in begun? {
            known.learn(&mentioned, of, &row).map_err(corrupt)?;
        }
    }
    let lookup = mentioned.repeated(&known.facts);
    if !lookup.is_empty() {
        for (_, row) in lookup.run(connection).await.map_err(failed)? {
            known
                .facts
                .logged
                .insert(rows::id(&row, 0).map_err(corrupt)?);
        }
    }
    let mut decision = Decision {
        answers: Vec::with_capacity(works.len()),
        changes: Changes::default(),
    };
    for work in works {
        let answer = known.answer(work, &mut decision.changes);
        decision.answers.push(answer);
    }
    Ok(decision)
}

/// Writes what was decided and commits. Everything a unit could violate was checked under the write lock, so a
/// statement that fails here has other reasons than the units.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    changes: &Changes<'_>,
) -> Result<(), Trouble> {
    let mut script = Script::new();
    changes::script(changes, &mut script);
    script.statement((), "COMMIT");
    match script.run(connection).await {
        Ok(_) => Ok(()),
        Err(broken) => {
            let definite = fault::is_busy(&broken.error) || fault::is_constraint(&broken.error);
            let at_commit = broken.done + 1 == broken.of && !definite;
            // A connection whose thread is gone does not say how far it came.
            let gone = matches!(broken.error, sqlx::Error::WorkerCrashed);
            if at_commit || gone {
                Err(Trouble::Unknown(broken.error))
            } else {
                Err(Trouble::Failed(broken.error))
            }
        }
    }
}

/// A row that cannot be read fails the transaction like a statement that raises.
fn corrupt(error: Error) -> Trouble {
    Trouble::Failed(sqlx::Error::Decode(error.into()))
}

impl Known {
    fn answer<'a>(&mut self, work: &'a Work, changes: &mut Changes<'a>) -> Result<Answer> {
        match work {
            Work::Unit(unit) => {
                if self.facts.check(unit)? == Verdict::Apply {
                    let claims = self.facts.apply(unit);
                    changes.unit(unit, claims);
                }
                Ok(Answer::Done)
            }
            Work::Trim(upto) => {
                changes.trim = changes.trim.max(Some(upto.row));
                Ok(Answer::Done)
            }
            Work::Take(name) => {
                let cursor = self.cursors.entry(name.clone()).or_default();
                cursor.fence += 1;
                changes.cursors.insert(name, *cursor);
                Ok(Answer::Cursor(*cursor))
            }
            Work::Move(name, from, to) => {
                let cursor = self.cursors.entry(name.clone()).or_default();
                let holds = cursor == from;
                if holds {
                    cursor.position = *to;
                    changes.cursors.insert(name, *cursor);
                }
                Ok(Answer::Moved(holds))
            }
            Work::Forget(forget) => {
                changes.forget.inbox.extend_from_slice(&forget.inbox);
                changes.forget.sagas.extend_from_slice(&forget.sagas);
                Ok(Answer::Done)
            }
            Work::Probe => Ok(Answer::Done),
        }
    }
}

/// A cursor from its four columns.
pub(super) fn cursor(row: &SqliteRow, column: usize) -> Result<Cursor> {
    Ok(Cursor {
        position: Position {
            epoch: rows::get(row, column)?,
            xid: rows::get(row, column + 1)?,
            row: rows::get(row, column + 2)?,
        },
        fence: rows::get(row, column + 3)?,
    })
}

/// The time before which traces of units are of no use any more.
pub(super) fn forgotten(now: DateTime<Utc>) -> DateTime<Utc> {
    now - chrono::TimeDelta::days(1)
}
