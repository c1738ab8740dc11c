//! One event for the handlers of an impl block: each is a consumer of its own.

use tokio::time::Instant;

use super::{
    event::{Seal, subject},
    handle::{Handler, Incoming, origin, raw},
    park::Tries,
};
use crate::{
    context::{Call, Job, run},
    enroute::{Answer, Door, Handlers, Raw},
    error::{Error, Failure, Kind, Result},
    message::Message,
    store::{self, InboxMark, Mark, Reason, UnitOfWork},
};

/// An event on its way to one handler.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) route: usize,
    /// By which name its mark and its letters are kept.
    pub(super) name: String,
    /// What says that it is done.
    seal: Option<Seal>,
    pub(super) tries: Tries,
}

/// What became of one try.
enum Tried {
    Done,
    /// Somebody else was faster.
    Before,
    Failed(Failure),
}

impl Task {
    /// One whose caller says what is committed with it.
    pub(super) fn again(handlers: &Handlers, route: usize) -> Self {
        Self {
            route,
            name: handler_name(handlers, route),
            seal: None,
            tries: Tries::default(),
        }
    }
}

impl Handler {
    /// Hands an event to each handler that takes it. Each is a unit of work of its own with a mark of its own, so
    /// that none is held up or run again because another one fails: what fails for good is parked for that handler
    /// alone. The last one's unit moves the block's mark by `step`, too.
    ///
    /// # Errors
    /// If the store fails; the event must come again, and finds what is done.
    pub(super) async fn hand_out(
        &self,
        handlers: &Handlers,
        incoming: Incoming<'_>,
        step: Option<Mark>,
    ) -> Result<()> {
        let message = incoming.message;
        let (mut tasks, mut aside) = (Vec::new(), Vec::new());
        for route in matching(handlers, message) {
            let name = handler_name(handlers, route);
            let Some((seal, reason)) = self.standing(&name, message).await? else {
                continue;
            };
            let mut task = Task {
                route,
                name,
                seal: Some(seal),
                tries: Tries::default(),
            };
            match reason {
                None => tasks.push(task),
                Some((reason, why)) => {
                    task.tries = Tries::none(why);
                    aside.push((task, reason));
                }
            }
        }
        if tasks.is_empty() && aside.is_empty() {
            return self.finish(self.unit(), step.as_ref()).await;
        }
        let behind: Vec<usize> = aside.iter().map(|(task, _)| task.route).collect();
        // Those that are put aside are so at once; if all are, the last of them moves the mark.
        let all = tasks.is_empty();
        self.put_aside(incoming, aside, step.as_ref().filter(|_| all))
            .await?;
        if !all {
            let failed = self
                .rounds(handlers, message, tasks, step.as_ref(), |_| {})
                .await?;
            let failed = failed.into_iter().map(|task| (task, Reason::Failed));
            self.put_aside(incoming, failed.collect(), step.as_ref())
                .await?;
        }
        if let Some((stream, _)) = subject(message) {
            for route in behind {
                // What it queues behind may have left in the meantime.
                self.drain_handler(handlers, route, &stream.to_string())
                    .await?;
            }
        }
        Ok(())
    }

    /// What will mark the event as done by this handler, and why it cannot run now; [`None`] if it is done.
    async fn standing(
        &self,
        name: &str,
        message: &Message,
    ) -> Result<Option<(Seal, Option<(Reason, String)>)>> {
        let store = &self.core.store;
        let Some((stream, reached)) = subject(message) else {
            // It belongs to no aggregate: the inbox knows it. Parked or done, it is the same row, so that it does not
            // run beside its letter.
            if store.inbox(name, message.id).await?.is_some() {
                return Ok(None);
            }
            let seal = Seal::Inbox(InboxMark {
                consumer: name.to_owned(),
                message: message.id,
                outcome: None,
            });
            let forgotten = self.forgotten(name, message, message.id).await?;
            return Ok(Some((seal, forgotten.map(|why| (Reason::Expired, why)))));
        };
        let key = stream.to_string();
        // In this order, as for the block.
        let expected = store.mark(name, &stream).await?;
        let first = store.first_parked(name, &key).await?;
        if expected.is_some_and(|mark| mark.version >= reached.version) {
            return Ok(None);
        }
        let seal = Seal::Mark(Mark {
            consumer: name.to_owned(),
            stream,
            expected,
            reached,
        });
        let behind = first.map(|_| {
            let why = "it queues behind a parked event".to_owned();
            (Reason::Behind, why)
        });
        Ok(Some((seal, behind)))
    }

    /// Parks an event for each of these handlers; with the last one the block's mark moves.
    async fn put_aside(
        &self,
        incoming: Incoming<'_>,
        tasks: Vec<(Task, Reason)>,
        step: Option<&Mark>,
    ) -> Result<()> {
        let mut open = tasks.len();
        for (task, reason) in tasks {
            let step = step.filter(|_| open == 1);
            open -= 1;
            let mut unit = self.unit();
            if let Some(seal) = task.seal {
                seal.put(&mut unit);
            }
            let letter = self.letter(&task.name, incoming, reason, task.tries);
            unit.dead_letters.push(letter);
            self.finish(unit, step).await?;
        }
        Ok(())
    }

    /// Commits a unit with the block's step. If somebody else was faster with one of them, the other one is done alone.
    async fn finish(&self, unit: UnitOfWork, step: Option<&Mark>) -> Result<()> {
        let mut both = unit.clone();
        both.marks.extend(step.cloned());
        if both.is_empty() || was_done(self.core.store.commit(both).await)? || step.is_none() {
            return Ok(());
        }
        if !unit.is_empty() {
            was_done(self.core.store.commit(unit).await)?;
        }
        self.move_on(step).await
    }

