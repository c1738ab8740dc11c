//! The steps of a saga as data, and the same with the saga's type forgotten.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use super::{Saga, StepTarget, TargetKind, Verdict};
use crate::{
    context::Context,
    enroute::{Answer, At, BoxFuture, Refusal, Refused},
    error::{Error, Failure, Kind, Result},
    message::{Outcome, Status},
    model::Model,
    payload::Payload,
};

/// What a remote step sends.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// What kind of message.
    pub kind: TargetKind,
    /// Its name.
    pub name: &'static str,
    /// Its content.
    pub payload: Payload,
}

/// Reads an answer and decides.
pub type Callback<S> = fn(&mut S, &Payload) -> Result<Verdict>;

/// What a step, or its compensation, does.
pub enum Action<S> {
    /// Sends a message and waits for its answer.
    Remote(fn(&S) -> Result<Outgoing>),
    /// Runs here, in the unit of work of the transition.
    Local(for<'a> fn(&'a mut S, &'a Context) -> BoxFuture<'a, StepEnd>),
}

impl<S> fmt::Debug for Action<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Remote(_) => "Remote",
            Action::Local(_) => "Local",
        })
    }
}

/// How a local step ended.
#[derive(Debug)]
pub enum StepEnd {
    /// It did its part.
    Done,
    /// It refused in its own words: undo.
    Refused(Refused),
    /// It failed: try again, then undo.
    Failed(Failure),
}

/// One step of a saga: data that `#[saga]` writes.
#[derive(Debug)]
pub struct Step<S: 'static> {
    /// Its stored name.
    pub name: &'static str,
    /// Where it stands in the source.
    pub at: At,
    /// What it does.
    pub run: Action<S>,
    /// Reads the reply of a remote step.
    pub on_success: Option<Callback<S>>,
    /// Reads the typed refusal of a remote step.
    pub on_error: Option<Callback<S>>,
    /// Undoes it.
    pub compensate: Option<Action<S>>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// How often it is tried again.
    pub retry: u32,
    /// After it there is only forward.
    pub pivot: bool,
}

impl<S> Step<S> {
    /// A step with nothing but its action.
    #[must_use]
    pub const fn new(name: &'static str, at: At, run: Action<S>) -> Self {
        Self {
            name,
            at,
            run,
            on_success: None,
            on_error: None,
            compensate: None,
            timeout: None,
            retry: 0,
            pivot: false,
        }
    }

    /// Reads the reply.
    #[must_use]
    pub const fn on_success(mut self, callback: Callback<S>) -> Self {
        self.on_success = Some(callback);
        self
    }

    /// Reads the typed refusal.
    #[must_use]
    pub const fn on_error(mut self, callback: Callback<S>) -> Self {
        self.on_error = Some(callback);
        self
    }

    /// Undoes it.
    #[must_use]
    pub const fn compensate(mut self, action: Action<S>) -> Self {
        self.compensate = Some(action);
        self
    }

    /// Milliseconds that one attempt may take.
    #[must_use]
    pub const fn timeout(mut self, millis: u64) -> Self {
        self.timeout = Some(Duration::from_millis(millis));
        self
    }

    /// How often it is tried again.
    #[must_use]
    pub const fn retry(mut self, times: u32) -> Self {
        self.retry = times;
        self
    }

    /// After it there is only forward.
    #[must_use]
    pub const fn pivot(mut self) -> Self {
        self.pivot = true;
        self
    }
}

/// Encodes what a remote step sends.
pub fn send<T: StepTarget + serde::Serialize>(target: &T) -> Result<Outgoing> {
    Ok(Outgoing {
        kind: T::KIND,
        name: T::NAME,
        payload: Payload::encode(target)?,
    })
}

/// Runs a local step to its end.
pub fn local<'a, E: LocalEnd, F: Future<Output = E> + Send + 'a>(
    step: F,
) -> BoxFuture<'a, StepEnd> {
    Box::pin(async move { step.await.end() })
}

/// What a local step may return.
#[diagnostic::on_unimplemented(
    message = "a local step cannot end in `{Self}`",
    label = "not `()` and not a `Result<()>`",
    note = "return `()`, `Result<()>`, or `Result<(), Error<YourErrorModel>>`"
)]
pub trait LocalEnd {
    /// How it ended.
    fn end(self) -> StepEnd;
}

impl LocalEnd for () {
    fn end(self) -> StepEnd {
        StepEnd::Done
    }
}

impl<E: Refusal> LocalEnd for Result<(), E> {
    fn end(self) -> StepEnd {
        match self.map_err(Refusal::answer) {
            Ok(()) | Err(Answer::Done { .. }) => StepEnd::Done,
            Err(Answer::Refused(refused)) => StepEnd::Refused(refused),
            Err(Answer::Failed(failure)) => StepEnd::Failed(failure),
        }
    }
}

/// What the machine must know of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepInfo {
    pub(crate) name: &'static str,
    pub(crate) local: bool,
    pub(crate) compensation: Option<Compensation>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: u32,
    pub(crate) pivot: bool,
}

