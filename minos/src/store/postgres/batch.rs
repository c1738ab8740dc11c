//! Units as the columns of `minos_commit`.

use chrono::{DateTime, Utc};
use sqlx::{error::BoxDynError, postgres::PgArguments};
use uuid::Uuid;

use super::{
    names::{brief, printable},
    rows::{envelope, status},
};
use crate::{
    clock::micros,
    store::{Claim, DeadLetter, Guard, StreamId, UnitOfWork, facts::leaves_no_trace},
};

/// How many columns there are.
pub(super) const COLUMNS: usize = 74;

/// A column.
type Column<T> = Vec<T>;

/// Which row of a table a claim, a mark or a guard is, for the answer.
#[derive(Default)]
pub(super) struct Batch<'a> {
    units: Column<Uuid>,
    at: Column<DateTime<Utc>>,
    trace: Column<bool>,
    inbox: (
        Column<i32>,
        Column<&'a str>,
        Column<Uuid>,
        Column<Option<&'a str>>,
        Column<Option<&'a str>>,
    ),
    marks: (
        Column<i32>,
        Column<&'a str>,
        Column<&'a str>,
        Column<Uuid>,
        Column<Option<i64>>,
        Column<Option<Uuid>>,
        Column<i64>,
        Column<Uuid>,
    ),
    guards: (
        Column<i32>,
        Column<&'a str>,
        Column<Uuid>,
        Column<Option<i64>>,
        Column<Option<Uuid>>,
        Column<Option<i64>>,
        Column<Option<Uuid>>,
        Column<Option<&'a str>>,
    ),
    events: (
        Column<i32>,
        Column<i64>,
        Column<Uuid>,
        Column<&'a str>,
        Column<&'a str>,
        Column<String>,
    ),
    claims: (Column<i32>, Column<&'a str>, Column<Option<String>>),
    outbox: (Column<i32>, Column<String>, Column<&'a str>),
    sagas: (
        Column<i32>,
        Column<Uuid>,
        Column<&'a str>,
        Column<i64>,
        Column<&'a str>,
        Column<Option<DateTime<Utc>>>,
        Column<DateTime<Utc>>,
        Column<DateTime<Utc>>,
        Column<&'a str>,
    ),
    history: (Column<i32>, Column<i32>, Column<&'a str>),
    fired: (Column<i32>, Column<Uuid>),
    timers: (
        Column<i32>,
        Column<Uuid>,
        Column<DateTime<Utc>>,
        Column<String>,
        Column<&'a str>,
    ),
    views: (
        Column<i32>,
        Column<&'a str>,
        Column<String>,
        Column<Option<&'a str>>,
        Column<Option<&'a str>>,
    ),
    revived: (Column<i32>, Column<Uuid>, Column<bool>),
    letters: Letters<'a>,
    /// What an answer may be about.
    pub(super) guarded: Vec<(&'a StreamId, Option<Guard>)>,
    pub(super) marked: Vec<(&'a str, &'a StreamId)>,
    pub(super) claimed: Vec<(&'a StreamId, &'a str)>,
}

#[derive(Default)]
struct Letters<'a> {
    unit: Column<i32>,
    id: Column<Uuid>,
    consumer: Column<String>,
    key: Column<String>,
    brief: Column<String>,
    error: Column<String>,
    attempts: Column<i64>,
    at: Column<DateTime<Utc>>,
    envelope: Column<String>,
    payload: Column<&'a [u8]>,
}

/// A place in a column, counted from one as SQL does.
fn place(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
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
        self.units.push(unit.id);
        self.at.push(micros(unit.at));
        self.trace.push(leaves_no_trace(unit));
        let u = place(self.units.len());
        if let Some(inbox) = &unit.inbox {
            let outcome = inbox.outcome.as_ref();
            self.inbox.0.push(u);
            self.inbox.1.push(&inbox.consumer);
            self.inbox.2.push(inbox.message);
            self.inbox.3.push(outcome.map(|o| status(o.status)));
            self.inbox.4.push(outcome.map(|o| o.payload.as_str()));
        }
        for mark in &unit.marks {
            self.marks.0.push(u);
            self.marks.1.push(&mark.consumer);
            self.marks.2.push(&mark.stream.aggregate);
            self.marks.3.push(mark.stream.id);
            self.marks.4.push(mark.expected.map(|g| number(g.version)));
            self.marks.5.push(mark.expected.map(|g| g.tail));
            self.marks.6.push(number(mark.reached.version));
            self.marks.7.push(mark.reached.tail);
            self.marked.push((&mark.consumer, &mark.stream));
        }
        for (stream, expected) in &unit.reads {
            self.guard(u, stream, *expected, None, None);
        }
        self.writes(u, unit)?;
        for message in &unit.outbox {
            self.outbox.0.push(u);
            self.outbox.1.push(envelope(message)?);
            self.outbox.2.push(message.payload.as_str());
        }
        self.rest(u, unit)
    }

    fn guard(
        &mut self,
        u: i32,
        stream: &'a StreamId,
        expected: Option<Guard>,
        reached: Option<Guard>,
        state: Option<&'a str>,
    ) {
        self.guards.0.push(u);
        self.guards.1.push(&stream.aggregate);
        self.guards.2.push(stream.id);
        self.guards.3.push(expected.map(|g| number(g.version)));
        self.guards.4.push(expected.map(|g| g.tail));
        self.guards.5.push(reached.map(|g| number(g.version)));
        self.guards.6.push(reached.map(|g| g.tail));
        self.guards.7.push(state);
        self.guarded.push((stream, expected));
    }

    fn writes(&mut self, u: i32, unit: &'a UnitOfWork) -> Result<(), BoxDynError> {
        for write in &unit.writes {
            let state = write.state.as_ref().map(|s| s.as_str());
            self.guard(u, &write.stream, write.expected, write.reached(), state);
            let g = place(self.guarded.len());
            let before = write.expected.map_or(0, |g| g.version);
            for (version, event) in (before + 1..).zip(&write.events) {
                self.events.0.push(g);
                self.events.1.push(number(version));
                self.events.2.push(event.id);
                self.events.3.push(&event.name);
                self.events.4.push(event.payload.as_str());
                self.events.5.push(serde_json::to_string(&event.headers)?);
            }
            for (at, claim) in write.claims.iter().enumerate() {
                // The last word on a field counts.
                let again = |later: &Claim| later.field == claim.field;
                if write.claims[at + 1..].iter().any(again) {
                    continue;
                }
                self.claims.0.push(g);
                self.claims.1.push(&claim.field);
                let value = claim.value.as_deref().map(|v| brief(v).into_owned());
                self.claims.2.push(value);
                self.claimed.push((&write.stream, &claim.field));
            }
        }
        Ok(())
    }

    fn rest(&mut self, u: i32, unit: &'a UnitOfWork) -> Result<(), BoxDynError> {
        for (saga, entries) in &unit.sagas {
            self.sagas.0.push(u);
            self.sagas.1.push(saga.id);
            self.sagas.2.push(&saga.name);
            self.sagas.3.push(number(saga.version));
            self.sagas.4.push(&saga.status);
            self.sagas.5.push(saga.due_at.map(micros));
            self.sagas.6.push(micros(saga.created_at));
            self.sagas.7.push(micros(saga.updated_at));
            self.sagas.8.push(saga.body.as_str());
            for (n, entry) in entries.iter().enumerate() {
                self.history.0.push(place(self.sagas.0.len()));
                self.history.1.push(place(n));
                self.history.2.push(entry.as_str());
            }
        }
        for id in &unit.fired {
            self.fired.0.push(u);
            self.fired.1.push(*id);
        }
        for timer in &unit.timers {
            self.timers.0.push(u);
            self.timers.1.push(timer.id);
            self.timers.2.push(micros(timer.due_at));
            self.timers.3.push(envelope(&timer.message)?);
            self.timers.4.push(timer.message.payload.as_str());
        }
        for write in &unit.views {
            let short = brief(&write.key);
            self.views.0.push(u);
            self.views.1.push(&write.view);
            let long = *short != *write.key;
            self.views.2.push(short.into_owned());
            self.views.3.push(long.then_some(write.key.as_str()));
            self.views.4.push(write.row.as_ref().map(|r| r.as_str()));
        }
        for id in &unit.revived {
            self.revived.0.push(u);
            self.revived.1.push(*id);
            let again = unit.dead_letters.iter().any(|d| d.id == *id);
            self.revived.2.push(again);
        }
        for (at, letter) in unit.dead_letters.iter().enumerate() {
            let again = |later: &DeadLetter| later.id == letter.id;
            if !unit.dead_letters[at + 1..].iter().any(again) {
                self.letter(u, letter)?;
            }
        }
        Ok(())
    }

    fn letter(&mut self, u: i32, letter: &'a DeadLetter) -> Result<(), BoxDynError> {
        let key = printable(&letter.key);
        let all = &mut self.letters;
        all.unit.push(u);
        all.id.push(letter.id);
        all.consumer.push(printable(&letter.consumer).into_owned());
        all.brief.push(brief(&key).into_owned());
        all.key.push(key.into_owned());
        all.error.push(printable(&letter.error).into_owned());
        all.attempts.push(letter.attempts.into());
        all.at.push(micros(letter.at));
        all.envelope.push(envelope(&letter.message)?);
        all.payload.push(letter.message.payload.as_str().as_bytes());
        Ok(())
    }

    /// Everything in the order of the function's parameters.
    pub(super) fn arguments(&self, each: bool) -> Result<PgArguments, BoxDynError> {
        use sqlx::Arguments;
        macro_rules! put_all {
            ($to:ident, $($columns:expr),* $(,)?) => { $($to.add($columns)?;)* };
        }
        let mut to = PgArguments::default();
        to.add(each)?;
        let (i, m, g, e) = (&self.inbox, &self.marks, &self.guards, &self.events);
        put_all!(to, &self.units, &self.at, &self.trace);
        put_all!(to, &i.0, &i.1, &i.2, &i.3, &i.4);
        put_all!(to, &m.0, &m.1, &m.2, &m.3, &m.4, &m.5, &m.6, &m.7);
        put_all!(to, &g.0, &g.1, &g.2, &g.3, &g.4, &g.5, &g.6, &g.7);
        put_all!(to, &e.0, &e.1, &e.2, &e.3, &e.4, &e.5);
        let (c, o, s, h) = (&self.claims, &self.outbox, &self.sagas, &self.history);
        put_all!(to, &c.0, &c.1, &c.2, &o.0, &o.1, &o.2);
        put_all!(to, &s.0, &s.1, &s.2, &s.3, &s.4, &s.5, &s.6, &s.7, &s.8);
        put_all!(to, &h.0, &h.1, &h.2, &self.fired.0, &self.fired.1);
        let (t, v, r, d) = (&self.timers, &self.views, &self.revived, &self.letters);
        put_all!(
            to, &t.0, &t.1, &t.2, &t.3, &t.4, &v.0, &v.1, &v.2, &v.3, &v.4
        );
        put_all!(to, &r.0, &r.1, &r.2);
        put_all!(
            to,
            &d.unit,
            &d.id,
            &d.consumer,
            &d.key,
            &d.brief,
            &d.error,
            &d.attempts
        );
        put_all!(to, &d.at, &d.envelope, &d.payload);
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
