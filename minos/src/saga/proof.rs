//! Questions that generated code asks rustc about the steps of a saga, so that the answer comes in our words.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::{Outgoing, Saga, StepTarget, Target, Verdict, flow::send};
use crate::{
    error::{ErrorModel, Never, Result},
    message::Contract,
    payload::Payload,
};

/// What a remote step returns, by its kind. `#[contract]` and `#[saga]` write it.
#[diagnostic::on_unimplemented(
    message = "a saga step cannot send `{Self}`",
    label = "not a contract that is answered",
    note = "return a `#[contract]` (remote step), or take `cx: &Context` (local step)"
)]
pub trait Sends: StepTarget {
    /// [`SendsCommand`], [`SendsQuery`], or [`SendsSaga`].
    type Kind;

    /// Encodes it.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    fn outgoing(&self) -> Result<Outgoing>;

    /// How many sagas stand in one another below it.
    const A_SAGA_IN_A_SAGA_MUST_END: usize = 0;
}

/// A command: what it did must be undone.
#[derive(Debug)]
pub enum SendsCommand {}
/// A query: there is nothing to undo.
#[derive(Debug)]
pub enum SendsQuery {}
/// Another saga.
#[derive(Debug)]
pub enum SendsSaga {}

/// What a step sends: `T`, of the kind `K`, answered with `R` or refused with `E`.
///
/// Kind, reply, and error are parameters of their own, so that a type which cannot be sent is one error.
#[derive(Debug)]
pub struct Sent<T, K, R, E> {
    /// Whom it reaches.
    pub target: Target,
    /// Encodes it.
    pub send: fn(&T) -> Result<Outgoing>,
    /// How many sagas stand in one another below it.
    pub depth: usize,
    of: PhantomData<(K, R, E)>,
}

/// What a step sends.
#[must_use]
pub const fn sent<T: Sends>() -> Sent<T, T::Kind, T::Reply, T::Error> {
    Sent {
        target: Target {
            kind: T::KIND,
            name: T::NAME,
        },
        send: T::outgoing,
        depth: T::A_SAGA_IN_A_SAGA_MUST_END,
        of: PhantomData,
    }
}

/// Reads an answer.
pub type Reader<T> = fn(&Payload) -> Result<T>;

impl<T, K, R, E> Sent<T, K, R, E> {
    /// Reads the reply as the callback's type.
    #[must_use]
    pub const fn reply<Got: Reads<R>>(&self) -> Reader<Got> {
        Got::read
    }

    /// Reads the error as the callback's type.
    #[must_use]
    pub const fn error<Got: ReadsError<E>>(&self) -> Reader<Got> {
        Got::read
    }

    /// The reply need not be read.
    #[must_use]
    pub const fn unread(self) -> Self
    where
        R: NothingToRead,
    {
        self
    }

    /// The step need not be undone.
    #[must_use]
    pub const fn needs_no_undo(self) -> Self
    where
        K: NeedsNoUndo,
    {
        self
    }

    /// There is an error to read.
    #[must_use]
    pub const fn refuses(self) -> Self
    where
        E: CanRefuse,
    {
        self
    }

    /// All was asked.
    pub const fn hold(self) {}
}

/// A callback of this type can read the reply.
#[diagnostic::on_unimplemented(
    message = "this callback reads `{Self}`, the step replies `{Reply}`",
    label = "expected `{Reply}`"
)]
pub trait Reads<Reply>: Sized {
    /// Decodes it.
    fn read(payload: &Payload) -> Result<Self>;
}

impl<T: DeserializeOwned> Reads<T> for T {
    fn read(payload: &Payload) -> Result<Self> {
        payload.decode()
    }
}

/// A callback of this type can read the error.
#[diagnostic::on_unimplemented(
    message = "this callback reads `{Self}`, the step refuses with `{Refusal}`",
    label = "expected `{Refusal}`"
)]
pub trait ReadsError<Refusal>: Sized {
    /// Decodes it.
    fn read(payload: &Payload) -> Result<Self>;
}

impl<T: DeserializeOwned> ReadsError<T> for T {
    fn read(payload: &Payload) -> Result<Self> {
        payload.decode()
    }
}

