//! One message in one unit of work: inbox, handler, answer.

use std::{sync::Arc, time::Duration};

use tracing::{info, warn};

use super::{Stop, backoff};
use crate::{
    aggregate::EventMeta,
    context::{Call, Context, Core, Job, Origin, Work, run},
    enroute::{Answer, BoxFuture, Door, Handlers, Raw, Role},
    error::{Error, Failure, Kind, Result},
    message::{self, Headers, Message, Outcome, Status},
    payload::Payload,
    store::{self, DeadLetter, Guard, InboxMark, Mark, Reason, StreamId, UnitOfWork},
};

/// How often, and how soon again, a message is tried that fails.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retries {
    pub(crate) attempts: u32,
    pub(crate) first: Duration,
    pub(crate) most: Duration,
}

/// Handles messages for one service.
#[derive(Debug, Clone)]
pub(crate) struct Handler {
    pub(crate) core: Arc<Core>,
    pub(crate) handlers: Arc<Vec<Handlers>>,
    pub(crate) retries: Retries,
    pub(crate) stop: Stop,
}

impl Handler {
    /// Handles a command, a query, or a void. `Ok` means that it needs no redelivery: it was handled, answered, or
    /// parked.
    ///
    /// # Errors
    /// If the store fails; the message must come again.
    pub(crate) async fn request(&self, message: &Message) -> Result<()> {
        let Some((handlers, route)) = self.find(message) else {
            return self
                .give_up(message, "nobody here handles it", "nobody handles it", 0)
                .await;
        };
        match message.kind {
            message::Kind::Query => self.query(handlers, route, message).await,
            message::Kind::Void => self.void(message).await,
            _ => self.command(handlers, route, message).await,
        }
    }

    async fn command(&self, handlers: &Handlers, route: usize, message: &Message) -> Result<()> {
        let command = message.command_id();
        // The key of the inbox decides; the look-up before spares a handler call.
        if let Some(outcome) = self.core.store.inbox(&self.core.name, command).await? {
            return self.answer_again(message, outcome).await;
        }
        let raw = raw(message);
        let mut attempt = 0;
        let failure = loop {
            attempt += 1;
            let seal = |unit: &mut UnitOfWork, answer: &Answer| match outcome(answer) {
                Some(outcome) => {
                    self.seal(unit, message, outcome);
                    true
                }
                None => false,
            };
            let job = Job {
                role: handlers.role,
                origin: origin(message),
            };
            let ran = run(
                &self.core,
                job,
                &Call {
                    handlers,
                    route,
                    raw: &raw,
                },
                seal,
            )
            .await;
            let failure = match ran {
                Ok(Answer::Done { .. } | Answer::Refused(_)) => return Ok(()),
                Err(store::Error::Duplicate { outcome, .. }) => {
                    return self.answer_again(message, outcome).await;
                }
                Ok(Answer::Failed(failure)) => failure,
                Err(e) => Error::from(e).into_failure(),
            };
            if !self.again(message, attempt, &failure).await? {
                break failure;
            }
        };
        self.give_up(message, &failure.to_string(), &failure.public(), attempt)
            .await
    }

    /// Parks a command and answers that it failed.
    async fn give_up(&self, message: &Message, why: &str, told: &str, attempts: u32) -> Result<()> {
        warn!(message = %message.id, name = message.name, why, "a command is parked");
        let outcome = Outcome {
            status: Status::Failed,
            payload: Payload::encode(told)?,
        };
        let mut unit = self.unit();
        unit.dead_letters
            .push(self.letter(&self.core.name, message, why, attempts));
        self.seal(&mut unit, message, outcome);
        match self.core.store.commit(unit).await {
            Err(store::Error::Duplicate { outcome, .. }) => {
                self.answer_again(message, outcome).await
            }
            done => Ok(done?),
        }
    }

