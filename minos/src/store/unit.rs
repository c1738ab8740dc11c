//! What is committed at once.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{DeadLetter, Error, Guard, Result, SagaRow, StreamId};
use crate::{
    message::{Headers, Message, Outcome},
    payload::Payload,
};

/// Everything that one handler did, to be committed at once or not at all.
///
/// Submitting the same unit (the same ids) a second time changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitOfWork {
    /// Its id.
    pub id: Uuid,
    /// Its time.
    pub at: DateTime<Utc>,
    /// The message that it handles.
    pub inbox: Option<InboxMark>,
    /// The event that it handles: the consumer's new mark.
    pub marks: Vec<Mark>,
    /// The aggregates that it read but did not change; [`None`] for one that did not exist.
    pub reads: Vec<(StreamId, Option<Guard>)>,
    /// The aggregates that it changed; at most one entry each.
    pub writes: Vec<Write>,
    /// The messages that it sends.
    pub outbox: Vec<Message>,
    /// The sagas that it starts or moves.
    pub sagas: Vec<(SagaRow, Vec<Payload>)>,
    /// The timers that it sets.
    pub timers: Vec<Timer>,
    /// The timers that it takes because they are due.
    pub fired: Vec<Uuid>,
    /// The rows of views that it changes.
    pub views: Vec<ViewWrite>,
    /// The messages that it parks.
    pub dead_letters: Vec<DeadLetter>,
    /// The parked messages that it takes back. One that is parked again by the same unit keeps its place.
    pub revived: Vec<Uuid>,
}

impl UnitOfWork {
    /// A unit that does nothing yet.
    #[must_use]
    pub fn new(id: Uuid, at: DateTime<Utc>) -> Self {
        Self {
            id,
            at,
            inbox: None,
            marks: Vec::new(),
            reads: Vec::new(),
            writes: Vec::new(),
            outbox: Vec::new(),
            sagas: Vec::new(),
            timers: Vec::new(),
            fired: Vec::new(),
            views: Vec::new(),
            dead_letters: Vec::new(),
            revived: Vec::new(),
        }
    }

    /// Whether committing it would change anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inbox.is_none()
            && self.marks.is_empty()
            && self.writes.is_empty()
            && self.outbox.is_empty()
            && self.sagas.is_empty()
            && self.timers.is_empty()
            && self.fired.is_empty()
            && self.views.is_empty()
            && self.dead_letters.is_empty()
            && self.revived.is_empty()
    }

    /// Refuses what no handler can have meant: every backend checks a unit against what is stored before it, so one
    /// row must not be written twice by one unit.
    pub(super) fn validate(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::Backend(why.into()));
        for (at, write) in self.writes.iter().enumerate() {
            if write.events.is_empty() {
                return refuse(format!("a write of {} without an event", write.stream));
            }
            if self.writes[..at].iter().any(|w| w.stream == write.stream) {
                return refuse(format!("two writes of {} in one unit", write.stream));
            }
        }
        for (at, mark) in self.marks.iter().enumerate() {
            let same = |m: &Mark| m.consumer == mark.consumer && m.stream == mark.stream;
            if self.marks[..at].iter().any(same) {
                return refuse(format!("two marks of {} in one unit", mark.stream));
            }
        }
        for (at, (saga, _)) in self.sagas.iter().enumerate() {
            if self.sagas[..at].iter().any(|(s, _)| s.id == saga.id) {
                return refuse(format!("two transitions of saga {} in one unit", saga.id));
            }
        }
        Ok(())
    }
}

/// The inbox row of the message that a unit handles.
#[derive(Debug, Clone, PartialEq)]
pub struct InboxMark {
    /// Who handles it.
    pub consumer: String,
    /// The message.
    pub message: Uuid,
    /// How it ended, to be told again if the message comes again.
    pub outcome: Option<Outcome>,
}

/// The new mark of a consumer of events in one stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Whose mark.
    pub consumer: String,
    /// In which stream.
    pub stream: StreamId,
    /// Where it must stand now; [`None`] for "nowhere yet".
    pub expected: Option<Guard>,
    /// Where it stands then.
    pub reached: Guard,
}

/// The new events of one aggregate.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// Which aggregate.
    pub stream: StreamId,
    /// What the decision was based on; [`None`] for a new aggregate.
    pub expected: Option<Guard>,
    /// What happened; at least one.
    pub events: Vec<NewEvent>,
    /// The state after them; [`None`] once deleted.
    pub state: Option<Payload>,
    /// The unique values that changed.
    pub claims: Vec<Claim>,
}

impl Write {
    /// Where the stream stands after this.
    #[must_use]
    pub fn reached(&self) -> Option<Guard> {
        let before = self.expected.map_or(0, |g| g.version);
        let version = before + self.events.len() as u64;
        self.events.last().map(|e| Guard {
            version,
            tail: e.id,
        })
    }
}

/// An event that is not in the log yet.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Its id.
    pub id: Uuid,
    /// Its name, such as `FooCreated`.
    pub name: String,
    /// What happened.
    pub payload: Payload,
    /// Cause, correlation, and user.
    pub headers: Headers,
}

/// The value that an aggregate claims for a unique field.
///
/// Claiming gives up the value that the aggregate held for the field; deleting the aggregate gives up all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The field.
    pub field: String,
    /// The value as JSON; [`None`] gives the old one up.
    pub value: Option<String>,
}

/// A message that leaves at its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Timer {
    /// Its id.
    pub id: Uuid,
    /// When.
    pub due_at: DateTime<Utc>,
    /// What.
    pub message: Message,
}

/// A change of one row of a view.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewWrite {
    /// Which view.
    pub view: String,
    /// Which row.
    pub key: String,
    /// The new row; [`None`] removes it.
    pub row: Option<Payload>,
}
