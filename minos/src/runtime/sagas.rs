//! Moves sagas when they are due, and when they are answered.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use tracing::info;
use uuid::Uuid;

use super::{
    event::parked_once,
    handle::{Handler, Incoming},
    park::Tries,
};
use crate::{
    clock::{Clock, process},
    context::{Context, Core, Job, Origin, Work, run},
    enroute::{Answer, BoxFuture, Role},
    error::{Error, Failure, Kind, Result},
    message::{Headers, Message},
    payload::Payload,
    saga::{
        LocalOutcome, StepEnd,
        flow::Flow,
        machine::{self, Env, Moved, Posted},
        run::{Run, Status},
    },
    store::{self, InboxMark, Reason, SagaFilter, SagaRow, UnitOfWork},
};

/// Who the inbox says handles replies.
pub(super) const CONSUMER: &str = "sagas";
/// How many sagas that are stuck are looked through for what waits in them, the newest first.
const STUCK: u32 = 10_000;

/// What became of a saga that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driven {
    Moved,
    /// Another build may know it.
    Left,
}

/// What is to be done about a saga that is due.
pub(super) enum Next {
    /// A local step is to be run.
    Run(Box<Run>, machine::Due),
    Commit(Box<Moved>),
    /// Another build may know it.
    Leave,
}

/// What is to be done about a saga that is due; `orphaned`: whoever knows it had the time to come.
pub(super) fn next(
    core: &Core,
    row: &SagaRow,
    unsent: Option<DateTime<Utc>>,
    orphaned: bool,
) -> Result<Next> {
    let known = flow(core, row).and_then(|flow| Ok((flow, Run::of(row)?)));
    let (flow, run) = match known {
        Ok(known) => known,
        Err(e) if e.kind() == Some(Kind::Wiring) && !orphaned => return Ok(Next::Leave),
        Err(e) => {
            let moved = machine::abandon(row.clone(), &e.to_string(), core.clock.now());
            return Ok(Next::Commit(Box::new(moved)));
        }
    };
    // What it was told may be about the step.
    if run.mail.is_empty()
        && let Some(step) = machine::local_step(flow, &run, core.clock.now())
    {
        return Ok(Next::Run(Box::new(run), step));
    }
    let moved = machine::due(flow, row.clone(), unsent, &env(core, None))?;
    Ok(match moved.misfit && !orphaned {
        true => Next::Leave,
        false => Next::Commit(Box::new(moved)),
    })
}

pub(super) async fn carry_out(
    core: &Arc<Core>,
    row: SagaRow,
    next: Next,
    orphaned: bool,
) -> Result<Driven> {
    match next {
        Next::Leave => Ok(Driven::Left),
        Next::Commit(moved) => settle(commit(core, *moved, None).await),
        Next::Run(run, step) => local(core, row, *run, step, orphaned).await,
    }
}

/// Moves one saga that is due: its local step, or what the time means for it.
#[cfg(any(test, feature = "testing"))]
pub(crate) async fn drive(core: &Arc<Core>, row: SagaRow, orphaned: bool) -> Result<Driven> {
    let next = next(core, &row, None, orphaned)?;
    carry_out(core, row, next, orphaned).await
}

/// A local step, or a local compensation; its outcome waits for the seal.
struct LocalStep<'r> {
    flow: &'r dyn Flow,
    step: usize,
    undo: bool,
    state: &'r Payload,
    outcome: Mutex<Option<Result<LocalOutcome>>>,
}

impl Work for LocalStep<'_> {
    fn run<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let ran = self.flow.run(self.step, self.undo, self.state, cx).await;
            let done = matches!(
                ran,
                Ok(LocalOutcome {
                    end: StepEnd::Done,
                    ..
                })
            );
            *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(ran);
            if done {
                Answer::Done {
                    status: 204,
                    body: None,
                }
            } else {
                // What a failed step did is not kept; the transition is.
                Answer::Failed(Failure::new(Kind::Internal, "the step failed"))
            }
        })
    }
}

impl LocalStep<'_> {
    /// How it ended; a panic left nothing behind.
    fn take(&self, answer: &Answer) -> Result<LocalOutcome> {
        self.outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .unwrap_or_else(|| {
                let text = match answer {
                    Answer::Failed(failure) => failure.public(),
                    Answer::Done { .. } | Answer::Refused(_) => "the step did not run".to_owned(),
                };
                let end = StepEnd::Failed(Failure::new(Kind::Internal, text));
                Ok(LocalOutcome {
                    end,
                    state: self.state.clone(),
                })
            })
    }
}