    /// Whether a message that failed is tried again, after a pause.
    ///
    /// # Errors
    /// While the store is away nothing is given up: the message must come again.
    async fn again(&self, message: &Message, attempt: u32, failure: &Failure) -> Result<bool> {
        warn!(message = %message.id, name = message.name, attempt, error = ?failure, "a handler failed");
        if matches!(failure.kind(), Kind::Unavailable | Kind::OutcomeUnknown) {
            self.core.store.health().await?;
        }
        if !failure.kind().is_retryable() || attempt >= self.retries.attempts {
            return Ok(false);
        }
        let pause = backoff(
            &*self.core.clock,
            attempt - 1,
            self.retries.first,
            self.retries.most,
        );
        if self.stop.sleep(pause).await {
            return Ok(true);
        }
        // It comes again after the restart.
        Err(Error::new(Kind::Unavailable, "the service stops"))
    }

    async fn query(&self, handlers: &Handlers, route: usize, message: &Message) -> Result<()> {
        let raw = raw(message);
        let seal = |unit: &mut UnitOfWork, answer: &Answer| {
            let outcome = outcome(answer).unwrap_or_else(|| {
                let text = match answer {
                    Answer::Failed(failure) => failure.public(),
                    Answer::Done { .. } | Answer::Refused(_) => String::new(),
                };
                let payload = Payload::encode(&text).unwrap_or_else(|_| Payload::null());
                Outcome {
                    status: Status::Failed,
                    payload,
                }
            });
            unit.outbox.extend(self.reply(message, &outcome));
            true
        };
        let job = Job {
            role: Role::Query,
            origin: origin(message),
        };
        let call = Call {
            handlers,
            route,
            raw: &raw,
        };
        let Err(e) = run(&self.core, job, &call, seal).await else {
            return Ok(());
        };
        // What the question itself cannot have is a failed answer, not a message that comes for ever.
        let failure = Error::from(e).into_failure();
        if matches!(failure.kind(), Kind::Unavailable | Kind::OutcomeUnknown) {
            self.core.store.health().await?;
        }
        warn!(message = %message.id, name = message.name, error = ?failure, "a query failed");
        let outcome = Outcome {
            status: Status::Failed,
            payload: Payload::encode(&failure.public())?,
        };
        let mut unit = self.unit();
        unit.outbox.extend(self.reply(message, &outcome));
        Ok(self.core.store.commit(unit).await?)
    }

    /// Calls a command off, unless it ran: then its outcome is told.
    async fn void(&self, message: &Message) -> Result<()> {
        let command = message.command_id();
        if let Some(outcome) = self.core.store.inbox(&self.core.name, command).await? {
            return self.answer_again(message, outcome).await;
        }
        let mut unit = self.unit();
        let outcome = Outcome {
            status: Status::Voided,
            payload: Payload::null(),
        };
        self.seal(&mut unit, message, outcome);
        match self.core.store.commit(unit).await {
            Err(store::Error::Duplicate { outcome, .. }) => {
                self.answer_again(message, outcome).await
            }
            done => Ok(done?),
        }
    }

    /// Hands an event to one impl block: all its matching handlers in one unit of work, in their order.
    ///
    /// `complete`: the log itself is read, so the consumer may begin in the middle of a stream.
    pub(crate) async fn event(
        &self,
        handlers: &Handlers,
        message: &Message,
        complete: bool,
    ) -> Result<()> {
        let consumer = handlers.name;
        let Some((stream, reached)) = subject(message) else {
            return self.loose_event(handlers, message).await;
        };
        let mark = self.core.store.mark(consumer, &stream).await?;
        let seen = mark.map_or(0, |m| m.version);
        if reached.version <= seen {
            if mark.is_some_and(|m| m.version == reached.version && m.tail != reached.tail) {
                let why =
                    format!("two events claim version {seen} of {stream}: the log was forked");
                return self.park(consumer, message, &why, 0, &[]).await;
            }
            return Ok(());
        }
        let step = Mark {
            consumer: consumer.to_owned(),
            stream: stream.clone(),
            expected: mark,
            reached,
        };
        let from_the_middle = mark.is_none() && (complete || handlers.role == Role::Command);
        let next = reached.version == seen + 1 || from_the_middle;
        // Over a gap the mark stays: what is missing may still come, and then queues too.
        let marks = if next {
            std::slice::from_ref(&step)
        } else {
            &[]
        };
        let first = self.core.store.first_parked(consumer, &message.key).await?;
        if first.is_some() {
            let why = "it queues behind a parked event";
            return self.park(consumer, message, why, 0, marks).await;
        }
        if !next {
            let why = format!(
                "versions {}..{} of {stream} are missing",
                seen + 1,
                reached.version
            );
            return self.park(consumer, message, &why, 0, marks).await;
        }
        self.run_event(handlers, message, Seal::Mark(step)).await
    }

