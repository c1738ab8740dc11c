//! What the store has of the rows that a batch mentions.

use std::collections::HashMap;

use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{
    batch::{Begin, Work, cursor},
    rows,
    script::Script,
};
use crate::store::{
    Cursor, Error, Guard, InboxMark, Mark, Result, StreamId, UnitOfWork,
    facts::{ClaimKey, Facts, leaves_no_trace},
};

/// The rows that the work mentions.
#[derive(Default)]
pub(super) struct Mentioned<'a> {
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
pub(super) enum Of {
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
    pub(super) fn of(works: &[&'a Work]) -> Self {
        let mut all = Self::default();
        for work in works {
            match work {
                Work::Unit(unit) => all.unit(unit),
                Work::Take(name) | Work::Move(name, ..) => all.cursors.push(name),
                Work::Trim(_) | Work::Forget(_) => {}
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

    /// What reads them. Each row says first which of the mentioned it answers.
    pub(super) fn script(&self, begin: Begin) -> Script<Of> {
        let mut s = Script::new();
        if begin == Begin::Here {
            s.statement(Of::Nothing, "BEGIN IMMEDIATE");
        }
        s.rows(
            Of::Heads,
            "SELECT v.column1, t.version, t.tail FROM ",
            3,
            " v CROSS JOIN minos_heads t ON t.aggregate = v.column2 AND t.id = v.column3",
            &numbered(&self.heads),
            |s, (n, stream)| {
                s.bind(*n).text(&stream.aggregate).id(stream.id);
            },
        );
        s.rows(
            Of::Inbox,
            "SELECT v.column1, t.unit, t.status, t.payload FROM ",
            3,
            " v CROSS JOIN minos_inbox t ON t.consumer = v.column2 AND t.message = v.column3",
            &numbered(&self.inbox),
            |s, (n, inbox)| {
                s.bind(*n).text(&inbox.consumer).id(inbox.message);
            },
        );
        s.rows(
            Of::Marks,
            "SELECT v.column1, t.version, t.tail, t.unit FROM ",
            4,
            " v CROSS JOIN minos_marks t \
             ON t.consumer = v.column2 AND t.aggregate = v.column3 AND t.stream = v.column4",
            &numbered(&self.marks),
            |s, (n, mark)| {
                s.bind(*n).text(&mark.consumer);
                s.text(&mark.stream.aggregate).id(mark.stream.id);
            },
        );
        self.claims_script(&mut s);
        self.ids_script(&mut s);
        s.rows(
            Of::Cursors,
            "SELECT v.column1, t.epoch, t.xid, t.position, t.fence FROM ",
            2,
            " v CROSS JOIN minos_cursors t ON t.name = v.column2",
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

    fn claims_script(&self, s: &mut Script<Of>) {
        s.rows(
            Of::Claims,
            "SELECT v.column1, t.id FROM ",
            4,
            " v CROSS JOIN minos_claims t \
             ON t.aggregate = v.column2 AND t.field = v.column3 AND t.value = v.column4",
            &numbered(&self.claims),
            |s, (n, claim)| {
                s.bind(*n).text(&claim.aggregate);
                s.text(&claim.field).text(&claim.value);
            },
        );
        s.rows(
            Of::Held,
            "SELECT v.column1, t.field, t.value FROM ",
            3,
            " v CROSS JOIN minos_claims t ON t.aggregate = v.column2 AND t.id = v.column3",
            &numbered(&self.holders),
            |s, (n, stream)| {
                s.bind(*n).text(&stream.aggregate).id(stream.id);
            },
        );
    }

    fn ids_script(&self, s: &mut Script<Of>) {
        let kinds = [
            (
                Of::Sagas,
                "SELECT v.column1, t.version FROM ",
                " v CROSS JOIN minos_sagas t ON t.id = v.column2",
                &self.sagas,
            ),
            (
                Of::Timers,
                "SELECT v.column1 FROM ",
                " v CROSS JOIN minos_timers t ON t.id = v.column2",
                &self.timers,
            ),
            (
                Of::DeadLetters,
                "SELECT v.column1 FROM ",
                " v CROSS JOIN minos_dead_letters t ON t.id = v.column2",
                &self.dead_letters,
            ),
            (
                Of::Units,
                "SELECT v.column1 FROM ",
                " v CROSS JOIN minos_units t ON t.id = v.column2",
                &self.units,
            ),
        ];
        for (of, select, join, ids) in kinds {
            s.rows(of, select, 2, join, &numbered(ids), |s, (n, id)| {
                s.bind(*n).id(**id);
            });
        }
    }

    /// Writes whose stream has come as far as they would take it: they conflict, unless they are in the log already.
    pub(super) fn repeated(&self, facts: &Facts) -> Script<()> {
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
pub(super) struct Known {
    pub(super) facts: Facts,
    pub(super) cursors: HashMap<String, Cursor>,
}

impl Known {
    /// Takes in one row.
    pub(super) fn learn(
        &mut self,
        mentioned: &Mentioned<'_>,
        of: Of,
        row: &SqliteRow,
    ) -> Result<()> {
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
}