/// How a step is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compensation {
    Remote,
    Local,
}

/// How a local step, or compensation, left the state.
#[derive(Debug)]
pub(crate) struct LocalOutcome {
    pub(crate) end: StepEnd,
    pub(crate) state: Payload,
}

/// A saga whose type is forgotten: the state goes in and out as JSON.
pub(crate) trait Flow: fmt::Debug + Send + Sync {
    fn name(&self) -> &'static str;
    fn deadline(&self) -> Option<Duration>;
    fn steps(&self) -> Vec<StepInfo>;

    /// What a remote step (or its compensation) sends.
    fn request(&self, step: usize, undo: bool, state: &Payload) -> Result<Outgoing>;

    /// What an outcome means for the state and the flow. `Failed` and `Voided` compensate.
    fn read(&self, step: usize, outcome: &Outcome, state: &Payload) -> Result<(Verdict, Payload)>;

    /// Runs a local step (or compensation) on a copy of the state.
    fn run<'a>(
        &'a self,
        step: usize,
        undo: bool,
        state: &'a Payload,
        cx: &'a Context,
    ) -> BoxFuture<'a, Result<LocalOutcome>>;
}

struct FlowOf<S>(PhantomData<fn() -> S>);

impl<S: Saga> fmt::Debug for FlowOf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(S::NAME)
    }
}

pub(crate) fn of<S: Saga>() -> Arc<dyn Flow> {
    Arc::new(FlowOf::<S>(PhantomData))
}

impl<S: Saga> FlowOf<S> {
    fn step(index: usize) -> Result<&'static Step<S>> {
        S::STEPS
            .get(index)
            .ok_or_else(|| wrong::<S>(index, "it has no such step"))
    }

    fn action(step: usize, undo: bool) -> Result<&'static Action<S>> {
        let step_at = Self::step(step)?;
        if !undo {
            return Ok(&step_at.run);
        }
        step_at
            .compensate
            .as_ref()
            .ok_or_else(|| wrong::<S>(step, "it has no compensation"))
    }
}

fn wrong<S: Saga>(step: usize, why: &str) -> Error {
    Error::new(
        Kind::Corrupt,
        format!("saga `{}`, step {step}: {why}", S::NAME),
    )
}

impl<S: Saga> Flow for FlowOf<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn deadline(&self) -> Option<Duration> {
        S::DEADLINE
    }

    fn steps(&self) -> Vec<StepInfo> {
        let info = |s: &Step<S>| StepInfo {
            name: s.name,
            local: matches!(s.run, Action::Local(_)),
            compensation: s.compensate.as_ref().map(|a| match a {
                Action::Remote(_) => Compensation::Remote,
                Action::Local(_) => Compensation::Local,
            }),
            timeout: s.timeout,
            retry: s.retry,
            pivot: s.pivot,
        };
        S::STEPS.iter().map(info).collect()
    }

    fn request(&self, step: usize, undo: bool, state: &Payload) -> Result<Outgoing> {
        match Self::action(step, undo)? {
            Action::Remote(send) => {
                let saga = decode::<S>(state)?;
                guarded(|| send(&saga))
            }
            Action::Local(_) => Err(wrong::<S>(step, "a local step sends nothing")),
        }
    }

    fn read(&self, step: usize, outcome: &Outcome, state: &Payload) -> Result<(Verdict, Payload)> {
        let (callback, default) = match outcome.status {
            Status::Done => (Self::step(step)?.on_success, Verdict::Continue),
            Status::Refused => (Self::step(step)?.on_error, Verdict::Compensate),
            Status::Failed | Status::Voided => (None, Verdict::Compensate),
        };
        let Some(callback) = callback else {
            return Ok((default, state.clone()));
        };
        let mut saga = decode::<S>(state)?;
        let verdict = guarded(|| callback(&mut saga, &outcome.payload))?;
        Ok((verdict, Payload::encode(&saga)?))
    }

    fn run<'a>(
        &'a self,
        step: usize,
        undo: bool,
        state: &'a Payload,
        cx: &'a Context,
    ) -> BoxFuture<'a, Result<LocalOutcome>> {
        Box::pin(async move {
            let Action::Local(run) = Self::action(step, undo)? else {
                return Err(wrong::<S>(step, "a remote step does not run here"));
            };
            let mut saga = decode::<S>(state)?;
            let end = run(&mut saga, cx).await;
            Ok(LocalOutcome {
                end,
                state: Payload::encode(&saga)?,
            })
        })
    }
}

/// A method of the saga that panics is a failure of this saga and of nothing else.
fn guarded<T>(method: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(method))
        .unwrap_or_else(|_| Err(Error::new(Kind::Internal, "a method of the saga panicked")))
}

fn decode<S: Model>(state: &Payload) -> Result<S> {
    state.decode().map_err(|e| {
        let text = format!("the stored state of a saga does not fit its type: {e}");
        Failure::new(Kind::Corrupt, text).because(e).into()
    })
}
