//! From a handler to a commit: rerun on conflict, resubmit when the outcome is unknown.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tracing::{error, warn};

use super::{
    Context, Core, Finished, Origin,
    chain::{Chain, Lean},
    slots::Held,
};
use crate::{
    enroute::{Answer, BoxFuture, Handlers, Raw, Role},
    error::{Failure, Kind},
    store::{self, Head, StreamId, UnitOfWork},
};

/// One unit of work to run.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) role: Role,
    pub(crate) origin: Origin,
}

/// What runs in a unit of work: one or more handlers, or a step of a saga.
pub(crate) trait Work: Sync {
    fn run<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Answer>;
}

/// A call of one route.
#[derive(Debug)]
pub(crate) struct Call<'r> {
    pub(crate) handlers: &'r Handlers,
    pub(crate) route: usize,
    pub(crate) raw: &'r Raw,
}

impl Work for Call<'_> {
    fn run<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Answer> {
        self.handlers.dispatch.call(self.route, cx, self.raw)
    }
}

/// Runs a handler in a unit of work and commits what it did, again from the start if what it read has moved.
///
/// `seal` adds what belongs to the message rather than to the handler (inbox mark, reply); it sees an empty unit
/// if the handler refused or failed, and whether to commit that is its answer.
///
/// # Cancel safety
/// Dropped before the handler returned, nothing happens. After that the unit is finished by a task of the runtime.
pub(crate) async fn run<S>(
    core: &Arc<Core>,
    job: Job,
    work: &dyn Work,
    mut seal: S,
) -> store::Result<Answer>
where
    S: FnMut(&mut UnitOfWork, &Answer) -> bool + Send,
{
    let mut touched: Vec<StreamId> = Vec::new();
    let (mut attempt, mut claimed) = (0, false);
    loop {
        let cx = Context::new(core, job.role, job.origin.clone(), attempt);
        cx.queue_all(&touched).await;
        let answer = match AssertUnwindSafe(work.run(&cx)).catch_unwind().await {
            Ok(answer) => answer,
            Err(panic) => Answer::Failed(panicked(&*panic)),
        };
        let mut finished = cx.finish();
        if !matches!(answer, Answer::Done { .. }) {
            finished.unit = UnitOfWork::new(finished.unit.id, finished.unit.at);
            finished.sql = None;
            finished.held = Held::default();
        }
        touched = finished
            .unit
            .writes
            .iter()
            .map(|w| w.stream.clone())
            .collect();
        touched.extend(finished.unit.reads.iter().map(|(stream, _)| stream.clone()));
        touched.sort();
        // What it starts; the seal may add the saga whose step it is.
        let sagas = finished.unit.sagas.iter();
        let started: Vec<_> = sagas.map(|(row, _)| (row.id, row.version)).collect();
        let commit = seal(&mut finished.unit, &answer);
        let outcome = if commit {
            submit(core, finished).await
        } else {
            settle(core, finished.leans).await
        };
        match outcome {
            Ok(()) => return Ok(answer),
            // A value that is taken stays taken: one more run lets the handler find its holder and say so.
            Err(e @ store::Error::Claimed { .. }) if claimed => return Err(e),
            Err(e)
                if (e.is_conflict() || raced(&e, &started)) && attempt + 1 < core.limits.reruns =>
            {
                attempt += 1;
                claimed |= matches!(e, store::Error::Claimed { .. });
                tokio::time::sleep(jitter(core, attempt)).await;
            }
            Err(e) => return Err(e),
        }
    }
}

/// Whether somebody else started a saga of the same key first: the handler finds it.
fn raced(e: &store::Error, started: &[(uuid::Uuid, u64)]) -> bool {
    matches!(e, store::Error::Moved { what: "saga", id } if started.contains(&(*id, 1)))
}