/// Runs a local step and the transition in one unit of work.
async fn local(
    core: &Arc<Core>,
    row: SagaRow,
    saga: Run,
    step: machine::Due,
    orphaned: bool,
) -> Result<Driven> {
    let flow = flow(core, &row)?;
    let origin = Origin {
        message: None,
        correlation: saga.correlation,
        user: saga.user,
        traceparent: saga.traceparent.clone(),
    };
    let work = LocalStep {
        flow,
        step: step.step,
        undo: step.undo,
        state: &saga.state,
        outcome: Mutex::new(None),
    };
    let (mut broken, mut left, mut next) = (None, false, None);
    let seal = |unit: &mut UnitOfWork, answer: &Answer| {
        let moved = work
            .take(answer)
            .and_then(|ran| machine::local(flow, row.clone(), step.command, ran, &env(core, None)));
        match moved {
            Ok(moved) => {
                // What it did is forgotten with it: another build runs it.
                left = moved.misfit && !orphaned;
                if !left {
                    next = going_on(&moved);
                    add(unit, moved);
                }
            }
            Err(e) => broken = Some(e),
        }
        broken.is_none() && !left
    };
    let job = Job {
        role: Role::Command,
        origin,
    };
    let outcome = run(core, job, &work, seal).await;
    if left {
        return Ok(Driven::Left);
    }
    if let Some(e) = broken {
        let moved = machine::abandon(row, &e.to_string(), core.clock.now());
        return settle(commit(core, moved, None).await);
    }
    match outcome {
        Ok(_) => {
            if let Some(row) = next {
                core.soon.add(row);
            }
            Ok(Driven::Moved)
        }
        Err(store::Error::Moved { .. }) => Ok(Driven::Moved),
        Err(e) => {
            // The step cannot be committed. While the store is away nothing is given up.
            core.store.health().await?;
            let end = StepEnd::Failed(Error::from(e).into_failure());
            let ran = LocalOutcome {
                end,
                state: saga.state.clone(),
            };
            let moved = machine::local(flow, row, step.command, ran, &env(core, None))?;
            if moved.misfit && !orphaned {
                return Ok(Driven::Left);
            }
            settle(commit(core, moved, None).await)
        }
    }
}

/// What a saga made of what it was told.
pub(super) enum Answered {
    /// It took it.
    Taken,
    /// It had it before.
    Before,
    /// It cannot take it.
    Not(String),
}

/// Hands what a saga is told - a reply, a signal, or that it is called off - to it, or parks it.
pub(super) async fn reply(handler: &Handler, incoming: Incoming<'_>) -> Result<()> {
    let message = incoming.message;
    if let Some(why) = handler.forgotten(CONSUMER, message, message.id).await? {
        return handler.park_forgotten(CONSUMER, incoming, why).await;
    }
    match answer(handler, incoming, |_| {}).await? {
        Answered::Taken | Answered::Before => Ok(()),
        Answered::Not(why) => {
            let seal = parked_once(CONSUMER, message);
            let mut tries = Tries::none(why);
            tries.attempts = 1;
            handler
                .park(CONSUMER, incoming, Reason::Failed, tries, seal)
                .await
        }
    }
}

/// Hands what a saga is told to it; `extra` adds to the unit.
pub(super) async fn answer(
    handler: &Handler,
    incoming: Incoming<'_>,
    extra: impl Fn(&mut UnitOfWork) + Send + Sync,
) -> Result<Answered> {
    let (core, message) = (&handler.core, incoming.message);
    let not = |why: &str| Ok(Answered::Not(why.to_owned()));
    let Some(id) = message.headers.saga else {
        return not("it is for no saga");
    };
    let mut looked = 0;
    loop {
        let Some(row) = core.store.saga(id).await? else {
            // Its start may not be visible yet; after a while it never will.
            looked += 1;
            if looked >= handler.retries.attempts {
                return not("it is for a saga that does not exist");
            }
            if !handler.stop.sleep(handler.retries.first).await {
                return Err(Error::new(Kind::Unavailable, "the service stops"));
            }
            continue;
        };
        let moved = match told(core, row.clone(), message) {
            Ok(moved) if !moved.misfit => Some(moved),
            Err(e) if e.kind() != Some(Kind::Wiring) => return Ok(Answered::Not(e.to_string())),
            // Nobody who knows it came in time.
            Err(e) if Status::of(&row) == Some(Status::Stuck) && flow(core, &row).is_err() => {
                return Ok(Answered::Not(e.to_string()));
            }
            // During a rolling deploy an instance that knows what this is about may be there already.
            unknown => match machine::post(row, message, core.clock.now()) {
                Ok(Posted::Kept(moved)) => Some(*moved),
                Ok(Posted::Before) => None,
                Err(e) => return Ok(Answered::Not(e.to_string())),
                Ok(Posted::Full) => {
                    let why = "too much waits for a build that knows its saga";
                    let why = unknown
                        .err()
                        .map_or(why.to_owned(), |e| format!("{e}; {why}"));
                    return Ok(Answered::Not(why));
                }
            },
        };
        let next = moved.as_ref().and_then(going_on);
        let mut unit = unit(core, moved, Some(message.id));
        extra(&mut unit);
        match core.store.commit(unit).await {
            Ok(()) => {
                if let Some(row) = next {
                    core.soon.add(row);
                }
                return Ok(Answered::Taken);
            }
            Err(store::Error::Moved { what: "saga", .. }) => {
                info!(saga = %id, "a saga moved while it was told something; again")
            }
            Err(store::Error::Moved { .. }) => return Ok(Answered::Taken),
            Err(store::Error::Duplicate { .. }) => return Ok(Answered::Before),
            Err(e) => return Err(e.into()),
        }
    }
}

