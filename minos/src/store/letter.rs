//! Messages that are beyond help, or that queue behind one.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Position;
use crate::message::{Kind, Message, Origin};

/// A parked message.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// Its id.
    pub id: Uuid,
    /// Who could not handle it: the handler for events (`FooQueryService.foo_created`), their impl block for those that
    /// could not be handed out (`FooQueryService`), `relay`, `sagas`, otherwise the service.
    pub consumer: String,
    /// The key whose messages are parked with it: `Foo/<uuid>` for the events of an aggregate.
    pub key: String,
    /// The message. For bytes that are none it says only where they came from, and shows them as text.
    pub message: Message,
    /// Why it is here.
    pub reason: Reason,
    /// The last error, in words for an operator.
    pub error: String,
    /// How often it was tried; zero for one that only queues behind another.
    pub attempts: u32,
    /// When it was parked.
    pub at: DateTime<Utc>,
    /// Where it came from, unless it came from the own log.
    pub origin: Option<Origin>,
    /// The last tries, the oldest first.
    pub history: Vec<Trial>,
    /// The bytes that are no message.
    pub bytes: Option<Vec<u8>>,
}

/// One try that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// When.
    pub at: DateTime<Utc>,
    /// Why it failed.
    pub error: String,
}

/// Why a message is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Its handler failed, as often as it was tried.
    Failed,
    /// It was not tried: an earlier one of its key is parked.
    Behind,
    /// Events before it are missing.
    Gap,
    /// Another event has its version.
    Fork,
    /// Nobody here handles it.
    Unhandled,
    /// It is older than what the inbox remembers, so nobody knows whether it was handled.
    Expired,
    /// Its bytes are no message.
    Undecodable,
    /// It could not be published.
    Unpublished,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Failed,
        Self::Behind,
        Self::Gap,
        Self::Fork,
        Self::Unhandled,
        Self::Expired,
        Self::Undecodable,
        Self::Unpublished,
    ];

    /// Its name, as it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Behind => "behind",
            Self::Gap => "gap",
            Self::Fork => "fork",
            Self::Unhandled => "unhandled",
            Self::Expired => "expired",
            Self::Undecodable => "undecodable",
            Self::Unpublished => "unpublished",
        }
    }

    /// The reason of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which dead letters are meant: those that fit all that is said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LetterFilter {
    /// Parked for this consumer.
    pub consumer: Option<String>,
    /// Parked with this key, such as `Foo/<uuid>`.
    pub key: Option<String>,
    /// Of this kind of message.
    pub kind: Option<Kind>,
    /// Messages of this name, such as `FooCreated`.
    pub name: Option<String>,
    /// Of this topic: for events the aggregate.
    pub topic: Option<String>,
    /// Parked for this reason.
    pub reason: Option<Reason>,
    /// Parked at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Parked before this time.
    pub until: Option<DateTime<Utc>>,
    /// Behind this place in the queue: that of the last one of the page before.
    pub after: Position,
    /// At most so many.
    pub limit: u32,
}

impl LetterFilter {
    /// All of them, at most so many.
    #[must_use]
    pub fn all(limit: u32) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// All of one consumer, at most so many.
    #[must_use]
    pub fn of(consumer: impl Into<String>, limit: u32) -> Self {
        Self {
            consumer: Some(consumer.into()),
            limit,
            ..Self::default()
        }
    }

    /// Whether a letter is meant, wherever it stands.
    #[must_use]
    pub fn fits(&self, letter: &DeadLetter) -> bool {
        fn is<T: PartialEq<U>, U>(wanted: &Option<T>, own: &U) -> bool {
            wanted.as_ref().is_none_or(|w| w == own)
        }
        is(&self.consumer, &letter.consumer)
            && is(&self.key, &letter.key)
            && is(&self.kind, &letter.message.kind)
            && is(&self.name, &letter.message.name)
            && is(&self.topic, &letter.message.topic)
            && is(&self.reason, &letter.reason)
            && self.since.is_none_or(|since| letter.at >= since)
            && self.until.is_none_or(|until| letter.at < until)
    }
}

impl DeadLetter {
    /// The version of the event, by which the letters of one key are in order.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        self.message.headers.version
    }
}

/// What a backend keeps of a letter as JSON text, beside the columns that it looks for.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Details<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<Cow<'a, Origin>>,
    #[serde(default)]
    pub(super) history: Cow<'a, [Trial]>,
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl<'a> Details<'a> {
    pub(super) fn of(letter: &'a DeadLetter) -> Self {
        Self {
            origin: letter.origin.as_ref().map(Cow::Borrowed),
            history: Cow::Borrowed(&letter.history),
        }
    }
}