/// Whether there is an error at all is a question of its own: [`CanRefuse`].
impl<T: DeserializeOwned> ReadsError<Never> for T {
    fn read(payload: &Payload) -> Result<Self> {
        payload.decode()
    }
}

/// A reply that nobody need read.
#[diagnostic::on_unimplemented(
    message = "nobody reads the reply `{Self}` of this step",
    label = "a reply nobody reads",
    note = "add `on_success = ..` to the step, or `ignore_reply = \"reason\"`"
)]
pub trait NothingToRead {}
impl NothingToRead for () {}

/// A kind of message that leaves nothing to undo.
#[diagnostic::on_unimplemented(
    message = "this step has no compensation",
    label = "a later step can fail, so what this one did must be undone",
    note = "add `compensate = ..` or `no_compensation = \"reason\"`; a step that sends a `#[contract(query)]` needs none"
)]
pub trait NeedsNoUndo {}
impl NeedsNoUndo for SendsQuery {}

/// An error that a step can refuse with: any but [`Never`].
#[diagnostic::on_unimplemented(
    message = "this step never refuses: what it sends has no error model",
    label = "there is no error to read",
    note = "remove `on_error`, or give the contract its refusal: `#[contract(error = YourErrorModel)]`"
)]
pub trait CanRefuse {}
impl<E: ErrorModel> CanRefuse for E {}

/// Encodes a saga that a step starts.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn nested<S: Saga>(saga: &S) -> Result<Outgoing> {
    send(saga)
}

/// How deep a saga stands above those that it starts, by how deep each of them is.
#[must_use]
pub const fn deeper<const N: usize>(below: [usize; N]) -> usize {
    let (mut deepest, mut rest) = (0, below.as_slice());
    while let [first, others @ ..] = rest {
        if *first > deepest {
            deepest = *first;
        }
        rest = others;
    }
    deepest + 1
}

/// What a step waits for: its name, and how it is read.
#[derive(Debug)]
pub struct Awaited<T> {
    /// The name of the signal.
    pub name: &'static str,
    /// Reads it.
    pub read: Reader<T>,
}

/// What a step waits for.
#[must_use]
pub const fn signal<T: Signal>() -> Awaited<T> {
    Awaited {
        name: T::NAME,
        read: Payload::decode::<T>,
    }
}

/// What a saga may be told, and a step may wait for. `#[contract]` writes it, unless it is a query.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a signal of a saga",
    label = "neither a command nor an event",
    note = "a signal is a `#[contract]` or a `#[contract(event)]`; a query and a saga tell nobody anything"
)]
pub trait Signal: Contract {}

/// What a condition may return.
#[diagnostic::on_unimplemented(
    message = "a condition cannot return `{Self}`",
    label = "not a `bool`",
    note = "return `bool`: whether the step runs"
)]
pub trait Condition {
    /// Whether it holds.
    fn holds(self) -> bool;
}

impl Condition for bool {
    fn holds(self) -> bool {
        self
    }
}

/// What a condition says.
pub fn holds<C: Condition>(said: C) -> bool {
    said.holds()
}

/// What a callback may return.
#[diagnostic::on_unimplemented(
    message = "a saga callback cannot return `{Self}`",
    label = "not a verdict",
    note = "return `()` to go on, a `Verdict`, or a `Result<Verdict>`"
)]
pub trait IntoVerdict {
    /// The verdict.
    fn into_verdict(self) -> Result<Verdict>;
}

impl IntoVerdict for () {
    fn into_verdict(self) -> Result<Verdict> {
        Ok(Verdict::Continue)
    }
}

impl IntoVerdict for Verdict {
    fn into_verdict(self) -> Result<Verdict> {
        Ok(self)
    }
}

impl IntoVerdict for Result<Verdict> {
    fn into_verdict(self) -> Result<Verdict> {
        self
    }
}

/// What a callback decided.
///
/// # Errors
/// The callback's.
pub fn verdict<V: IntoVerdict>(decided: V) -> Result<Verdict> {
    decided.into_verdict()
}
