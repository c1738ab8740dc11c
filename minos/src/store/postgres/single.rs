//! The commonest unit in one statement: one aggregate, one event, maybe an inbox row, maybe a message.
//!
//! All of it hangs on the head's row: without that row nothing is written, and `minos_commit` is asked why.

use sqlx::{error::BoxDynError, postgres::PgArguments};

use super::{
    names::Schema,
    rows::{envelope, status},
};
use crate::{clock::micros, store::UnitOfWork};

/// The statements, by what the unit has.
#[derive(Debug)]
pub(super) struct Statements([String; 8]);

/// Which of them: creates or changes, handles a message, sends one.
fn index(creates: bool, handles: bool, sends: bool) -> usize {
    usize::from(creates) | usize::from(handles) << 1 | usize::from(sends) << 2
}

impl Statements {
    pub(super) fn new(schema: &Schema) -> Self {
        let of = |n: usize| schema.sql(&text(n & 1 != 0, n & 2 != 0, n & 4 != 0));
        Self(std::array::from_fn(of))
    }

    /// The statement for a unit; [`None`] if it takes more than one.
    pub(super) fn of(&self, unit: &UnitOfWork) -> Option<&str> {
        let [write] = unit.writes.as_slice() else {
            return None;
        };
        let simple = write.events.len() == 1
            && write.state.is_some()
            && write.claims.is_empty()
            && unit.outbox.len() <= 1
            && unit.marks.is_empty()
            && unit.reads.is_empty()
            && unit.sagas.is_empty()
            && unit.timers.is_empty()
            && unit.fired.is_empty()
            && unit.views.is_empty()
            && unit.dead_letters.is_empty()
            && unit.revived.is_empty();
        let (handles, sends) = (unit.inbox.is_some(), !unit.outbox.is_empty());
        let n = index(write.expected.is_none(), handles, sends);
        simple.then_some(())?;
        self.0.get(n).map(String::as_str)
    }
}

/// The parameters of the head and its event; what else there is follows.
const FIRST: usize = 12;

fn text(creates: bool, handles: bool, sends: bool) -> String {
    // Stable: one number wherever it stands.
    let xid = "pg_current_xact_id()::text::bigint";
    let head = if creates {
        format!(
            "INSERT INTO minos_heads AS t (aggregate, id, version, tail, epoch, last_xid, state, created_at, updated_at) \
             VALUES ($1, $2, 1, $6, $12, {xid}, $7, $8, $8) ON CONFLICT DO NOTHING RETURNING t.last_xid AS xid"
        )
    } else {
        format!(
            "UPDATE minos_heads t SET version = $3 + 1, tail = $6, epoch = $12, last_xid = {xid}, state = $7, \
                updated_at = $8 \
             WHERE t.aggregate = $1 AND t.id = $2 AND t.version = $3 AND t.tail = $4 \
                AND (t.last_xid < {xid} OR t.epoch < $12) RETURNING t.last_xid AS xid"
        )
    };
    let mut next = FIRST;
    let mut parameter = || {
        next += 1;
        next
    };
    let mut inbox = String::new();
    if handles {
        let [a, b, c, d] = [parameter(), parameter(), parameter(), parameter()];
        inbox = format!(
            ", i AS (INSERT INTO minos_inbox (consumer, message, unit, status, payload, at) \
             SELECT ${a}, ${b}, $5, ${c}, ${d}, $8 FROM h)"
        );
    }
    let mut outbox = String::new();
    if sends {
        let [a, b] = [parameter(), parameter()];
        outbox = format!(
            ", o AS (INSERT INTO minos_outbox (epoch, xid, envelope, payload) \
             SELECT $12, h.xid, ${a}, ${b} FROM h)"
        );
    }
    format!(
        "WITH h AS ({head}){inbox}{outbox} \
         INSERT INTO minos_events (epoch, xid, id, aggregate, stream, version, name, payload, headers, at) \
         SELECT $12, h.xid, $6, $1, $2, $3 + 1, $9, $10, $11, $8 FROM h \
         RETURNING xid"
    )
}

/// The parameters of the statement.
pub(super) fn arguments(unit: &UnitOfWork, epoch: i64) -> Result<PgArguments, BoxDynError> {
    use sqlx::Arguments;
    let mut to = PgArguments::default();
    let Some((write, event)) = unit
        .writes
        .first()
        .and_then(|w| Some((w, w.events.first()?)))
    else {
        return Err("a unit without an event is no single statement".into());
    };
    let expected = write.expected;
    to.add(&write.stream.aggregate)?;
    to.add(write.stream.id)?;
    to.add(expected.map_or(0, |g| i64::try_from(g.version).unwrap_or(i64::MAX)))?;
    to.add(expected.map(|g| g.tail))?;
    to.add(unit.id)?;
    to.add(event.id)?;
    to.add(write.state.as_ref().map(|s| s.as_str()))?;
    to.add(micros(unit.at))?;
    to.add(&event.name)?;
    to.add(event.payload.as_str())?;
    to.add(serde_json::to_string(&event.headers)?)?;
    to.add(epoch)?;
    if let Some(inbox) = &unit.inbox {
        let outcome = inbox.outcome.as_ref();
        to.add(&inbox.consumer)?;
        to.add(inbox.message)?;
        to.add(outcome.map(|o| status(o.status)))?;
        to.add(outcome.map(|o| o.payload.as_str()))?;
    }
    for message in &unit.outbox {
        to.add(envelope(message)?)?;
        to.add(message.payload.as_str())?;
    }
    Ok(to)
}