/// What a message means for a saga.
///
/// # Errors
/// [`Kind::Wiring`] if this build does not know the saga.
pub(crate) fn told(core: &Core, row: SagaRow, message: &Message) -> Result<Moved> {
    let flow = flow(core, &row)?;
    machine::told(flow, row, message, &env(core, Some(message.id)))
}

/// The saga of a row.
///
/// # Errors
/// [`Kind::Wiring`] if this build does not know it.
pub(super) fn flow<'c>(core: &'c Core, row: &SagaRow) -> Result<&'c dyn Flow> {
    let flow = core.sagas.get(row.name.as_str());
    flow.map(|flow| &**flow).ok_or_else(|| {
        let text = format!("this service no longer has a saga `{}`", row.name);
        Error::new(Kind::Wiring, text)
    })
}

/// Reads what waits in sagas that are stuck and that this build knows: they are not due.
pub(super) async fn read_mail(core: &Core) -> Result<()> {
    let stuck = SagaFilter {
        status: Some(Status::Stuck.as_str().to_owned()),
        limit: STUCK,
        ..SagaFilter::default()
    };
    for row in core.store.sagas(&stuck).await? {
        let (Ok(flow), Ok(run)) = (flow(core, &row), Run::of(&row)) else {
            continue;
        };
        if run.mail.is_empty() {
            continue;
        }
        let moved = machine::due(flow, row, None, &env(core, None))?;
        if !moved.misfit {
            settle(commit(core, moved, None).await)?;
        }
    }
    Ok(())
}

pub(crate) async fn commit(core: &Core, moved: Moved, message: Option<Uuid>) -> store::Result<()> {
    let next = going_on(&moved);
    core.store.commit(unit(core, Some(moved), message)).await?;
    if let Some(row) = next {
        core.soon.add(row);
    }
    Ok(())
}

/// The row, if whoever looks after what is due may go on with it once it is committed.
fn going_on(moved: &Moved) -> Option<SagaRow> {
    moved.goes_on.then(|| moved.row.clone())
}

fn unit(core: &Core, moved: Option<Moved>, message: Option<Uuid>) -> UnitOfWork {
    let mut unit = UnitOfWork::new(core.clock.new_uuid(), core.clock.now());
    unit.inbox = message.map(|message| InboxMark {
        consumer: CONSUMER.to_owned(),
        message,
        outcome: None,
    });
    if let Some(moved) = moved {
        add(&mut unit, moved);
    }
    unit
}

fn add(unit: &mut UnitOfWork, moved: Moved) {
    unit.sagas.push((moved.row, moved.history));
    unit.sagas.extend(moved.children);
    unit.outbox.extend(moved.messages);
}

/// Somebody else moved the saga first: that is as good.
fn settle(outcome: store::Result<()>) -> Result<Driven> {
    match outcome {
        Ok(()) | Err(store::Error::Moved { .. }) => Ok(Driven::Moved),
        Err(e) => Err(e.into()),
    }
}

pub(crate) fn env(core: &Core, causation: Option<Uuid>) -> Env<'_> {
    let clock: &dyn Clock = &*core.clock;
    let headers = Headers {
        source: core.name.clone(),
        causation,
        ..Headers::default()
    };
    Env {
        now: clock.now(),
        clock,
        headers,
        owner: process(),
        sagas: &core.sagas,
    }
}
