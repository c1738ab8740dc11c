//! The events of aggregates as handlers read them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Subject;

/// Which aggregate an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventMeta {
    /// The aggregate's id.
    pub uuid: Uuid,
    /// The aggregate's version after the event.
    pub version: u64,
    /// When it happened.
    pub at: DateTime<Utc>,
}

/// An aggregate was created.
#[derive(Debug, Clone, PartialEq)]
pub struct Created<A: Subject> {
    /// Which, at which version, when.
    pub meta: EventMeta,
    /// Its first state.
    pub state: A,
}

/// An aggregate changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Updated<A: Subject> {
    /// Which, at which version, when.
    pub meta: EventMeta,
    /// The changed fields, the others are [`None`].
    pub diff: A::Diff,
}

/// An aggregate was deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct Deleted<A: Subject> {
    /// Which, at which version, when.
    pub meta: EventMeta,
    of: std::marker::PhantomData<fn() -> A>,
}

macro_rules! meta {
    ($($event:ident),*) => { $(impl<A: Subject> $event<A> {
        /// The aggregate's id.
        pub fn uuid(&self) -> Uuid {
            self.meta.uuid
        }

        /// The aggregate's version after the event.
        pub fn version(&self) -> u64 {
            self.meta.version
        }

        /// When it happened.
        pub fn at(&self) -> DateTime<Utc> {
            self.meta.at
        }
    })* };
}
meta!(Created, Updated, Deleted);

impl<A: Subject> Deleted<A> {
    pub(crate) fn new(meta: EventMeta) -> Self {
        Self {
            meta,
            of: std::marker::PhantomData,
        }
    }
}
