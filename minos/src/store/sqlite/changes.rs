//! What the winners of a batch change, one bulk statement for each table that is touched.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::{
    batch::forgotten,
    rows::{bind_message, bind_outcome, bind_serialized},
    script::Script,
};
use crate::{
    payload::Payload,
    store::{
        Cursor, DeadLetter, NewEvent, Timer, UnitOfWork, Write,
        facts::{ClaimKey, leaves_no_trace},
        letter::Details,
    },
};

/// The changes of a batch. Where several units change one row, the last word counts.
#[derive(Default)]
pub(super) struct Changes<'a> {
    units: Vec<&'a UnitOfWork>,
    claims: HashMap<ClaimKey, Option<Uuid>>,
    timers: BTreeMap<Uuid, Option<&'a Timer>>,
    views: BTreeMap<(&'a str, &'a str), Option<&'a Payload>>,
    revived: Vec<Uuid>,
    /// In the order in which they were parked.
    dead_letters: Vec<&'a DeadLetter>,
    pub(super) cursors: HashMap<&'a str, Cursor>,
    pub(super) trim: Option<i64>,
    pub(super) forget: Forget,
}

impl<'a> Changes<'a> {
    /// Adds what a unit changes.
    pub(super) fn unit(&mut self, unit: &'a UnitOfWork, claims: Vec<(ClaimKey, Option<Uuid>)>) {
        self.claims.extend(claims);
        for id in &unit.fired {
            self.timers.insert(*id, None);
        }
        for timer in &unit.timers {
            self.timers.insert(timer.id, Some(timer));
        }
        for write in &unit.views {
            let key = (write.view.as_str(), write.key.as_str());
            self.views.insert(key, write.row.as_ref());
        }
        for id in &unit.revived {
            let again = unit.dead_letters.iter().any(|d| d.id == *id);
            if !again {
                self.revived.push(*id);
            }
            self.dead_letters.retain(|d| d.id != *id || again);
        }
        for letter in &unit.dead_letters {
            match self.dead_letters.iter_mut().find(|d| d.id == letter.id) {
                Some(parked) => *parked = letter,
                None => self.dead_letters.push(letter),
            }
        }
        self.units.push(unit);
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.units.iter().all(|u| u.is_empty())
            && self.cursors.is_empty()
            && self.trim.is_none()
            && self.forget.inbox.is_empty()
            && self.forget.sagas.is_empty()
    }

    fn writes(&self) -> impl Iterator<Item = (&'a UnitOfWork, &'a Write)> {
        let units = self.units.iter();
        units.flat_map(|unit| unit.writes.iter().map(|write| (*unit, write)))
    }
}

/// The statements that write the changes.
pub(super) fn script(changes: &Changes<'_>, s: &mut Script<()>) {
    streams(changes, s);
    consumers(changes, s);
    outbox(changes, s);
    sagas(changes, s);
    timers(changes, s);
    views(changes, s);
    claims(changes, s);
    dead_letters(changes, s);
    forget(changes, s);
}

/// The rows that fill up a `VALUES` have no first column.
const REAL: &str = " WHERE column1 IS NOT NULL";

fn streams(changes: &Changes<'_>, s: &mut Script<()>) {
    let writes: Vec<_> = changes.writes().collect();
    s.rows(
        (),
        "INSERT INTO minos_heads SELECT * FROM ",
        7,
        " WHERE column1 IS NOT NULL ON CONFLICT (aggregate, id) DO UPDATE SET \
         version = excluded.version, tail = excluded.tail, state = excluded.state, \
         updated_at = excluded.updated_at",
        &writes,
        |s, (unit, write)| {
            let at = unit.at.timestamp_micros();
            s.text(&write.stream.aggregate).id(write.stream.id);
            // A unit without events never gets here.
            if let Some(reached) = write.reached() {
                s.number(reached.version).id(reached.tail);
            }
            match &write.state {
                Some(state) => s.json(state),
                None => s.bind(None::<String>),
            };
            s.bind(at).bind(at);
        },
    );
    let events: Vec<(&UnitOfWork, &Write, u64, &NewEvent)> = writes
        .iter()
        .flat_map(|(unit, write)| {
            let first = write.expected.map_or(0, |g| g.version) + 1;
            let events = (first..).zip(&write.events);
            events.map(move |(version, event)| (*unit, *write, version, event))
        })
        .collect();
    s.rows(
        (),
        "INSERT INTO minos_events (id, aggregate, stream, version, name, payload, headers, at) SELECT * FROM ",
        8,
        REAL,
        &events,
        |s, (unit, write, version, event)| {
            s.id(event.id);
            s.text(&write.stream.aggregate).id(write.stream.id);
            s.number(*version).text(&event.name).json(&event.payload);
            bind_serialized(s, &event.headers);
            s.bind(unit.at.timestamp_micros());
        },
    );
}

