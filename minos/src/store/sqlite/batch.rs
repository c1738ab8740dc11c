//! One transaction for many units: read what they mention, decide, write what the winners do.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    changes::{self, Changes},
    fault, rows,
    script::{Broken, Script},
};
use crate::store::{
    Cursor, Error, Guard, InboxMark, Mark, Position, Result, StreamId, UnitOfWork,
    facts::{ClaimKey, Facts, Verdict, leaves_no_trace},
};

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

/// The rows that the work mentions.
#[derive(Default)]
struct Mentioned<'a> {
    heads: Vec<&'a StreamId>,
    writes: Vec<(&'a StreamId, Guard)>,
    inbox: Vec<&'a InboxMark>,
    marks: Vec<&'a Mark>,
    claims: Vec<ClaimKey>,
    holders: Vec<&'a StreamId>,
    sagas: Vec<Uuid>,
    timers: Vec<Uuid>,
    dead_letters: Vec<Uuid>,
    units: Vec<Uuid>,
    cursors: Vec<&'a str>,
    probe: bool,
}

/// What a row answers.
#[derive(Debug, Clone, Copy)]
enum Of {
    Nothing,
    Heads,
    Inbox,
    Marks,
    Claims,
    Held,
    Sagas,
    Timers,
    DeadLetters,
    Units,
    Cursors,
}

