//! One message in one unit of work: inbox, handler, answer.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, time::Instant};
use tracing::{info, warn};

use super::{Stop, backoff, consumer::subscribes, event, operation::plain, park::Tries, sagas};
use crate::{
    aggregate::EventMeta,
    context::{Call, Core, Job, Origin, run},
    enroute::{Answer, Door, Handlers, Raw, Role},
    error::{Error, Failure, Kind, Result},
    message::{self, Headers, Message, Outcome, Status, replies_topic},
    payload::Payload,
    store::{self, InboxMark, Reason, UnitOfWork},
};

/// How often, and how soon again, a message is tried that fails.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retries {
    pub(crate) attempts: u32,
    pub(crate) first: Duration,
    pub(crate) most: Duration,
    /// How long all of them may take: after that it is parked, and its place in the topic is free.
    pub(crate) patience: Duration,
}

/// Handles messages for one service.
#[derive(Debug, Clone)]
pub(crate) struct Handler {
    pub(crate) core: Arc<Core>,
    pub(crate) handlers: Arc<Vec<Handlers>>,
    pub(crate) retries: Retries,
    pub(crate) stop: Stop,
    /// Told when something may wait for nothing: a consumer that failed began anew.
    pub(crate) loose: Arc<Notify>,
}

/// A message, and where it came from; [`None`] for the own log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming<'m> {
    pub(crate) message: &'m Message,
    pub(crate) origin: Option<&'m message::Origin>,
}

/// How a command ended that was tried.
pub(super) enum Commanded {
    /// It was handled.
    Answered(Answer),
    /// It was handled before.
    Before(Option<Outcome>),
    /// It failed, as often as it was tried.
    Failed(Tries),
}

