//! What a unit of work has read and staged.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    error::{Error, Kind, Result},
    message::Message,
    payload::Payload,
    store::{
        Claim, Find, Guard, Head, NewEvent, SagaRow, StreamId, Timer, UnitOfWork, ViewWrite, Write,
    },
};

/// An aggregate as a unit of work sees it.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) version: u64,
    /// [`None`] once deleted.
    pub(crate) state: Option<Payload>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

impl From<Head> for Snapshot {
    fn from(head: Head) -> Self {
        Self {
            version: head.guard.version,
            state: head.state,
            created_at: head.created_at,
            updated_at: head.updated_at,
        }
    }
}

/// One aggregate in the identity map.
#[derive(Debug)]
struct Tracked {
    /// What was read; [`None`] if it did not exist.
    base: Option<Guard>,
    now: Option<Snapshot>,
    events: Vec<NewEvent>,
    claims: Vec<Claim>,
}

impl Tracked {
    /// Where the aggregate stands once this is committed.
    fn makes(&self) -> Option<Head> {
        let now = self.now.clone()?;
        Some(Head {
            guard: Guard {
                version: now.version,
                tail: self.events.last()?.id,
            },
            state: now.state,
            created_at: now.created_at,
            updated_at: now.updated_at,
        })
    }
}

/// The effects of a unit of work, until they are committed.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    // Ordered: the same handler stages the same unit in the same order.
    aggregates: BTreeMap<StreamId, Tracked>,
    pub(crate) outbox: Vec<Message>,
    pub(crate) sagas: Vec<(SagaRow, Vec<Payload>)>,
    pub(crate) timers: Vec<Timer>,
    pub(crate) views: Vec<ViewWrite>,
}

impl Staged {
    /// What is known of an aggregate; [`None`] if it was not read yet.
    pub(crate) fn known(&self, stream: &StreamId) -> Option<Option<Snapshot>> {
        self.aggregates.get(stream).map(|t| t.now.clone())
    }

    /// Remembers what was read. What a joined look-up read or staged first stays.
    pub(crate) fn loaded(&mut self, stream: &StreamId, head: Option<Head>) -> Option<Snapshot> {
        let tracked = self
            .aggregates
            .entry(stream.clone())
            .or_insert_with(|| Tracked {
                base: head.as_ref().map(|h| h.guard),
                now: head.map(Snapshot::from),
                events: Vec::new(),
                claims: Vec::new(),
            });
        tracked.now.clone()
    }

    /// How many aggregates of this kind have staged events.
    pub(crate) fn changed(&self, aggregate: &str) -> usize {
        let changed = |(stream, tracked): &(&StreamId, &Tracked)| {
            stream.aggregate == aggregate && !tracked.events.is_empty()
        };
        self.aggregates.iter().filter(changed).count()
    }

    /// The answer to a search: what was found, as this unit of work sees it. What is staged may enter or leave, so
    /// the answer is ordered and cut again. What remains is guarded like any read.
    pub(crate) fn found(&mut self, find: &Find, found: Vec<(Uuid, Head)>) -> Vec<(Uuid, Snapshot)> {
        let mut all: BTreeMap<Uuid, (Snapshot, Option<Head>)> = BTreeMap::new();
        for (id, head) in found {
            all.insert(id, (head.clone().into(), Some(head)));
        }
        for (stream, tracked) in self
            .aggregates
            .iter()
            .filter(|(s, _)| s.aggregate == find.of)
        {
            match &tracked.now {
                Some(now) if all.contains_key(&stream.id) || !tracked.events.is_empty() => {
                    all.insert(stream.id, (now.clone(), None));
                }
                _ => {}
            }
        }
        let mut rows: Vec<(Uuid, serde_json::Value, Snapshot, Option<Head>)> = all
            .into_iter()
            .filter_map(|(id, (now, head))| {
                let row = now.state.as_ref()?.decode::<serde_json::Value>().ok()?;
                find.condition.holds(&row).then_some((id, row, now, head))
            })
            .collect();
        rows.sort_by(|a, b| find.compare((&a.0, &a.1), (&b.0, &b.1)));
        let (skip, take) = (find.offset as usize, find.limit as usize);
        let rows = rows.into_iter().skip(skip).take(take);
        rows.map(|(id, _, now, head)| {
            if let Some(head) = head {
                self.loaded(&StreamId::new(find.of.clone(), id), Some(head));
            }
            (id, now)
        })
        .collect()
    }

    /// Stages an event of an aggregate that the caller saw at `version`.
    pub(crate) fn event(
        &mut self,
        stream: &StreamId,
        version: u64,
        at: DateTime<Utc>,
        event: NewEvent,
        state: Option<Payload>,
        claims: Vec<Claim>,
    ) -> Result<()> {
        let tracked = self
            .aggregates
            .entry(stream.clone())
            .or_insert_with(|| Tracked {
                base: None,
                now: None,
                events: Vec::new(),
                claims: Vec::new(),
            });
        let (current, alive) = match &tracked.now {
            Some(now) => (now.version, now.state.is_some()),
            None => (0, version == 0),
        };
        if current != version || !alive {
            return Err(Error::new(
                Kind::Conflict,
                format!(
                    "{stream} changed in this unit of work through another `Root` (it stands at version \
                     {current}, this one at {version}); call `refresh(cx)` on this one first"
                ),
            ));
        }
        let created_at = tracked.now.as_ref().map_or(at, |now| now.created_at);
        tracked.now = Some(Snapshot {
            version: version + 1,
            state,
            created_at,
            updated_at: at,
        });
        tracked.events.push(event);
        for claim in claims {
            tracked.claims.retain(|c| c.field != claim.field);
            tracked.claims.push(claim);
        }
        Ok(())
    }

    /// The unit, and what it makes of the last aggregate that it writes.
    pub(crate) fn into_unit(self, id: Uuid, at: DateTime<Utc>) -> (UnitOfWork, Option<Head>) {
        let mut unit = UnitOfWork::new(id, at);
        let mut makes = None;
        for (stream, tracked) in self.aggregates {
            if tracked.events.is_empty() {
                unit.reads.push((stream, tracked.base));
            } else {
                makes = tracked.makes();
                unit.writes.push(Write {
                    stream,
                    expected: tracked.base,
                    events: tracked.events,
                    state: tracked.now.and_then(|now| now.state),
                    claims: tracked.claims,
                });
            }
        }
        unit.outbox = self.outbox;
        unit.sagas = self.sagas;
        unit.timers = self.timers;
        unit.views = self.views;
        (unit, makes)
    }
}