fn consumers(changes: &Changes<'_>, s: &mut Script<()>) {
    let units = changes.units.iter();
    let inbox: Vec<_> = units
        .filter_map(|unit| Some((*unit, unit.inbox.as_ref()?)))
        .collect();
    s.rows(
        (),
        "INSERT INTO minos_inbox SELECT * FROM ",
        6,
        REAL,
        &inbox,
        |s, (unit, inbox)| {
            s.text(&inbox.consumer).id(inbox.message).id(unit.id);
            bind_outcome(s, inbox.outcome.as_ref());
            s.bind(unit.at.timestamp_micros());
        },
    );
    let units = changes.units.iter();
    let marks: Vec<_> = units
        .flat_map(|unit| unit.marks.iter().map(|mark| (*unit, mark)))
        .collect();
    s.rows(
        (),
        "INSERT INTO minos_marks SELECT * FROM ",
        6,
        " WHERE column1 IS NOT NULL ON CONFLICT (consumer, aggregate, stream) DO UPDATE SET \
         version = excluded.version, tail = excluded.tail, unit = excluded.unit",
        &marks,
        |s, (unit, mark)| {
            s.text(&mark.consumer);
            s.text(&mark.stream.aggregate).id(mark.stream.id);
            s.number(mark.reached.version).id(mark.reached.tail);
            s.id(unit.id);
        },
    );
    let mut cursors: Vec<_> = changes.cursors.iter().collect();
    cursors.sort_unstable_by_key(|(name, _)| **name);
    s.rows(
        (),
        "INSERT INTO minos_cursors SELECT * FROM ",
        5,
        " WHERE column1 IS NOT NULL ON CONFLICT (name) DO UPDATE SET \
         epoch = excluded.epoch, xid = excluded.xid, position = excluded.position, \
         fence = excluded.fence",
        &cursors,
        |s, (name, cursor)| {
            let at = cursor.position;
            s.text(name).bind(at.epoch).bind(at.xid).bind(at.row);
            s.bind(cursor.fence);
        },
    );
    let units = changes.units.iter();
    let traces: Vec<_> = units.filter(|u| leaves_no_trace(u)).collect();
    if let Some(last) = traces.iter().map(|u| u.at).max() {
        s.statement((), "DELETE FROM minos_units WHERE at < ?");
        s.bind(forgotten(last).timestamp_micros());
    }
    s.rows(
        (),
        "INSERT INTO minos_units SELECT * FROM ",
        2,
        REAL,
        &traces,
        |s, unit| {
            s.id(unit.id).bind(unit.at.timestamp_micros());
        },
    );
}

fn outbox(changes: &Changes<'_>, s: &mut Script<()>) {
    if let Some(upto) = changes.trim {
        s.statement((), "DELETE FROM minos_outbox WHERE position <= ?");
        s.bind(upto);
    }
    let messages: Vec<_> = changes.units.iter().flat_map(|u| &u.outbox).collect();
    s.rows(
        (),
        "INSERT INTO minos_outbox (envelope, payload) SELECT * FROM ",
        2,
        REAL,
        &messages,
        |s, message| bind_message(s, message),
    );
}

fn sagas(changes: &Changes<'_>, s: &mut Script<()>) {
    let sagas: Vec<_> = changes.units.iter().flat_map(|u| &u.sagas).collect();
    s.rows(
        (),
        "INSERT INTO minos_sagas SELECT * FROM ",
        8,
        " WHERE column1 IS NOT NULL ON CONFLICT (id) DO UPDATE SET \
         name = excluded.name, version = excluded.version, status = excluded.status, \
         due_at = excluded.due_at, updated_at = excluded.updated_at, body = excluded.body",
        &sagas,
        |s, (saga, _)| {
            s.id(saga.id).text(&saga.name).number(saga.version);
            s.text(&saga.status);
            s.bind(saga.due_at.map(|due| due.timestamp_micros()));
            s.bind(saga.created_at.timestamp_micros());
            s.bind(saga.updated_at.timestamp_micros());
            s.json(&saga.body);
        },
    );
    let entries: Vec<_> = sagas
        .iter()
        .flat_map(|(saga, entries)| {
            let entries = (0_i64..).zip(entries);
            entries.map(move |(n, entry)| (saga, n, entry))
        })
        .collect();
    s.rows(
        (),
        "INSERT INTO minos_saga_history SELECT * FROM ",
        4,
        REAL,
        &entries,
        |s, (saga, n, entry)| {
            s.id(saga.id).number(saga.version).bind(*n).json(entry);
        },
    );
}

