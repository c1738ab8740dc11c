//! What a unit of work is checked against: one rule for every backend.
//!
//! A backend fills [`Facts`] with what it has stored about the rows that its units mention - all of them in memory,
//! those of one batch in SQLite - then asks [`check`](Facts::check) and tells [`apply`](Facts::apply), so that a
//! later unit of the same batch is checked against what an earlier one did.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::{Claim, Error, Guard, Mark, Result, StreamId, UnitOfWork, Write};
use crate::message::Outcome;

/// What is stored about the rows that some units mention.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Where streams stand.
    pub(super) heads: HashMap<StreamId, Guard>,
    /// Inbox rows by consumer and message: whose they are, and the outcome.
    pub(super) inbox: HashMap<(String, Uuid), (Uuid, Option<Outcome>)>,
    /// Marks by consumer and stream, and the unit that set them.
    pub(super) marks: HashMap<(String, StreamId), (Guard, Uuid)>,
    /// Who holds a unique value.
    pub(super) claims: HashMap<ClaimKey, Uuid>,
    /// Which unique values an aggregate holds, by field.
    pub(super) held: HashMap<StreamId, BTreeMap<String, String>>,
    /// The versions of sagas.
    pub(super) sagas: HashMap<Uuid, u64>,
    /// Timers that wait.
    pub(super) timers: HashSet<Uuid>,
    /// Messages that are parked.
    pub(super) dead_letters: HashSet<Uuid>,
    /// Last events of writes that are in the log, as far as somebody asked.
    pub(super) logged: HashSet<Uuid>,
    /// Units without another trace (see [`leaves_no_trace`]) that were committed.
    pub(super) units: HashSet<Uuid>,
}

/// A unique value: aggregate, field, value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ClaimKey {
    pub(super) aggregate: String,
    pub(super) field: String,
    pub(super) value: String,
}

impl ClaimKey {
    fn new(aggregate: &str, field: &str, value: &str) -> Self {
        Self {
            aggregate: aggregate.to_owned(),
            field: field.to_owned(),
            value: value.to_owned(),
        }
    }
}

/// What to do with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Write it.
    Apply,
    /// It is in the store already: its outcome was unknown and it came again.
    Done,
}

/// Whether nothing that a unit writes could show later that it was committed, so that its id must be kept.
///
/// An event, an inbox row and a mark name the unit; a message, a timer or a row of a view may be gone again.
pub(super) fn leaves_no_trace(unit: &UnitOfWork) -> bool {
    unit.writes.is_empty() && unit.inbox.is_none() && unit.marks.is_empty() && !unit.is_empty()
}

impl Facts {
    /// Decides about one unit.
    pub(super) fn check(&self, unit: &UnitOfWork) -> Result<Verdict> {
        if self.is_done(unit) {
            return Ok(Verdict::Done);
        }
        if let Some(inbox) = &unit.inbox
            && let Some((_, outcome)) = self.inbox.get(&(inbox.consumer.clone(), inbox.message))
        {
            return Err(Error::Duplicate {
                consumer: inbox.consumer.clone(),
                message: inbox.message,
                outcome: outcome.clone(),
            });
        }
        for mark in &unit.marks {
            self.check_mark(mark)?;
        }
        for (stream, expected) in &unit.reads {
            self.check_guard(stream, *expected)?;
        }
        for write in &unit.writes {
            self.check_guard(&write.stream, write.expected)?;
        }
        self.claim_changes(unit)?;
        for (saga, _) in &unit.sagas {
            let stored = self.sagas.get(&saga.id).copied().unwrap_or(0);
            moved(stored + 1 == saga.version, "saga", saga.id)?;
        }
        for timer in &unit.fired {
            moved(self.timers.contains(timer), "timer", *timer)?;
        }
        for letter in &unit.revived {
            moved(self.dead_letters.contains(letter), "dead letter", *letter)?;
        }
        Ok(Verdict::Apply)
    }

