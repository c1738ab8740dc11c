//! One event for one impl block: where it stands to what the block has seen, and what waits there.

use super::{
    handle::{Handler, Incoming},
    park::Tries,
    react::readers,
    revive::waits,
};
use crate::{
    enroute::{Handlers, Role},
    error::Result,
    message::Message,
    store::{self, Guard, InboxMark, Mark, Reason, StreamId, UnitOfWork},
};

/// Where an event stands to what its impl block has seen.
#[derive(Debug)]
pub(super) enum Stands {
    /// It was seen.
    Seen,
    /// Another event has its version.
    Forked,
    /// It is the next one.
    Next(Mark),
    /// Others before it are missing; the mark would jump over them.
    Ahead(Mark),
}

/// What marks a message as handled.
#[derive(Debug, Clone)]
pub(super) enum Seal {
    Mark(Mark),
    Inbox(InboxMark),
}

impl Seal {
    pub(super) fn put(self, unit: &mut UnitOfWork) {
        match self {
            Seal::Mark(mark) => unit.marks.push(mark),
            Seal::Inbox(mark) => unit.inbox = Some(mark),
        }
    }
}

impl Handler {
    /// Hands an event to one impl block. Its mark says which events of an aggregate it has seen: all that is seen is
    /// with its handlers, done or parked.
    ///
    /// # Errors
    /// If the store fails; the event must come again.
    pub(crate) async fn event(&self, handlers: &Handlers, incoming: Incoming<'_>) -> Result<()> {
        let (block, message) = (handlers.name, incoming.message);
        let Some((stream, reached)) = subject(message) else {
            return self.hand_out(handlers, incoming, None).await;
        };
        let key = stream.to_string();
        let store = &self.core.store;
        // The mark first: whoever parks after the look for letters moves it, and what was decided here is refused.
        let mark = store.mark(block, &stream).await?;
        let first = store.first_parked(block, &key).await?;
        // The log itself is complete, so a view that begins in the middle of a stream missed nothing.
        let complete = incoming.origin.is_none();
        let (reason, why, seal) = match stands(handlers, (&stream, reached), mark, complete) {
            Stands::Seen => {
                // Whoever saw it may have died before what waited for it, in the block or in one of its handlers.
                if first.as_ref().is_some_and(waits) {
                    self.drain_block(handlers, &key).await?;
                }
                for route in readers(handlers, &message.topic) {
                    self.drain_handler(handlers, route, &key).await?;
                }
                return Ok(());
            }
            Stands::Forked => {
                let why = format!(
                    "two events claim version {} of {stream}: the log was forked",
                    reached.version
                );
                (Reason::Fork, why, parked_once(block, message))
            }
            // The mark stays: what is missing may still come.
            Stands::Ahead(step) => {
                let why = format!(
                    "versions {}..{} of {stream} are missing",
                    step.expected.map_or(0, |m| m.version) + 1,
                    reached.version
                );
                (Reason::Gap, why, parked_once(block, message))
            }
            Stands::Next(step) => match &first {
                Some(first) if first.message.id == message.id => {
                    return self.drain_block(handlers, &key).await.map(drop);
                }
                Some(first) if first.version() <= Some(reached.version) => {
                    let why = "it queues behind a parked event".to_owned();
                    (Reason::Behind, why, Seal::Mark(step))
                }
                _ => {
                    self.hand_out(handlers, incoming, Some(step)).await?;
                    // It may be what others waited for.
                    if first.is_some() {
                        self.drain_block(handlers, &key).await?;
                    }
                    return Ok(());
                }
            },
        };
        self.park(block, incoming, reason, Tries::none(why), seal)
            .await?;
        // What it queues behind may have left in the meantime.
        self.drain_block(handlers, &key).await.map(drop)
    }
}

/// Where an event stands to its consumer's mark.
pub(super) fn stands(
    handlers: &Handlers,
    (stream, reached): (&StreamId, Guard),
    mark: Option<Guard>,
    complete: bool,
) -> Stands {
    let seen = mark.map_or(0, |m| m.version);
    if reached.version <= seen {
        return match mark {
            Some(m) if m.version == reached.version && m.tail != reached.tail => Stands::Forked,
            _ => Stands::Seen,
        };
    }
    let step = Mark {
        consumer: handlers.name.to_owned(),
        stream: stream.clone(),
        expected: mark,
        reached,
    };
    let from_the_middle = mark.is_none() && (complete || handlers.role == Role::Command);
    if reached.version == seen + 1 || from_the_middle {
        Stands::Next(step)
    } else {
        Stands::Ahead(step)
    }
}

/// Which aggregate an event is of, and where it takes it.
pub(super) fn subject(message: &Message) -> Option<(StreamId, Guard)> {
    let (id, version) = (message.headers.stream?, message.headers.version?);
    Some((
        StreamId::new(message.topic.clone(), id),
        Guard {
            version,
            tail: message.id,
        },
    ))
}

/// The inbox row of a message that is parked and nothing else: it is not parked again when it comes again.
pub(super) fn parked_once(consumer: &str, message: &Message) -> Seal {
    Seal::Inbox(InboxMark {
        consumer: format!("parked:{consumer}"),
        message: message.id,
        outcome: None,
    })
}

/// Somebody else was faster, or it was there before: done either way.
pub(super) fn done(outcome: store::Result<()>) -> Result<()> {
    match outcome {
        Err(
            store::Error::Duplicate { .. }
            | store::Error::OutOfOrder { .. }
            | store::Error::Moved { .. },
        ) => Ok(()),
        other => Ok(other?),
    }
}