fn timers(changes: &Changes<'_>, s: &mut Script<()>) {
    let all = changes.timers.iter();
    let fired: Vec<_> = all
        .filter(|(_, timer)| timer.is_none())
        .map(|(id, _)| *id)
        .collect();
    let delete = "DELETE FROM minos_timers WHERE id IN ";
    s.rows((), delete, 1, "", &fired, |s, id| {
        s.id(*id);
    });
    let set: Vec<_> = changes.timers.values().flatten().collect();
    s.rows(
        (),
        "INSERT INTO minos_timers SELECT * FROM ",
        4,
        " WHERE column1 IS NOT NULL ON CONFLICT (id) DO UPDATE SET \
         due_at = excluded.due_at, envelope = excluded.envelope, payload = excluded.payload",
        &set,
        |s, timer| {
            s.id(timer.id).bind(timer.due_at.timestamp_micros());
            bind_message(s, &timer.message);
        },
    );
}

fn views(changes: &Changes<'_>, s: &mut Script<()>) {
    let all = changes.views.iter();
    let gone: Vec<_> = all.filter(|(_, row)| row.is_none()).collect();
    s.rows(
        (),
        "DELETE FROM minos_views WHERE (view, key) IN ",
        2,
        "",
        &gone,
        |s, ((view, key), _)| {
            s.text(view).text(key);
        },
    );
    let all = changes.views.iter();
    let there: Vec<_> = all.filter_map(|(key, row)| Some((key, (*row)?))).collect();
    s.rows(
        (),
        "INSERT INTO minos_views SELECT * FROM ",
        3,
        " WHERE column1 IS NOT NULL ON CONFLICT (view, key) DO UPDATE SET \
         body = excluded.body",
        &there,
        |s, ((view, key), row)| {
            s.text(view).text(key).json(row);
        },
    );
}

fn claims(changes: &Changes<'_>, s: &mut Script<()>) {
    let all = changes.claims.iter();
    let free: Vec<_> = all.filter(|(_, holder)| holder.is_none()).collect();
    let bind = |s: &mut Script<()>, key: &ClaimKey| {
        s.text(&key.aggregate).text(&key.field).text(&key.value);
    };
    s.rows(
        (),
        "DELETE FROM minos_claims WHERE (aggregate, field, value) IN ",
        3,
        "",
        &free,
        |s, (key, _)| bind(s, key),
    );
    let all = changes.claims.iter();
    let held: Vec<_> = all
        .filter_map(|(key, holder)| Some((key, (*holder)?)))
        .collect();
    s.rows(
        (),
        "INSERT INTO minos_claims SELECT * FROM ",
        4,
        " WHERE column1 IS NOT NULL ON CONFLICT (aggregate, field, value) DO UPDATE SET \
         id = excluded.id",
        &held,
        |s, (key, holder)| {
            bind(s, key);
            s.id(*holder);
        },
    );
}

fn dead_letters(changes: &Changes<'_>, s: &mut Script<()>) {
    let delete = "DELETE FROM minos_dead_letters WHERE id IN ";
    s.rows((), delete, 1, "", &changes.revived, |s, id| {
        s.id(*id);
    });
    s.rows(
        (),
        "INSERT INTO minos_dead_letters (id, consumer, key, error, attempts, at, envelope, payload, version, reason, details, bytes) SELECT * FROM ",
        12,
        " WHERE column1 IS NOT NULL ON CONFLICT (id) DO UPDATE SET \
         consumer = excluded.consumer, key = excluded.key, error = excluded.error, \
         attempts = excluded.attempts, at = excluded.at, envelope = excluded.envelope, \
         payload = excluded.payload, version = excluded.version, reason = excluded.reason, \
         details = excluded.details, bytes = excluded.bytes",
        &changes.dead_letters,
        |s, letter| {
            s.id(letter.id).text(&letter.consumer).text(&letter.key);
            s.text(&letter.error).bind(i64::from(letter.attempts));
            s.bind(letter.at.timestamp_micros());
            bind_message(s, &letter.message);
            match letter.version() {
                Some(version) => s.number(version),
                None => s.bind(None::<i64>),
            };
            s.text(letter.reason.as_str());
            bind_serialized(s, &Details::of(letter));
            s.bind(letter.bytes.clone());
        },
    );
}

/// Deletes what is forgotten.
fn forget(changes: &Changes<'_>, s: &mut Script<()>) {
    let delete = "DELETE FROM minos_inbox WHERE (consumer, message) IN ";
    s.rows(
        (),
        delete,
        2,
        "",
        &changes.forget.inbox,
        |s, (consumer, message)| {
            s.text(consumer).id(*message);
        },
    );
    for table in ["minos_saga_history WHERE saga", "minos_sagas WHERE id"] {
        let delete = format!("DELETE FROM {table} IN ");
        s.rows((), &delete, 1, "", &changes.forget.sagas, |s, id| {
            s.id(*id);
        });
    }
}

/// The keys of rows that are old.
#[derive(Debug, Default)]
pub(super) struct Forget {
    pub(super) inbox: Vec<(String, Uuid)>,
    pub(super) sagas: Vec<Uuid>,
}