impl<'a> Mentioned<'a> {
    fn of(works: &[&'a Work]) -> Self {
        let mut all = Self::default();
        for work in works {
            match work {
                Work::Unit(unit) => all.unit(unit),
                Work::Take(name) | Work::Move(name, ..) => all.cursors.push(name),
                Work::Trim(_) => {}
                Work::Probe => all.probe = true,
            }
        }
        all
    }

    fn unit(&mut self, unit: &'a UnitOfWork) {
        self.heads.extend(unit.reads.iter().map(|(s, _)| s));
        self.inbox.extend(&unit.inbox);
        self.marks.extend(&unit.marks);
        for write in &unit.writes {
            self.heads.push(&write.stream);
            if let Some(reached) = write.reached() {
                self.writes.push((&write.stream, reached));
            }
            for claim in &write.claims {
                if let Some(value) = &claim.value {
                    self.claims.push(ClaimKey {
                        aggregate: write.stream.aggregate.clone(),
                        field: claim.field.clone(),
                        value: value.clone(),
                    });
                }
            }
            if write.state.is_none() || !write.claims.is_empty() {
                self.holders.push(&write.stream);
            }
        }
        self.sagas.extend(unit.sagas.iter().map(|(s, _)| s.id));
        self.timers.extend(&unit.fired);
        self.dead_letters.extend(&unit.revived);
        if leaves_no_trace(unit) {
            self.units.push(unit.id);
        }
    }

    /// Each row says first which of the mentioned it answers.
    fn script(&self, begin: Begin) -> Script<Of> {
        let mut s = Script::new();
        if begin == Begin::Here {
            s.statement(Of::Nothing, "BEGIN IMMEDIATE");
        }
        let select = |columns: &str| format!("SELECT v.column1, {columns} FROM ");
        let join = |table: &str, on: &str| format!(" v CROSS JOIN {table} t ON {on}");
        s.rows(
            Of::Heads,
            &select("t.version, t.tail"),
            3,
            &join(
                "minos_heads",
                "t.aggregate = v.column2 AND t.id = v.column3",
            ),
            &numbered(&self.heads),
            |s, (n, stream)| {
                s.bind(*n).text(&stream.aggregate).id(stream.id);
            },
        );
        s.rows(
            Of::Inbox,
            &select("t.unit, t.status, t.payload"),
            3,
            &join(
                "minos_inbox",
                "t.consumer = v.column2 AND t.message = v.column3",
            ),
            &numbered(&self.inbox),
            |s, (n, inbox)| {
                s.bind(*n).text(&inbox.consumer).id(inbox.message);
            },
        );
        s.rows(
            Of::Marks,
            &select("t.version, t.tail, t.unit"),
            4,
            &join(
                "minos_marks",
                "t.consumer = v.column2 AND t.aggregate = v.column3 AND t.stream = v.column4",
            ),
            &numbered(&self.marks),
            |s, (n, mark)| {
                s.bind(*n).text(&mark.consumer);
                s.text(&mark.stream.aggregate).id(mark.stream.id);
            },
        );
        s.rows(
            Of::Claims,
            &select("t.id"),
            4,
            &join(
                "minos_claims",
                "t.aggregate = v.column2 AND t.field = v.column3 AND t.value = v.column4",
            ),
            &numbered(&self.claims),
            |s, (n, claim)| {
                s.bind(*n).text(&claim.aggregate);
                s.text(&claim.field).text(&claim.value);
            },
        );
        s.rows(
            Of::Held,
            &select("t.field, t.value"),
            3,
            &join(
                "minos_claims",
                "t.aggregate = v.column2 AND t.id = v.column3",
            ),
            &numbered(&self.holders),
            |s, (n, stream)| {
                s.bind(*n).text(&stream.aggregate).id(stream.id);
            },
        );
        let by_id = |s: &mut Script<Of>, of, columns: &str, table: &str, ids: &[Uuid]| {
            let join = join(table, "t.id = v.column2");
            s.rows(
                of,
                &select(columns),
                2,
                &join,
                &numbered(ids),
                |s, (n, id)| {
                    s.bind(*n).id(**id);
                },
            );
        };
        by_id(&mut s, Of::Sagas, "t.version", "minos_sagas", &self.sagas);
        by_id(&mut s, Of::Timers, "1", "minos_timers", &self.timers);
        let (of, letters) = (Of::DeadLetters, &self.dead_letters);
        by_id(&mut s, of, "1", "minos_dead_letters", letters);
        by_id(&mut s, Of::Units, "1", "minos_units", &self.units);
        s.rows(
            Of::Cursors,
            &select("t.epoch, t.xid, t.position, t.fence"),
            2,
            &join("minos_cursors", "t.name = v.column2"),
            &numbered(&self.cursors),
            |s, (n, name)| {
                s.bind(*n).text(name);
            },
        );
        if self.probe {
            let touch = "UPDATE minos_meta SET value = value WHERE key = 'schema'";
            s.statement(Of::Nothing, touch);
        }
        s
    }

    /// Writes whose stream has come as far as they would take it: they conflict, unless they are in the log already.
    fn repeated(&self, facts: &Facts) -> Script<()> {
        let mut s = Script::new();
        let repeated: Vec<_> = self
            .writes
            .iter()
            .filter(|(stream, reached)| {
                facts.heads.get(*stream).is_some_and(|head| {
                    head.version >= reached.version && head.tail != reached.tail
                })
            })
            .collect();
        s.rows(
            (),
            "SELECT t.id FROM ",
            4,
            " v CROSS JOIN minos_events t ON t.aggregate = v.column1 AND t.stream = v.column2 \
             AND t.version = v.column3 AND t.id = v.column4",
            &repeated,
            |s, (stream, reached)| {
                s.text(&stream.aggregate).id(stream.id);
                s.number(reached.version).id(reached.tail);
            },
        );
        s
    }
}

/// Each with its number, by which its row is known.
fn numbered<T>(all: &[T]) -> Vec<(i64, &T)> {
    (0..).zip(all).collect()
}

/// What is known of the rows.
#[derive(Default)]
struct Known {
    facts: Facts,
    cursors: HashMap<String, Cursor>,
}

impl Known {
    fn learn(&mut self, mentioned: &Mentioned<'_>, of: Of, row: &SqliteRow) -> Result<()> {
        fn at<'m, T>(all: &'m [T], row: &SqliteRow) -> Result<&'m T> {
            let n = rows::index(row)?;
            all.get(n)
                .ok_or_else(|| Error::Corrupt(format!("a row answers to request {n}")))
        }
        let facts = &mut self.facts;
        match of {
            Of::Nothing => {}
            Of::Heads => {
                let stream = *at(&mentioned.heads, row)?;
                facts.heads.insert(stream.clone(), rows::guard(row, 1)?);
            }
            Of::Inbox => {
                let inbox = at(&mentioned.inbox, row)?;
                let key = (inbox.consumer.clone(), inbox.message);
                let found = (rows::id(row, 1)?, rows::outcome(row, 2)?);
                facts.inbox.insert(key, found);
            }
            Of::Marks => {
                let mark = at(&mentioned.marks, row)?;
                let key = (mark.consumer.clone(), mark.stream.clone());
                let found = (rows::guard(row, 1)?, rows::id(row, 3)?);
                facts.marks.insert(key, found);
            }
            Of::Claims => {
                let key = at(&mentioned.claims, row)?;
                facts.claims.insert(key.clone(), rows::id(row, 1)?);
            }
            Of::Held => {
                let stream = *at(&mentioned.holders, row)?;
                let held = facts.held.entry(stream.clone()).or_default();
                held.insert(rows::get(row, 1)?, rows::get(row, 2)?);
            }
            Of::Sagas => {
                let id = at(&mentioned.sagas, row)?;
                facts.sagas.insert(*id, rows::count(row, 1)?);
            }
            Of::Timers => drop(facts.timers.insert(*at(&mentioned.timers, row)?)),
            Of::DeadLetters => {
                facts
                    .dead_letters
                    .insert(*at(&mentioned.dead_letters, row)?);
            }
            Of::Units => drop(facts.units.insert(*at(&mentioned.units, row)?)),
            Of::Cursors => {
                let name = *at(&mentioned.cursors, row)?;
                self.cursors.insert(name.to_owned(), cursor(row, 1)?);
            }
        }
        Ok(())
    }

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
