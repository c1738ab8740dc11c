//! Units as the parameters of `minos_commit`.

use std::marker::PhantomData;

use sqlx::{Arguments, error::BoxDynError, postgres::PgArguments};

use super::{
    columns::{
        ClaimRow, Claims, EventRow, Events, Fired, FiredRow, GuardRow, Guards, History, HistoryRow,
        Inbox, InboxRow, LetterRow, Letters, MarkRow, Marks, Outbox, OutboxRow, Revived,
        RevivedRow, SagaColumns, Sagas, Table, TimerRow, Timers, Unit, Units, ViewRow, Views,
        place,
    },
    names::{brief, printable},
    rows::{envelope, status},
};
use crate::{
    clock::micros,
    store::{Claim, DeadLetter, Guard, StreamId, UnitOfWork, facts::leaves_no_trace},
};

/// The units of one call.
#[derive(Default)]
pub(super) struct Batch<'a> {
    units: Units<'a>,
    inbox: Inbox<'a>,
    marks: Marks<'a>,
    guards: Guards<'a>,
    events: Events<'a>,
    claims: Claims<'a>,
    outbox: Outbox<'a>,
    sagas: Sagas<'a>,
    history: History<'a>,
    fired: Fired<'a>,
    timers: Timers<'a>,
    views: Views<'a>,
    revived: Revived<'a>,
    letters: Letters<'a>,
    /// What an answer may be about, by place.
    pub(super) guarded: Vec<(&'a StreamId, Option<Guard>)>,
    pub(super) marked: Vec<(&'a str, &'a StreamId)>,
    pub(super) claimed: Vec<(&'a StreamId, &'a str)>,
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl<'a> Batch<'a> {
    /// # Errors
    /// What cannot be written as JSON.
    pub(super) fn of(units: impl Iterator<Item = &'a UnitOfWork>) -> Result<Self, BoxDynError> {
        let mut batch = Self::default();
        for unit in units {
            batch.add(unit)?;
        }
        Ok(batch)
    }

    fn add(&mut self, unit: &'a UnitOfWork) -> Result<(), BoxDynError> {
        let u = self.units.push(Unit {
            id: unit.id,
            at: micros(unit.at),
            trace: leaves_no_trace(unit),
            of: PhantomData,
        });
        if let Some(inbox) = &unit.inbox {
            let outcome = inbox.outcome.as_ref();
            self.inbox.push(InboxRow {
                unit: u,
                consumer: &inbox.consumer,
                message: inbox.message,
                status: outcome.map(|o| status(o.status)),
                payload: outcome.map(|o| o.payload.as_str()),
                of: PhantomData,
            });
        }
        for mark in &unit.marks {
            self.marks.push(MarkRow {
                unit: u,
                consumer: &mark.consumer,
                aggregate: &mark.stream.aggregate,
                stream: mark.stream.id,
                version: mark.expected.map(|g| number(g.version)),
                tail: mark.expected.map(|g| g.tail),
                reached: number(mark.reached.version),
                last: mark.reached.tail,
                of: PhantomData,
            });
            self.marked.push((&mark.consumer, &mark.stream));
        }
        for (stream, expected) in &unit.reads {
            self.guard(u, stream, *expected, None, None);
        }
        self.writes(u, unit)?;
        for message in &unit.outbox {
            self.outbox.push(OutboxRow {
                unit: u,
                envelope: envelope(message)?,
                payload: message.payload.as_str(),
                of: PhantomData,
            });
        }
        self.sagas(u, unit);
        self.timers(u, unit)?;
        self.views(u, unit);
        self.letters(u, unit)
    }

    fn guard(
        &mut self,
        unit: i32,
        stream: &'a StreamId,
        expected: Option<Guard>,
        reached: Option<Guard>,
        state: Option<&'a str>,
    ) -> i32 {
        self.guarded.push((stream, expected));
        self.guards.push(GuardRow {
            unit,
            aggregate: &stream.aggregate,
            id: stream.id,
            version: expected.map(|g| number(g.version)),
            tail: expected.map(|g| g.tail),
            reached: reached.map(|g| number(g.version)),
            last: reached.map(|g| g.tail),
            state,
            of: PhantomData,
        })
    }

    fn writes(&mut self, u: i32, unit: &'a UnitOfWork) -> Result<(), BoxDynError> {
        for write in &unit.writes {
            let state = write.state.as_ref().map(|s| s.as_str());
            let guard = self.guard(u, &write.stream, write.expected, write.reached(), state);
            let before = write.expected.map_or(0, |g| g.version);
            for (version, event) in (before + 1..).zip(&write.events) {
                self.events.push(EventRow {
                    guard,
                    version: number(version),
                    id: event.id,
                    name: &event.name,
                    payload: event.payload.as_str(),
                    headers: serde_json::to_string(&event.headers)?,
                    of: PhantomData,
                });
            }
            for (at, claim) in write.claims.iter().enumerate() {
                // The last word on a field counts.
                let again = |later: &Claim| later.field == claim.field;
                if write.claims[at + 1..].iter().any(again) {
                    continue;
                }
                self.claims.push(ClaimRow {
                    guard,
                    field: &claim.field,
                    brief: claim.value.as_deref().map(|v| brief(v).into_owned()),
                    of: PhantomData,
                });
                self.claimed.push((&write.stream, &claim.field));
            }
        }
        Ok(())
    }

    fn sagas(&mut self, u: i32, unit: &'a UnitOfWork) {
        for (saga, entries) in &unit.sagas {
            let row = self.sagas.push(SagaColumns {
                unit: u,
                id: saga.id,
                name: &saga.name,
                version: number(saga.version),
                status: &saga.status,
                due: saga.due_at.map(micros),
                created: micros(saga.created_at),
                updated: micros(saga.updated_at),
                body: saga.body.as_str(),
                of: PhantomData,
            });
            for (n, entry) in entries.iter().enumerate() {
                self.history.push(HistoryRow {
                    saga: row,
                    entry: place(n),
                    body: entry.as_str(),
                    of: PhantomData,
                });
            }
        }
    }

    fn timers(&mut self, u: i32, unit: &'a UnitOfWork) -> Result<(), BoxDynError> {
        for id in &unit.fired {
            self.fired.push(FiredRow {
                unit: u,
                id: *id,
                of: PhantomData,
            });
        }
        for timer in &unit.timers {
            self.timers.push(TimerRow {
                unit: u,
                id: timer.id,
                due: micros(timer.due_at),
                envelope: envelope(&timer.message)?,
                payload: timer.message.payload.as_str(),
                of: PhantomData,
            });
        }
        Ok(())
    }

    fn views(&mut self, u: i32, unit: &'a UnitOfWork) {
        for write in &unit.views {
            let brief = brief(&write.key).into_owned();
            self.views.push(ViewRow {
                unit: u,
                view: &write.view,
                key: (brief != write.key).then_some(write.key.as_str()),
                brief,
                body: write.row.as_ref().map(|r| r.as_str()),
                of: PhantomData,
            });
        }
    }

    fn letters(&mut self, u: i32, unit: &'a UnitOfWork) -> Result<(), BoxDynError> {
        for id in &unit.revived {
            self.revived.push(RevivedRow {
                unit: u,
                id: *id,
                again: unit.dead_letters.iter().any(|d| d.id == *id),
                of: PhantomData,
            });
        }
        for (at, letter) in unit.dead_letters.iter().enumerate() {
            // The last word on a letter counts.
            let again = |later: &DeadLetter| later.id == letter.id;
            if unit.dead_letters[at + 1..].iter().any(again) {
                continue;
            }
            let key = printable(&letter.key);
            self.letters.push(LetterRow {
                unit: u,
                id: letter.id,
                consumer: printable(&letter.consumer).into_owned(),
                brief: brief(&key).into_owned(),
                key: key.into_owned(),
                error: printable(&letter.error).into_owned(),
                attempts: letter.attempts.into(),
                at: micros(letter.at),
                envelope: envelope(&letter.message)?,
                payload: letter.message.payload.as_str().as_bytes(),
                of: PhantomData,
            });
        }
        Ok(())
    }

    /// Everything in the order of the function's parameters.
    pub(super) fn arguments(&self, each: bool) -> Result<PgArguments, BoxDynError> {
        let tables: [&dyn Table; 14] = [
            &self.units,
            &self.inbox,
            &self.marks,
            &self.guards,
            &self.events,
            &self.claims,
            &self.outbox,
            &self.sagas,
            &self.history,
            &self.fired,
            &self.timers,
            &self.views,
            &self.revived,
            &self.letters,
        ];
        let mut to = PgArguments::default();
        to.add(each)?;
        for table in tables {
            table.bind(&mut to)?;
        }
        Ok(to)
    }
}

/// Whether a unit has a NUL character where the tables hold text: PostgreSQL cannot keep it.
pub(super) fn has_nul(unit: &UnitOfWork) -> bool {
    let nul = |text: &str| text.contains('\0');
    let stream = |s: &StreamId| nul(&s.aggregate);
    unit.inbox.as_ref().is_some_and(|i| {
        let outcome = i.outcome.as_ref();
        nul(&i.consumer) || outcome.is_some_and(|o| nul(o.payload.as_str()))
    }) || unit
        .marks
        .iter()
        .any(|m| nul(&m.consumer) || stream(&m.stream))
        || unit.reads.iter().any(|(s, _)| stream(s))
        || unit.writes.iter().any(|w| {
            stream(&w.stream)
                || w.state.as_ref().is_some_and(|s| nul(s.as_str()))
                || w.events
                    .iter()
                    .any(|e| nul(&e.name) || nul(e.payload.as_str()))
                || w.claims
                    .iter()
                    .any(|c| nul(&c.field) || c.value.as_deref().is_some_and(nul))
        })
        || unit.outbox.iter().any(|m| nul(m.payload.as_str()))
        || unit.timers.iter().any(|t| nul(t.message.payload.as_str()))
        || unit.sagas.iter().any(|(s, entries)| {
            nul(&s.name)
                || nul(&s.status)
                || nul(s.body.as_str())
                || entries.iter().any(|e| nul(e.as_str()))
        })
        || unit
            .views
            .iter()
            .any(|v| nul(&v.view) || nul(&v.key) || v.row.as_ref().is_some_and(|r| nul(r.as_str())))
}