    async fn move_on(&self, step: Option<&Mark>) -> Result<()> {
        let Some(step) = step else {
            return Ok(());
        };
        let mut unit = self.unit();
        unit.marks.push(step.clone());
        was_done(self.core.store.commit(unit).await).map(drop)
    }

    /// Runs handlers in their order, and those that fail once more after a pause, until all are done or beyond help.
    /// Answers those that are beyond help. `step` goes with the last one, and `extra` with each.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) async fn rounds(
        &self,
        handlers: &Handlers,
        message: &Message,
        mut tasks: Vec<Task>,
        step: Option<&Mark>,
        extra: impl Fn(&mut UnitOfWork) + Send + Sync,
    ) -> Result<Vec<Task>> {
        let raw = raw(message);
        let started = Instant::now();
        let (mut open, mut hopeless) = (tasks.len(), Vec::new());
        loop {
            let mut left = Vec::new();
            for mut task in tasks {
                let mut step = step.filter(|_| open == 1);
                let tried = loop {
                    let seal = |unit: &mut UnitOfWork| {
                        if let Some(seal) = &task.seal {
                            seal.clone().put(unit);
                        }
                        unit.marks.extend(step.cloned());
                        extra(unit);
                    };
                    let tried = self.react(handlers, task.route, &raw, message, seal).await;
                    if !matches!(tried, Tried::Before) || step.is_none() {
                        break tried;
                    }
                    let Some((seal, _)) = self.standing(&task.name, message).await? else {
                        break tried;
                    };
                    // Only the block moved, so the handler is not done yet.
                    (task.seal, step) = (Some(seal), None);
                };
                match tried {
                    Tried::Done => open -= 1,
                    Tried::Before => {
                        self.move_on(step).await?;
                        open -= 1;
                    }
                    Tried::Failed(failure) => {
                        task.tries.failed(self.core.clock.now(), &failure);
                        self.noted(message, &task.tries, &failure).await?;
                        match failure.kind().is_retryable() {
                            true => left.push(task),
                            false => hopeless.push(task),
                        }
                    }
                }
            }
            let again = match left.first() {
                Some(task) => self.again(&task.tries, started).await?,
                None => false,
            };
            if !again {
                hopeless.extend(left);
                return Ok(hopeless);
            }
            tasks = left;
        }
    }

    /// Runs one handler once.
    async fn react(
        &self,
        handlers: &Handlers,
        route: usize,
        raw: &Raw,
        message: &Message,
        seal: impl Fn(&mut UnitOfWork) + Send + Sync,
    ) -> Tried {
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
            Ok(Answer::Done { .. }) => Tried::Done,
            Ok(Answer::Failed(failure)) => Tried::Failed(failure),
            Ok(Answer::Refused(refused)) => {
                Tried::Failed(Failure::new(Kind::Invalid, refused.text))
            }
            Err(
                store::Error::Duplicate { .. }
                | store::Error::OutOfOrder { .. }
                | store::Error::Moved { .. },
            ) => Tried::Before,
            Err(e) => Tried::Failed(Error::from(e).into_failure()),
        }
    }
}

/// Whether a unit was committed; `false` if somebody else was faster.
fn was_done(outcome: store::Result<()>) -> Result<bool> {
    match outcome {
        Err(
            store::Error::Duplicate { .. }
            | store::Error::OutOfOrder { .. }
            | store::Error::Moved { .. },
        ) => Ok(false),
        other => Ok(other.map(|()| true)?),
    }
}

/// The handlers of this event, in their order: each method once, whichever of its topics the event is of.
pub(super) fn matching(handlers: &Handlers, message: &Message) -> Vec<usize> {
    let changed = |field: &str| {
        let diff: Option<serde_json::Map<String, serde_json::Value>> =
            message.payload.decode().ok();
        diff.is_some_and(|diff| diff.contains_key(field))
    };
    routes(handlers, |door| match door {
        Door::Event { topic, name, field } => {
            *topic == message.topic && *name == message.name && field.is_none_or(changed)
        }
        _ => false,
    })
}

/// The handlers of any event of this topic: each method once.
pub(super) fn readers(handlers: &Handlers, topic: &str) -> Vec<usize> {
    routes(
        handlers,
        |door| matches!(door, Door::Event { topic: of, .. } if *of == topic),
    )
}

/// The routes behind these doors, in their order: each method once.
fn routes(handlers: &Handlers, takes: impl Fn(&Door) -> bool) -> Vec<usize> {
    let mut methods = Vec::new();
    let mut routes = Vec::new();
    for (place, route) in handlers.routes.iter().enumerate() {
        if takes(&route.door) && !methods.contains(&route.at.handler) {
            methods.push(route.at.handler);
            routes.push(place);
        }
    }
    routes
}

/// By which name a handler's marks and letters are kept: `FooQueryService.foo_created`. It is stored.
pub(super) fn handler_name(handlers: &Handlers, route: usize) -> String {
    let method = handlers.routes.get(route).map_or("", |r| r.at.handler);
    format!("{}.{method}", handlers.name)
}

/// The names of all handlers of events.
pub(super) fn handler_names(handlers: &Handlers) -> impl Iterator<Item = String> {
    let events = |door: &Door| matches!(door, Door::Event { .. });
    let routes = handlers.routes.iter().enumerate();
    routes
        .filter(move |(_, r)| events(&r.door))
        .map(|(route, _)| handler_name(handlers, route))
}
