//! Units as the parameters of `minos_commit`.

use std::marker::PhantomData;

use chrono::{DateTime, Utc};
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
    store::{
        Claim, DeadLetter, Guard, StreamId, UnitOfWork, Write, facts::leaves_no_trace,
        letter::Details,
    },
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
    does: Does,
    /// What an answer may be about, by place.
    pub(super) guarded: Vec<(&'a StreamId, Option<Guard>)>,
    pub(super) marked: Vec<(&'a str, &'a StreamId)>,
    pub(super) claimed: Vec<(&'a StreamId, &'a str)>,
}

/// What the guards are for.
#[derive(Default)]
struct Does {
    create: bool,
    change: bool,
    delete: bool,
    read: bool,
}

/// Where a write takes its stream.
fn becomes(write: &Write) -> Option<(Guard, Option<&str>)> {
    let state = write.state.as_ref().map(|s| s.as_str());
    write.reached().map(|guard| (guard, state))
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl<'a> Batch<'a> {
    /// Units that change one aggregate after each other are a group of their own.
    ///
    /// # Errors
    /// What cannot be written as JSON.
    pub(super) fn of<'u>(
        groups: impl Iterator<Item = &'u [&'a UnitOfWork]>,
    ) -> Result<Self, BoxDynError>
    where
        'a: 'u,
    {
        let mut batch = Self::default();
        for group in groups {
            batch.add(group)?;
        }
        Ok(batch)
    }

    fn add(&mut self, group: &[&'a UnitOfWork]) -> Result<(), BoxDynError> {
        let [first, ..] = group else {
            return Ok(());
        };
        let u = self.units.push(Unit {
            id: first.id,
            at: micros(first.at),
            // Of an empty unit there is user SQL only.
            trace: leaves_no_trace(first) || first.is_empty(),
            of: PhantomData,
        });
        for unit in group {
            self.consumes(u, unit);
            for message in &unit.outbox {
                self.outbox.push(OutboxRow {
                    number: u,
                    envelope: envelope(message)?,
                    payload: message.payload.as_str(),
                    of: PhantomData,
                });
            }
            self.sagas(u, unit);
            self.timers(u, unit)?;
            self.views(u, unit);
            self.letters(u, unit)?;
        }
        match group {
            [unit] => self.writes(u, unit),
            chain => self.chain(u, chain),
        }
    }

    fn consumes(&mut self, u: i32, unit: &'a UnitOfWork) {
        if let Some(inbox) = &unit.inbox {
            let outcome = inbox.outcome.as_ref();
            self.inbox.push(InboxRow {
                number: u,
                unit: unit.id,
                consumer: &inbox.consumer,
                message: inbox.message,
                status: outcome.map(|o| status(o.status)),
                payload: outcome.map(|o| o.payload.as_str()),
                of: PhantomData,
            });
        }
        for mark in &unit.marks {
            self.marks.push(MarkRow {
                number: u,
                unit: unit.id,
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
    }

    fn guard(
        &mut self,
        u: i32,
        stream: &'a StreamId,
        expected: Option<Guard>,
        becomes: Option<(Guard, Option<&'a str>)>,
        at: DateTime<Utc>,
    ) -> i32 {
        let does = &mut self.does;
        match (becomes, expected) {
            (None, _) => does.read = true,
            (Some(_), None) => does.create = true,
            (Some(_), Some(_)) => does.change = true,
        }
        does.delete |= becomes.is_some_and(|(_, state)| state.is_none());
        self.guarded.push((stream, expected));
        self.guards.push(GuardRow {
            number: u,
            aggregate: &stream.aggregate,
            id: stream.id,
            version: expected.map(|g| number(g.version)),
            tail: expected.map(|g| g.tail),
            reached: becomes.map(|(g, _)| number(g.version)),
            last: becomes.map(|(g, _)| g.tail),
            state: becomes.and_then(|(_, state)| state),
            at: micros(at),
            of: PhantomData,
        })
    }

    fn events(
        &mut self,
        guard: i32,
        write: &'a Write,
        at: DateTime<Utc>,
    ) -> Result<(), BoxDynError> {
        let before = write.expected.map_or(0, |g| g.version);
        for (version, event) in (before + 1..).zip(&write.events) {
            self.events.push(EventRow {
                guard,
                at: micros(at),
                version: number(version),
                id: event.id,
                name: &event.name,
                payload: event.payload.as_str(),
                headers: serde_json::to_string(&event.headers)?,
                of: PhantomData,
            });
        }
        Ok(())
    }

    /// One guard for all: what the first expects, and what the last reaches.
    fn chain(&mut self, u: i32, chain: &[&'a UnitOfWork]) -> Result<(), BoxDynError> {
        let writes = chain
            .iter()
            .filter_map(|unit| Some((unit.writes.first()?, unit.at)));
        let mut writes = writes.peekable();
        let Some((first, _)) = writes.peek().copied() else {
            return Ok(());
        };
        let Some((last, at)) = writes.clone().last() else {
            return Ok(());
        };
        let guard = self.guard(u, &first.stream, first.expected, becomes(last), at);
        for (write, at) in writes {
            self.events(guard, write, at)?;
        }
        Ok(())
    }

    fn writes(&mut self, u: i32, unit: &'a UnitOfWork) -> Result<(), BoxDynError> {
        for (stream, expected) in &unit.reads {
            self.guard(u, stream, *expected, None, unit.at);
        }
        for write in &unit.writes {
            let guard = self.guard(u, &write.stream, write.expected, becomes(write), unit.at);
            self.events(guard, write, unit.at)?;
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
                number: u,
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
                number: u,
                id: *id,
                of: PhantomData,
            });
        }
        for timer in &unit.timers {
            self.timers.push(TimerRow {
                number: u,
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
                number: u,
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
                number: u,
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
                number: u,
                id: letter.id,
                consumer: printable(&letter.consumer).into_owned(),
                brief: brief(&key).into_owned(),
                key: key.into_owned(),
                error: printable(&letter.error).into_owned(),
                attempts: letter.attempts.into(),
                at: micros(letter.at),
                envelope: envelope(&letter.message)?,
                payload: letter.message.payload.as_str().as_bytes(),
                kind: letter.message.kind.as_str(),
                name: printable(&letter.message.name).into_owned(),
                topic: printable(&letter.message.topic).into_owned(),
                version: letter.version().map(number),
                reason: letter.reason.as_str(),
                details: serde_json::to_string(&Details::of(letter))?,
                bytes: letter.bytes.as_deref(),
                of: PhantomData,
            });
        }
        Ok(())
    }

    /// Everything in the order of the function's parameters.
    pub(super) fn arguments(
        &self,
        each: bool,
        epoch: Option<i64>,
    ) -> Result<PgArguments, BoxDynError> {
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
        to.add(epoch)?;
        let does = &self.does;
        for flag in [does.create, does.change, does.delete, does.read] {
            to.add(flag)?;
        }
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