    /// Notes what a unit that passed its [`check`](Self::check) changes, and answers which unique values changed
    /// hands, in order.
    pub(super) fn apply(&mut self, unit: &UnitOfWork) -> Vec<(ClaimKey, Option<Uuid>)> {
        // The check has computed the same without an error.
        let claims = self.claim_changes(unit).unwrap_or_default();
        for (key, holder) in &claims {
            match holder {
                Some(id) => self.claims.insert(key.clone(), *id),
                None => self.claims.remove(key),
            };
        }
        for write in &unit.writes {
            if let Some(reached) = write.reached() {
                self.heads.insert(write.stream.clone(), reached);
                self.logged.insert(reached.tail);
            }
            if write.state.is_none() {
                self.held.remove(&write.stream);
                continue;
            }
            for claim in &write.claims {
                let held = self.held.entry(write.stream.clone()).or_default();
                match &claim.value {
                    Some(value) => held.insert(claim.field.clone(), value.clone()),
                    None => held.remove(&claim.field),
                };
            }
        }
        if let Some(inbox) = &unit.inbox {
            self.inbox.insert(
                (inbox.consumer.clone(), inbox.message),
                (unit.id, inbox.outcome.clone()),
            );
        }
        for mark in &unit.marks {
            self.marks.insert(
                (mark.consumer.clone(), mark.stream.clone()),
                (mark.reached, unit.id),
            );
        }
        for (saga, _) in &unit.sagas {
            self.sagas.insert(saga.id, saga.version);
        }
        for id in &unit.fired {
            self.timers.remove(id);
        }
        self.timers.extend(unit.timers.iter().map(|t| t.id));
        for id in &unit.revived {
            self.dead_letters.remove(id);
        }
        self.dead_letters
            .extend(unit.dead_letters.iter().map(|d| d.id));
        if leaves_no_trace(unit) {
            self.units.insert(unit.id);
        }
        claims
    }

    /// Finding its own ids means that the unit was committed before. One trace is enough: a unit is all or nothing.
    fn is_done(&self, unit: &UnitOfWork) -> bool {
        if let Some(write) = unit.writes.first() {
            let last = write.events.last().map(|e| e.id);
            return last.is_some_and(|last| {
                self.logged.contains(&last)
                    || self
                        .heads
                        .get(&write.stream)
                        .is_some_and(|head| head.tail == last)
            });
        }
        if let Some(inbox) = &unit.inbox {
            return self
                .inbox
                .get(&(inbox.consumer.clone(), inbox.message))
                .is_some_and(|(by, _)| *by == unit.id);
        }
        if let Some(mark) = unit.marks.first() {
            return self
                .marks
                .get(&(mark.consumer.clone(), mark.stream.clone()))
                .is_some_and(|(at, by)| *by == unit.id && *at == mark.reached);
        }
        self.units.contains(&unit.id)
    }

    fn check_mark(&self, mark: &Mark) -> Result<()> {
        let stored = self
            .marks
            .get(&(mark.consumer.clone(), mark.stream.clone()))
            .map(|(at, _)| *at);
        if stored == mark.expected {
            return Ok(());
        }
        Err(Error::OutOfOrder {
            consumer: mark.consumer.clone(),
            stream: mark.stream.clone(),
            version: stored.map_or(0, |g| g.version),
        })
    }

    fn check_guard(&self, stream: &StreamId, expected: Option<Guard>) -> Result<()> {
        let actual = self.heads.get(stream).copied();
        if actual == expected {
            return Ok(());
        }
        Err(Error::Conflict {
            stream: stream.clone(),
            expected: expected.map_or(0, |g| g.version),
            actual: actual.map_or(0, |g| g.version),
        })
    }

    /// The unique values that a unit gives up and takes, in this order: what one aggregate gives up, another may
    /// take in the same unit.
    fn claim_changes(&self, unit: &UnitOfWork) -> Result<Vec<(ClaimKey, Option<Uuid>)>> {
        let mut changes: Vec<(ClaimKey, Option<Uuid>)> = Vec::new();
        for write in &unit.writes {
            for (field, value) in self.held.get(&write.stream).into_iter().flatten() {
                if write.state.is_none() || write.claims.iter().any(|c| &c.field == field) {
                    let key = ClaimKey::new(&write.stream.aggregate, field, value);
                    changes.push((key, None));
                }
            }
        }
        for write in unit.writes.iter().filter(|w| w.state.is_some()) {
            for (field, value) in taken(write) {
                let key = ClaimKey::new(&write.stream.aggregate, field, value);
                let holder = match changes.iter().rev().find(|(k, _)| *k == key) {
                    Some((_, holder)) => *holder,
                    None => self.claims.get(&key).copied(),
                };
                if let Some(holder) = holder
                    && holder != write.stream.id
                {
                    return Err(Error::Claimed {
                        aggregate: key.aggregate,
                        field: key.field,
                        holder,
                    });
                }
                changes.push((key, Some(write.stream.id)));
            }
        }
        Ok(changes)
    }
}

/// The values that a write takes; the last word on a field counts.
fn taken(write: &Write) -> impl Iterator<Item = (&str, &str)> {
    let is_last = |at: usize, claim: &Claim| {
        !write.claims[at + 1..]
            .iter()
            .any(|later| later.field == claim.field)
    };
    write
        .claims
        .iter()
        .enumerate()
        .filter(move |(at, claim)| is_last(*at, claim))
        .filter_map(|(_, claim)| Some((claim.field.as_str(), claim.value.as_deref()?)))
}

fn moved(holds: bool, what: &'static str, id: Uuid) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::Moved { what, id })
    }
}