impl Handler {
    /// Hands a message of the broker to whoever handles it here. `Ok` means that it needs no redelivery: it was
    /// handled, answered, or parked.
    ///
    /// # Errors
    /// If the store fails; the message must come again.
    pub(crate) async fn deliver(&self, incoming: Incoming<'_>) -> Result<()> {
        match incoming.message.kind {
            message::Kind::Void if incoming.message.topic == replies_topic(&self.core.name) => {
                sagas::reply(self, incoming).await
            }
            message::Kind::Command | message::Kind::Query | message::Kind::Void => {
                self.request(incoming).await
            }
            message::Kind::Reply | message::Kind::Signal => sagas::reply(self, incoming).await,
            message::Kind::Event => {
                for handlers in &*self.handlers {
                    if subscribes(handlers, incoming.message) {
                        self.event(handlers, incoming).await?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Handles a command, a query, or a void.
    ///
    /// # Errors
    /// As [`deliver`](Self::deliver).
    pub(crate) async fn request(&self, incoming: Incoming<'_>) -> Result<()> {
        let message = incoming.message;
        let Some((handlers, route)) = self.find(message) else {
            let tries = Tries::none("nobody here handles it");
            return self
                .give_up(incoming, Reason::Unhandled, tries, "nobody handles it")
                .await;
        };
        match message.kind {
            message::Kind::Query => self.query(handlers, route, message).await,
            message::Kind::Void => self.void(incoming).await,
            _ => self.command(handlers, route, incoming).await,
        }
    }

    async fn command(
        &self,
        handlers: &Handlers,
        route: usize,
        incoming: Incoming<'_>,
    ) -> Result<()> {
        let message = incoming.message;
        // The key of the inbox decides; the look-up before spares a handler call.
        let command = message.command_id();
        if let Some(outcome) = self.core.store.inbox(&self.core.name, command).await? {
            return self.answer_again(message, outcome).await;
        }
        if let Some(why) = self.forgotten(&self.core.name, message, command).await? {
            return self.park_forgotten(&self.core.name, incoming, why).await;
        }
        let seal = |unit: &mut UnitOfWork, outcome: Outcome| self.seal(unit, message, outcome);
        match self.try_command(handlers, route, message, seal).await? {
            Commanded::Answered(_) => Ok(()),
            Commanded::Before(outcome) => self.answer_again(message, outcome).await,
            Commanded::Failed(tries) => {
                let told = tries.public.clone();
                self.give_up(incoming, Reason::Failed, tries, &told).await
            }
        }
    }

    /// Runs a command until it is answered or beyond help. `seal` adds to the unit what goes with the outcome.
    pub(super) async fn try_command(
        &self,
        handlers: &Handlers,
        route: usize,
        message: &Message,
        seal: impl Fn(&mut UnitOfWork, Outcome) + Send + Sync,
    ) -> Result<Commanded> {
        let raw = raw(message);
        let mut tries = Tries::default();
        let started = Instant::now();
        loop {
            let seal = |unit: &mut UnitOfWork, answer: &Answer| match outcome(answer) {
                Some(outcome) => {
                    seal(unit, outcome);
                    true
                }
                None => false,
            };
            let job = Job {
                role: handlers.role,
                origin: origin(message),
            };
            let call = Call {
                handlers,
                route,
                raw: &raw,
            };
            let failure = match run(&self.core, job, &call, seal).await {
                Ok(Answer::Failed(failure)) => failure,
                Ok(answer) => return Ok(Commanded::Answered(answer)),
                Err(store::Error::Duplicate { outcome, .. }) => {
                    return Ok(Commanded::Before(outcome));
                }
                Err(e) => Error::from(e).into_failure(),
            };
            tries.failed(self.core.clock.now(), &failure);
            self.noted(message, &tries, &failure).await?;
            if !failure.kind().is_retryable() || !self.again(&tries, started).await? {
                return Ok(Commanded::Failed(tries));
            }
        }
    }

    /// Parks a command and answers that it failed.
    async fn give_up(
        &self,
        incoming: Incoming<'_>,
        reason: Reason,
        tries: Tries,
        told: &str,
    ) -> Result<()> {
        let message = incoming.message;
        warn!(message = %message.id, name = message.name, why = tries.error, "a command is parked");
        let outcome = Outcome {
            status: Status::Failed,
            payload: Payload::encode(&plain(told))?,
        };
        let mut unit = self.unit();
        unit.dead_letters
            .push(self.letter(&self.core.name, incoming, reason, tries));
        self.seal(&mut unit, message, outcome);
        match self.core.store.commit(unit).await {
            Err(store::Error::Duplicate { outcome, .. }) => {
                self.answer_again(message, outcome).await
            }
            done => Ok(done?),
        }
    }

    /// Notes a failure of a handler.
    ///
    /// # Errors
    /// While the store is away nothing is given up: the message must come again.
    pub(super) async fn noted(
        &self,
        message: &Message,
        tries: &Tries,
        failure: &Failure,
    ) -> Result<()> {
        warn!(message = %message.id, name = message.name, attempt = tries.attempts, error = ?failure,
            "a handler failed");
        if matches!(failure.kind(), Kind::Unavailable | Kind::OutcomeUnknown) {
            self.core.store.health().await?;
        }
        Ok(())
    }

    /// Pauses before another try; `false` if there were enough.
    ///
    /// # Errors
    /// If the service stops: the message comes again after the restart.
    pub(super) async fn again(&self, tries: &Tries, started: Instant) -> Result<bool> {
        let pause = backoff(
            &*self.core.clock,
            tries.attempts.saturating_sub(1),
            self.retries.first,
            self.retries.most,
        );
        let beyond = started.elapsed() + pause > self.retries.patience;
        if tries.attempts >= self.retries.attempts || beyond {
            return Ok(false);
        }
        if self.stop.sleep(pause).await {
            return Ok(true);
        }
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
                let payload = Payload::encode(&plain(&text)).unwrap_or_else(|_| Payload::null());
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
            payload: Payload::encode(&plain(&failure.public()))?,
        };
        let mut unit = self.unit();
        unit.outbox.extend(self.reply(message, &outcome));
        Ok(self.core.store.commit(unit).await?)
    }

    /// Calls a command off, unless it ran: then its outcome is told.
    async fn void(&self, incoming: Incoming<'_>) -> Result<()> {
        let message = incoming.message;
        let command = message.command_id();
        if let Some(outcome) = self.core.store.inbox(&self.core.name, command).await? {
            return self.answer_again(message, outcome).await;
        }
        if let Some(why) = self.forgotten(&self.core.name, message, command).await? {
            return self.park_forgotten(&self.core.name, incoming, why).await;
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

    /// Tells the recorded outcome of a command again.
    pub(super) async fn answer_again(
        &self,
        message: &Message,
        outcome: Option<Outcome>,
    ) -> Result<()> {
        info!(message = %message.id, name = message.name, "it was handled before");
        let Some(reply) = outcome.and_then(|outcome| self.reply(message, &outcome)) else {
            return Ok(());
        };
        let mut unit = self.unit();
        unit.outbox.push(reply);
        Ok(self.core.store.commit(unit).await?)
    }

    /// Inbox mark and reply of a command.
    pub(super) fn seal(&self, unit: &mut UnitOfWork, message: &Message, outcome: Outcome) {
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
                traceparent: message.headers.traceparent.clone(),
                ..Headers::default()
            },
            payload: outcome.payload.clone(),
        })
    }

    pub(super) fn unit(&self) -> UnitOfWork {
        UnitOfWork::new(self.core.clock.new_uuid(), self.core.clock.now())
    }

    pub(super) fn find(&self, message: &Message) -> Option<(&Handlers, usize)> {
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

pub(super) fn origin(message: &Message) -> Origin {
    Origin {
        message: Some(message.id),
        correlation: message.headers.correlation.or(Some(message.id)),
        user: message.headers.user,
        traceparent: message.headers.traceparent.clone(),
    }
}

pub(super) fn raw(message: &Message) -> Raw {
    let event = event::subject(message).map(|(stream, guard)| EventMeta {
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