    /// An event that belongs to no aggregate: the inbox knows it.
    async fn loose_event(&self, handlers: &Handlers, message: &Message) -> Result<()> {
        if self
            .core
            .store
            .inbox(handlers.name, message.id)
            .await?
            .is_some()
        {
            return Ok(());
        }
        let mark = InboxMark {
            consumer: handlers.name.to_owned(),
            message: message.id,
            outcome: None,
        };
        self.run_event(handlers, message, Seal::Inbox(mark)).await
    }

    async fn run_event(&self, handlers: &Handlers, message: &Message, seal: Seal) -> Result<()> {
        let routes: Vec<usize> = matching(handlers, message);
        if routes.is_empty() {
            let mut unit = self.unit();
            seal.clone().put(&mut unit);
            return done(self.core.store.commit(unit).await);
        }
        let raw = raw(message);
        let work = Reaction {
            handlers,
            routes,
            raw,
        };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let job = Job {
                role: handlers.role,
                origin: origin(message),
            };
            let ran = run(&self.core, job, &work, |unit, answer| {
                let ok = matches!(answer, Answer::Done { .. });
                if ok {
                    seal.clone().put(unit);
                }
                ok
            });
            let failure = match ran.await {
                Ok(Answer::Done { .. }) => return Ok(()),
                Ok(Answer::Failed(failure)) => failure,
                Ok(Answer::Refused(refused)) => Failure::new(Kind::Invalid, refused.text),
                Err(store::Error::Duplicate { .. } | store::Error::OutOfOrder { .. }) => {
                    return Ok(());
                }
                Err(e) => Error::from(e).into_failure(),
            };
            if !self.again(message, attempt, &failure).await? {
                let marks = match &seal {
                    Seal::Mark(mark) => std::slice::from_ref(mark),
                    Seal::Inbox(_) => &[],
                };
                return self
                    .park(handlers.name, message, &failure.to_string(), attempt, marks)
                    .await;
            }
        }
    }

    /// Parks a message in the dead-letter table.
    pub(crate) async fn park(
        &self,
        consumer: &str,
        message: &Message,
        why: &str,
        attempts: u32,
        marks: &[Mark],
    ) -> Result<()> {
        warn!(message = %message.id, name = message.name, consumer, why, "a message is parked");
        let mut unit = self.unit();
        unit.marks.extend_from_slice(marks);
        if marks.is_empty() {
            // Without a mark the inbox keeps a redelivery from parking it twice.
            let consumer = format!("parked:{consumer}");
            unit.inbox = Some(InboxMark {
                consumer,
                message: message.id,
                outcome: None,
            });
        }
        unit.dead_letters
            .push(self.letter(consumer, message, why, attempts));
        done(self.core.store.commit(unit).await)
    }

    /// Tells the recorded outcome of a command again.
    async fn answer_again(&self, message: &Message, outcome: Option<Outcome>) -> Result<()> {
        info!(message = %message.id, name = message.name, "it was handled before");
        let Some(reply) = outcome.and_then(|outcome| self.reply(message, &outcome)) else {
            return Ok(());
        };
        let mut unit = self.unit();
        unit.outbox.push(reply);
        Ok(self.core.store.commit(unit).await?)
    }

    /// Inbox mark and reply of a command.
    fn seal(&self, unit: &mut UnitOfWork, message: &Message, outcome: Outcome) {
        unit.outbox.extend(self.reply(message, &outcome));
        let consumer = self.core.name.clone();
        unit.inbox = Some(InboxMark {
            consumer,
            message: message.command_id(),
            outcome: Some(outcome),
        });
    }

    fn reply(&self, message: &Message, outcome: &Outcome) -> Option<Message> {
        let topic = message.headers.reply_to.clone()?;
        Some(Message {
            id: self.core.clock.new_uuid(),
            kind: message::Kind::Reply,
            topic,
            name: message.name.clone(),
            key: message
                .headers
                .saga
                .map_or_else(|| message.key.clone(), |id| id.to_string()),
            at: self.core.clock.now(),
            headers: Headers {
                source: self.core.name.clone(),
                correlation: message.headers.correlation,
                causation: Some(message.id),
                user: message.headers.user,
                saga: message.headers.saga,
                command: Some(message.command_id()),
                status: Some(outcome.status),
                ..Headers::default()
            },
            payload: outcome.payload.clone(),
        })
    }

    fn letter(&self, consumer: &str, message: &Message, error: &str, attempts: u32) -> DeadLetter {
        DeadLetter {
            id: self.core.clock.new_uuid(),
            consumer: consumer.to_owned(),
            key: message.key.clone(),
            message: message.clone(),
            reason: Reason::Failed,
            error: error.to_owned(),
            attempts,
            at: self.core.clock.now(),
            origin: None,
            history: Vec::new(),
            bytes: None,
        }
    }

    fn unit(&self) -> UnitOfWork {
        UnitOfWork::new(self.core.clock.new_uuid(), self.core.clock.now())
    }

    fn find(&self, message: &Message) -> Option<(&Handlers, usize)> {
        let takes = |door: &Door| match (door, message.kind) {
            (Door::Query { topic }, message::Kind::Query) => *topic == message.topic,
            (Door::Command { topic }, message::Kind::Command | message::Kind::Void) => {
                *topic == message.topic
            }
            _ => false,
        };
        self.handlers.iter().find_map(|h| {
            h.routes
                .iter()
                .position(|r| takes(&r.door))
                .map(|route| (h, route))
        })
    }
}

