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

/// Decides without an answer: nobody gave one in time.
pub type Lapse<S> = fn(&mut S) -> Result<Verdict>;

/// Whom a step calls: known at build time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// What kind of message it gets.
    pub kind: TargetKind,
    /// Its name.
    pub name: &'static str,
}

/// What a step, or its compensation, does.
pub enum Action<S> {
    /// Sends a command or a query, or starts another saga, and waits for its answer.
    Remote(Target, fn(&S) -> Result<Outgoing>),
    /// Runs here, in the unit of work of the transition.
    Local(for<'a> fn(&'a mut S, &'a Context) -> BoxFuture<'a, StepEnd>),
    /// Sends nothing, and waits for a signal of this name, which the callback reads.
    Wait(&'static str, Callback<S>),
}

/// A condition on the state, with the name of its method.
pub struct When<S> {
    /// The method.
    pub name: &'static str,
    /// Whether it holds.
    pub holds: fn(&S) -> bool,
}

impl<S> fmt::Debug for When<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "When({})", self.name)
    }
}

impl<S> fmt::Debug for Action<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Remote(..) => "Remote",
            Action::Local(_) => "Local",
            Action::Wait(..) => "Wait",
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
    /// Decides when nobody answered in time, after all attempts.
    pub on_timeout: Option<Lapse<S>>,
    /// The pause before the first repetition; it doubles from one to the next.
    pub backoff: Option<Duration>,
    /// The longest pause.
    pub max_backoff: Option<Duration>,
    /// It runs only if this holds when it is reached.
    pub when: Option<When<S>>,
    /// It is in a branch of this choice: neighbours of one choice with one `when` are a branch, the first branch that
    /// holds runs, one without `when` is "otherwise".
    pub choice: Option<&'static str>,
    /// It runs at once with its neighbours of this group.
    pub parallel: Option<&'static str>,
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
            on_timeout: None,
            backoff: None,
            max_backoff: None,
            when: None,
            choice: None,
            parallel: None,
        }
    }

    /// Decides when nobody answered in time.
    #[must_use]
    pub const fn on_timeout(mut self, lapse: Lapse<S>) -> Self {
        self.on_timeout = Some(lapse);
        self
    }

    /// Milliseconds before the first repetition.
    #[must_use]
    pub const fn backoff(mut self, millis: u64) -> Self {
        self.backoff = Some(Duration::from_millis(millis));
        self
    }

    /// Milliseconds of the longest pause.
    #[must_use]
    pub const fn max_backoff(mut self, millis: u64) -> Self {
        self.max_backoff = Some(Duration::from_millis(millis));
        self
    }

    /// It runs only if this holds.
    #[must_use]
    pub const fn when(mut self, name: &'static str, holds: fn(&S) -> bool) -> Self {
        self.when = Some(When { name, holds });
        self
    }

    /// It is in a branch of this choice.
    #[must_use]
    pub const fn choice(mut self, name: &'static str) -> Self {
        self.choice = Some(name);
        self
    }

    /// It runs at once with its neighbours of this group.
    #[must_use]
    pub const fn parallel(mut self, group: &'static str) -> Self {
        self.parallel = Some(group);
        self
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

/// What a step does, or its compensation, without its functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Remote(Target),
    Local,
    Wait(&'static str),
}

/// What the machine must know of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepInfo {
    pub(crate) name: &'static str,
    pub(crate) what: What,
    pub(crate) compensation: Option<What>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: u32,
    pub(crate) pivot: bool,
    pub(crate) on_timeout: bool,
    pub(crate) backoff: Option<Duration>,
    pub(crate) max_backoff: Option<Duration>,
    pub(crate) when: Option<&'static str>,
    pub(crate) choice: Option<&'static str>,
    pub(crate) parallel: Option<&'static str>,
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

    /// Where it stands in the source.
    #[allow(dead_code, reason = "only the HTTP door shows it")]
    fn at(&self) -> Option<At> {
        None
    }

    /// A picture of it.
    #[allow(dead_code, reason = "only the HTTP door shows it")]
    fn diagram(&self) -> &'static str {
        ""
    }

    /// What a remote step (or its compensation) sends.
    fn request(&self, step: usize, undo: bool, state: &Payload) -> Result<Outgoing>;

    /// What an outcome means for the state and the flow. `Failed` and `Voided` compensate.
    fn read(&self, step: usize, outcome: &Outcome, state: &Payload) -> Result<(Verdict, Payload)>;

    /// Whether the step's `when` holds; `true` if it has none.
    fn holds(&self, step: usize, state: &Payload) -> Result<bool>;

    /// What a signal means for the state and the flow.
    fn signal(&self, step: usize, content: &Payload, state: &Payload)
    -> Result<(Verdict, Payload)>;

    /// What it means that nobody answered in time: `on_timeout`, or to compensate.
    fn lapse(&self, step: usize, state: &Payload) -> Result<(Verdict, Payload)>;

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

    fn at(&self) -> Option<At> {
        Some(S::AT)
    }

    fn diagram(&self) -> &'static str {
        S::DIAGRAM
    }

    fn steps(&self) -> Vec<StepInfo> {
        let what = |action: &Action<S>| match action {
            Action::Remote(target, _) => What::Remote(*target),
            Action::Local(_) => What::Local,
            Action::Wait(signal, _) => What::Wait(signal),
        };
        let info = |s: &Step<S>| StepInfo {
            name: s.name,
            what: what(&s.run),
            compensation: s.compensate.as_ref().map(what),
            timeout: s.timeout,
            retry: s.retry,
            pivot: s.pivot,
            on_timeout: s.on_timeout.is_some(),
            backoff: s.backoff,
            max_backoff: s.max_backoff,
            when: s.when.as_ref().map(|w| w.name),
            choice: s.choice,
            parallel: s.parallel,
        };
        S::STEPS.iter().map(info).collect()
    }

    fn request(&self, step: usize, undo: bool, state: &Payload) -> Result<Outgoing> {
        match Self::action(step, undo)? {
            Action::Remote(_, send) => {
                let saga = decode::<S>(state)?;
                guarded(|| send(&saga))
            }
            Action::Local(_) | Action::Wait(..) => Err(wrong::<S>(step, "it sends nothing")),
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
        change(state, |saga: &mut S| callback(saga, &outcome.payload))
    }

    fn holds(&self, step: usize, state: &Payload) -> Result<bool> {
        let Some(when) = &Self::step(step)?.when else {
            return Ok(true);
        };
        let saga = decode::<S>(state)?;
        guarded(|| Ok((when.holds)(&saga)))
    }

    fn signal(
        &self,
        step: usize,
        content: &Payload,
        state: &Payload,
    ) -> Result<(Verdict, Payload)> {
        let Action::Wait(_, read) = Self::action(step, false)? else {
            return Err(wrong::<S>(step, "it waits for no signal"));
        };
        change(state, |saga: &mut S| read(saga, content))
    }

    fn lapse(&self, step: usize, state: &Payload) -> Result<(Verdict, Payload)> {
        match Self::step(step)?.on_timeout {
            Some(lapse) => change(state, lapse),
            None => Ok((Verdict::Compensate, state.clone())),
        }
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

/// Lets a callback change the state and decide.
fn change<S: Model>(
    state: &Payload,
    callback: impl FnOnce(&mut S) -> Result<Verdict>,
) -> Result<(Verdict, Payload)> {
    let mut saga = decode::<S>(state)?;
    let verdict = guarded(|| callback(&mut saga))?;
    Ok((verdict, Payload::encode(&saga)?))
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