/// Commits a unit. From here on a task of the runtime finishes it, whether or not somebody waits.
pub(crate) async fn submit(core: &Arc<Core>, finished: Finished) -> store::Result<()> {
    let mut mend = None;
    if let Some((stream, chain, makes)) = chainable(&finished) {
        match chain.append(core, &finished.unit, stream, makes) {
            Some(outcome) => {
                drop(finished);
                return outcome.await.unwrap_or_else(|e| lost(Box::new(e)));
            }
            None => mend = Some(chain.clone()),
        }
    }
    let Finished {
        unit,
        sql,
        held,
        leans,
        ..
    } = finished;
    if unit.is_empty() && sql.is_none() {
        drop(held);
        return settle(core, leans).await;
    }
    let owner = core.clone();
    let task = core.runtime.spawn(async move {
        // The slots are held until the unit is durable.
        let _held = held;
        settle(&owner, leans).await?;
        let outcome = match sql {
            // The user's rows are gone with the transaction: the unit alone must not be submitted again.
            Some(sql) => {
                let outcome = sql.commit(unit).await;
                if let Err(e @ store::Error::OutcomeUnknown(_)) = &outcome {
                    give_up(&owner, e);
                }
                outcome
            }
            None => commit(&owner, unit).await,
        };
        if let (Some(chain), Ok(())) = (mend, &outcome) {
            chain.mend();
        }
        outcome
    });
    task.await.unwrap_or_else(|e| lost(Box::new(e)))
}

/// Waits until all that was read before it was durable is so.
async fn settle(core: &Core, leans: Vec<Lean>) -> store::Result<()> {
    for lean in leans {
        lean.settled(core).await?;
    }
    Ok(())
}

/// The chain that a unit may join: it does nothing but change the one aggregate whose slot it holds.
fn chainable(finished: &Finished) -> Option<(&StreamId, &Arc<Chain>, &Head)> {
    let (stream, chain) = finished.held.only()?;
    let [write] = finished.unit.writes.as_slice() else {
        return None;
    };
    let alone = finished.sql.is_none() && finished.unit.reads.is_empty();
    (alone && write.stream == *stream && write.expected.is_some()).then_some(())?;
    Some((stream, chain, finished.makes.as_ref()?))
}

/// The task that commits is gone, and with it what it knew.
fn lost(e: store::BoxError) -> store::Result<()> {
    Err(store::Error::OutcomeUnknown(e))
}

/// Commits a unit; the identical unit again as long as its outcome is unknown. If it stays unknown, the service
/// ends: it can promise nothing any more.
pub(super) async fn commit(core: &Core, unit: UnitOfWork) -> store::Result<()> {
    let mut tries = 0;
    loop {
        match core.store.commit(unit.clone()).await {
            // Once unknown, a store that is away says nothing about the first try.
            Err(
                e @ (store::Error::OutcomeUnknown(_)
                | store::Error::Unavailable(_)
                | store::Error::Backend(_)),
            ) if tries > 0 || matches!(e, store::Error::OutcomeUnknown(_)) => {
                tries += 1;
                if tries > core.limits.resubmits {
                    give_up(core, &e);
                    return Err(store::Error::OutcomeUnknown(Box::new(e)));
                }
                warn!(unit = %unit.id, tries, error = %e, "the outcome of a commit is unknown; submitting it again");
                tokio::time::sleep(jitter(core, tries)).await;
            }
            outcome => return outcome,
        }
    }
}

/// The service ends: nobody knows what its store has.
fn give_up(core: &Core, e: &store::Error) {
    error!(service = core.name, error = %e, "the outcome of a commit stays unknown");
    core.fatal.send_replace(Some(format!("{}: {e}", core.name)));
}

/// From about a millisecond, doubled per attempt up to about 250.
fn jitter(core: &Core, attempt: u32) -> Duration {
    let most = Duration::from_millis(1 << attempt.min(8));
    most.mul_f64(0.5 + core.clock.chance() / 2.0)
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".to_owned());
    error!(panic = text, "a handler panicked; nothing it did is kept");
    Failure::new(Kind::Internal, format!("the handler panicked: {text}"))
}
