//! One event for one impl block: its mark, its handlers, and what waits behind it.

use tokio::time::Instant;

use super::{
    handle::{Handler, Incoming, origin, raw},
    park::Tries,
};
use crate::{
    context::{Call, Job, run},
    enroute::{Answer, Door, Handlers, Raw, Role},
    error::{Error, Failure, Kind, Result},
    message::Message,
    store::{self, Guard, InboxMark, Mark, Reason, StreamId, UnitOfWork},
};

/// Where an event stands to what its consumer has seen.
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
    /// Hands an event to one impl block.
    ///
    /// # Errors
    /// If the store fails; the event must come again.
    pub(crate) async fn event(&self, handlers: &Handlers, incoming: Incoming<'_>) -> Result<()> {
        let (consumer, message) = (handlers.name, incoming.message);
        let Some((stream, reached)) = subject(message) else {
            return self.loose_event(handlers, incoming).await;
        };
        let store = &self.core.store;
        let mark = store.mark(consumer, &stream).await?;
        // The log itself is complete, so a view that begins in the middle of a stream missed nothing.
        let complete = incoming.origin.is_none();
        let stands = stands(handlers, (&stream, reached), mark, complete);
        let (reason, why, step) = match stands {
            Stands::Seen => return Ok(()),
            Stands::Forked => {
                let why = format!(
                    "two events claim version {} of {stream}: the log was forked",
                    reached.version
                );
                (Reason::Fork, why, None)
            }
            Stands::Next(step) => {
                let first = store.first_parked(consumer, &stream.to_string()).await?;
                if first.is_none() {
                    return self.first_run(handlers, incoming, step).await;
                }
                let why = "it queues behind a parked event".to_owned();
                (Reason::Behind, why, Some(step))
            }
            // The mark stays: what is missing may still come.
            Stands::Ahead(step) => {
                let seen = step.expected.map_or(0, |m| m.version);
                let why = format!(
                    "versions {}..{} of {stream} are missing",
                    seen + 1,
                    reached.version
                );
                (Reason::Gap, why, None)
            }
        };
        let seal = match step {
            Some(step) => Seal::Mark(step),
            None => parked_once(consumer, message),
        };
        self.park(consumer, incoming, reason, Tries::none(why), seal)
            .await?;
        // What it queues behind may have left in the meantime, and it may be what others waited for.
        self.drain(handlers, &stream.to_string()).await
    }

    async fn first_run(
        &self,
        handlers: &Handlers,
        incoming: Incoming<'_>,
        step: Mark,
    ) -> Result<()> {
        let seal = Seal::Mark(step);
        let put = |unit: &mut UnitOfWork| seal.clone().put(unit);
        match self.react(handlers, incoming.message, put).await? {
            None => Ok(()),
            Some(tries) => {
                self.park(handlers.name, incoming, Reason::Failed, tries, seal)
                    .await
            }
        }
    }

    /// An event that belongs to no aggregate: the inbox knows it.
    async fn loose_event(&self, handlers: &Handlers, incoming: Incoming<'_>) -> Result<()> {
        let (consumer, message) = (handlers.name, incoming.message);
        let seen = self.core.store.inbox(consumer, message.id).await?;
        if seen.is_some() {
            return Ok(());
        }
        if self.is_forgotten(consumer, (message, message.id)).await? {
            return self.park_forgotten(consumer, incoming).await;
        }
        // The same row marks it as handled and as parked: it must not run again beside its letter.
        let seal = Seal::Inbox(InboxMark {
            consumer: consumer.to_owned(),
            message: message.id,
            outcome: None,
        });
        let put = |unit: &mut UnitOfWork| seal.clone().put(unit);
        match self.react(handlers, message, put).await? {
            None => Ok(()),
            Some(tries) => {
                self.park(consumer, incoming, Reason::Failed, tries, seal)
                    .await
            }
        }
    }

    /// Runs the handlers of an event: [`None`] once all are done, or all that was tried.
    ///
    /// Each handler is a unit of work of its own, known by an inbox row, so that none is run again because another
    /// one fails. The unit of the last one gets the `seal` of the event; one handler alone needs no row.
    pub(super) async fn react(
        &self,
        handlers: &Handlers,
        message: &Message,
        seal: impl Fn(&mut UnitOfWork) + Send + Sync,
    ) -> Result<Option<Tries>> {
        let mut waiting = matching(handlers, message);
        let alone = waiting.len() < 2;
        if !alone {
            let mut left = Vec::new();
            for route in waiting {
                let name = consumer_of(handlers, route);
                if self.core.store.inbox(&name, message.id).await?.is_none() {
                    left.push(route);
                }
            }
            waiting = left;
        }
        if waiting.is_empty() {
            let mut unit = self.unit();
            seal(&mut unit);
            done(self.core.store.commit(unit).await)?;
            return Ok(None);
        }
        let raw = raw(message);
        let (mut tries, mut hopeless) = (Tries::default(), None);
        let started = Instant::now();
        loop {
            let (mut left, mut failures) = (Vec::new(), Vec::new());
            let last = waiting.len() - 1;
            for (place, route) in waiting.into_iter().enumerate() {
                let name = (!alone).then(|| consumer_of(handlers, route));
                let ends = place == last && left.is_empty() && hopeless.is_none();
                let put = |unit: &mut UnitOfWork| match &name {
                    Some(name) if !ends => Seal::Inbox(InboxMark {
                        consumer: name.clone(),
                        message: message.id,
                        outcome: None,
                    })
                    .put(unit),
                    _ => seal(unit),
                };
                let Some(failure) = self.react_once(handlers, route, &raw, message, put).await
                else {
                    continue;
                };
                tries.failed(self.core.clock.now(), name.as_deref(), &failure);
                if failure.kind().is_retryable() {
                    left.push(route);
                } else {
                    hopeless = Some(tries.error.clone());
                }
                failures.push(failure);
            }
            if failures.is_empty() && hopeless.is_none() {
                return Ok(None);
            }
            tries.attempts += 1;
            waiting = left;
            if !self.again(message, &tries, &failures, started).await? || waiting.is_empty() {
                // One that may pass was the last to fail; the one that does not is what it is parked for.
                tries.error = hopeless.unwrap_or(tries.error);
                return Ok(Some(tries));
            }
        }
    }

    /// Runs one handler; [`None`] once it is done, or if somebody else was faster.
    async fn react_once(
        &self,
        handlers: &Handlers,
        route: usize,
        raw: &Raw,
        message: &Message,
        seal: impl Fn(&mut UnitOfWork) + Send + Sync,
    ) -> Option<Failure> {
        let job = Job {
            role: handlers.role,
            origin: origin(message),
        };
        let call = Call {
            handlers,
            route,
            raw,
        };
        let ran = run(&self.core, job, &call, |unit, answer| {
            let ok = matches!(answer, Answer::Done { .. });
            if ok {
                seal(unit);
            }
            ok
        });
        match ran.await {
            Ok(Answer::Done { .. }) => None,
            Ok(Answer::Failed(failure)) => Some(failure),
            Ok(Answer::Refused(refused)) => Some(Failure::new(Kind::Invalid, refused.text)),
            Err(
                store::Error::Duplicate { .. }
                | store::Error::OutOfOrder { .. }
                | store::Error::Moved { .. },
            ) => None,
            Err(e) => Some(Error::from(e).into_failure()),
        }
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

/// The handlers of this event, in their order.
fn matching(handlers: &Handlers, message: &Message) -> Vec<usize> {
    let changed = |field: &str| {
        let diff: Option<serde_json::Map<String, serde_json::Value>> =
            message.payload.decode().ok();
        diff.is_some_and(|diff| diff.contains_key(field))
    };
    let takes = |door: &Door| match door {
        Door::Event { topic, name, field } => {
            *topic == message.topic && *name == message.name && field.is_none_or(changed)
        }
        _ => false,
    };
    handlers
        .routes
        .iter()
        .enumerate()
        .filter(|(_, r)| takes(&r.door))
        .map(|(i, _)| i)
        .collect()
}

/// By which name the inbox knows one of several handlers of one event.
fn consumer_of(handlers: &Handlers, route: usize) -> String {
    let info = handlers.routes.get(route);
    let (method, what) = match info.map(|r| (r.at.handler, r.door)) {
        Some((method, Door::Event { name, field, .. })) => {
            (method, [name, field.unwrap_or_default()].join("."))
        }
        Some((method, _)) => (method, String::new()),
        None => ("", String::new()),
    };
    format!("handler:{}.{method} {what}", handlers.name)
}