/// All handlers of one event in one impl block, in their order; the first that does not succeed ends it.
struct Reaction<'r> {
    handlers: &'r Handlers,
    routes: Vec<usize>,
    raw: Raw,
}

impl Work for Reaction<'_> {
    fn run<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            for route in &self.routes {
                match self.handlers.dispatch.call(*route, cx, &self.raw).await {
                    Answer::Done { .. } => {}
                    other => return other,
                }
            }
            Answer::Done {
                status: 204,
                body: None,
            }
        })
    }
}

/// What marks an event as handled.
#[derive(Debug, Clone)]
enum Seal {
    Mark(Mark),
    Inbox(InboxMark),
}

impl Seal {
    fn put(self, unit: &mut UnitOfWork) {
        match self {
            Seal::Mark(mark) => unit.marks.push(mark),
            Seal::Inbox(mark) => unit.inbox = Some(mark),
        }
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

/// Somebody else was faster, or it was there before: done either way.
fn done(outcome: store::Result<()>) -> Result<()> {
    match outcome {
        Err(store::Error::Duplicate { .. } | store::Error::OutOfOrder { .. }) => Ok(()),
        other => Ok(other?),
    }
}

fn subject(message: &Message) -> Option<(StreamId, Guard)> {
    let (id, version) = (message.headers.stream?, message.headers.version?);
    Some((
        StreamId::new(message.topic.clone(), id),
        Guard {
            version,
            tail: message.id,
        },
    ))
}

fn origin(message: &Message) -> Origin {
    Origin {
        message: Some(message.id),
        correlation: message.headers.correlation.or(Some(message.id)),
        user: message.headers.user,
    }
}

fn raw(message: &Message) -> Raw {
    let event = subject(message).map(|(stream, guard)| EventMeta {
        uuid: stream.id,
        version: guard.version,
        at: message.at,
    });
    Raw {
        id: message.id,
        content: Some(message.payload.clone()),
        params: Vec::new(),
        user: message.headers.user,
        headers: message.headers.custom.clone(),
        event,
    }
}

/// What the inbox keeps; [`None`] for a failure, which may be tried again.
fn outcome(answer: &Answer) -> Option<Outcome> {
    match answer {
        Answer::Done { body, .. } => Some(Outcome {
            status: Status::Done,
            payload: body.clone().unwrap_or_else(Payload::null),
        }),
        Answer::Refused(refused) => Some(Outcome {
            status: Status::Refused,
            payload: refused.body.clone(),
        }),
        Answer::Failed(_) => None,
    }
}
