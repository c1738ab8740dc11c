//! Sagas as operators see them, and what they do to them.

use std::{fmt, sync::Arc};

use tracing::info;
use uuid::Uuid;

use super::{Decision, operation::plain, sagas};
use crate::{
    context::Core,
    error::{Error, Failure, Kind, Result},
    payload::Payload,
    saga::{
        Timeline,
        machine::{self, By, Moved, Wish},
        run::Run,
    },
    store::{self, SagaFilter, SagaRow},
};

/// How many lines of a history are shown.
const LINES: u32 = 1000;
/// How often a decision is tried while the saga moves.
const TRIES: u32 = 16;

/// The sagas of one service: to be looked at, and moved by hand. Every decision is a line in the history of its saga.
#[derive(Clone)]
pub struct Sagas {
    core: Arc<Core>,
}

impl fmt::Debug for Sagas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sagas({})", self.core.name)
    }
}

/// One run as it is shown.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ShownSaga {
    /// Its row.
    pub row: SagaRow,
    /// What became of its steps; [`None`] if its state cannot be read.
    pub timeline: Option<Timeline>,
    /// The last lines of its history, oldest first. Of a saga that moved more than 500 times the first lines, every
    /// decision, and the last 100 of the others are kept, these without what is long in them; a line between them says
    /// how many there were.
    pub history: Vec<Payload>,
    /// Whether there are lines before these.
    pub cut: bool,
}

impl Sagas {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The sagas that are meant, the newest first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self, filter: &SagaFilter) -> Result<Vec<SagaRow>> {
        Ok(self.core.store.sagas(filter).await?)
    }

    /// One saga.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none of this id (any more).
    pub async fn show(&self, id: Uuid) -> Result<ShownSaga> {
        let row = self.row(id).await?;
        let mut history = self.core.store.saga_history(id, LINES + 1).await?;
        let cut = u32::try_from(history.len()).is_ok_and(|n| n > LINES);
        if cut {
            history.remove(0);
        }
        let now = self.core.clock.now();
        let run = Run::seen(&row).ok();
        Ok(ShownSaga {
            timeline: run.map(|run| Timeline::of(&run, now)),
            history: machine::whole(history, &row),
            row,
            cut,
        })
    }

    /// Lets a saga that is stuck go on where it stands - forward, or undoing - with fresh attempts.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none of this id, [`Kind::Conflict`] if it is not stuck.
    pub async fn retry(&self, id: Uuid, decision: &Decision) -> Result<SagaRow> {
        self.operate(id, Wish::Retry, decision).await
    }

    /// Takes what a saga is stuck at, or waits for, for done - or, while it is undone, for undone. `step` says which,
    /// if there are several.
    ///
    /// Nobody checks that somebody else did it: a compensation that is skipped leaves what the step did.
    ///
    /// # Errors
    /// [`Kind::Invalid`] without a reason, [`Kind::NotFound`] if there is none of this id, [`Kind::Conflict`] if there
    /// is no such step, or more than one.
    pub async fn skip(&self, id: Uuid, step: Option<&str>, decision: &Decision) -> Result<SagaRow> {
        reasoned(decision)?;
        self.operate(id, Wish::Skip(step), decision).await
    }

    /// Undoes a saga. What is under way is called off first; once that is resolved, what is done is undone.
    ///
    /// # Errors
    /// [`Kind::Invalid`] without a reason, [`Kind::NotFound`] if there is none of this id, [`Kind::Conflict`] if it has
    /// ended, is undone already, or is past its pivot: then there is only forward.
    pub async fn cancel(&self, id: Uuid, decision: &Decision) -> Result<SagaRow> {
        reasoned(decision)?;
        self.operate(id, Wish::Cancel, decision).await
    }

    /// Gives a saga a signal, as `cx.signal(..)` does.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no saga of this id, [`Kind::Conflict`] if nobody waits for it, or will.
    pub async fn signal(
        &self,
        id: Uuid,
        name: &str,
        content: &Payload,
        decision: &Decision,
    ) -> Result<SagaRow> {
        let noted = Noted::of(decision);
        let moved = |row: SagaRow| {
            let flow = sagas::flow(&self.core, &row)?;
            let env = sagas::env(&self.core, None);
            let (moved, taken) =
                machine::signal(flow, row, (name, content), Some(noted.by()), &env)?;
            match taken {
                true => Ok(moved),
                false => Err(Error::new(
                    Kind::Conflict,
                    format!("the saga does not wait for the signal `{name}`, and will not"),
                )),
            }
        };
        self.move_by(id, "signal", decision, moved).await
    }

    async fn operate(&self, id: Uuid, wish: Wish<'_>, decision: &Decision) -> Result<SagaRow> {
        let noted = Noted::of(decision);
        let what = match wish {
            Wish::Cancel => "cancel",
            Wish::Retry => "retry",
            Wish::Skip(_) => "skip",
        };
        let moved = |row: SagaRow| {
            let flow = sagas::flow(&self.core, &row)?;
            machine::operate(flow, row, wish, noted.by(), &sagas::env(&self.core, None))
        };
        self.move_by(id, what, decision, moved).await
    }

    async fn move_by(
        &self,
        id: Uuid,
        what: &str,
        decision: &Decision,
        transition: impl Fn(SagaRow) -> Result<Moved>,
    ) -> Result<SagaRow> {
        for _ in 0..TRIES {
            let row = self.row(id).await?;
            let moved = transition(row).map_err(|e| match e.kind() {
                Some(Kind::Wiring) => Error::new(
                    Kind::Conflict,
                    format!("{e}: decide at an instance that has it, or bring it back first"),
                ),
                _ => e,
            })?;
            // It is not to be moved because the wrong instance was asked.
            if moved.misfit {
                let text = "this build does not have a step of the saga, or has another one of its name: decide at an \
                            instance that has it, or bring it back first";
                return Err(Error::new(Kind::Conflict, text));
            }
            let row = moved.row.clone();
            match sagas::commit(&self.core, moved, None).await {
                Err(store::Error::Moved { .. }) => {}
                done => {
                    done?;
                    let Decision { by, why, .. } = decision;
                    info!(saga = %id, by, why, status = row.status,
                        "an operator decides about a saga: {what}");
                    return Ok(row);
                }
            }
        }
        let text = "the saga moves too fast; look at it, and decide again";
        Err(Error::new(Kind::Conflict, text))
    }

    async fn row(&self, id: Uuid) -> Result<SagaRow> {
        let row = self.core.store.saga(id).await?;
        row.ok_or_else(|| Error::new(Kind::NotFound, "there is no such saga (any more)"))
    }
}

/// What is noted of a decision: texts that every backend can keep.
struct Noted {
    who: String,
    why: String,
}

impl Noted {
    fn of(decision: &Decision) -> Self {
        Self {
            who: plain(&decision.by),
            why: plain(&decision.why),
        }
    }

    fn by(&self) -> By<'_> {
        By {
            who: &self.who,
            why: &self.why,
        }
    }
}

fn reasoned(decision: &Decision) -> Result<()> {
    if decision.why.trim().is_empty() {
        let text = "say why, for those who read it later";
        return Err(Failure::new(Kind::Invalid, text).at("/reason").into());
    }
    Ok(())
}
