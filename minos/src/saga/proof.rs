//! Questions that generated code asks rustc about the steps of a saga, so that the answer comes in our words.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::{Outgoing, StepTarget, Target, Verdict};
use crate::{
    error::{Error, Kind, Result},
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
    /// If it cannot be written as JSON, or is a saga: those cannot be sent yet.
    fn outgoing(&self) -> Result<Outgoing>;
}

/// What a saga in a saga will do.
///
/// # Errors
/// Always: [`NotNested`] keeps such a step from compiling.
pub fn nested() -> Result<Outgoing> {
    Err(Error::new(
        Kind::Internal,
        "a saga cannot start another one yet",
    ))
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

    /// It is no saga of its own.
    #[must_use]
    pub const fn not_nested(self) -> Self
    where
        K: NotNested,
    {
        self
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

/// A kind of message that a step can send today.
#[diagnostic::on_unimplemented(
    message = "a step that starts another saga is not supported yet",
    label = "another saga",
    note = "send a command whose handler calls `cx.start(..)`"
)]
pub trait NotNested {}
impl NotNested for SendsCommand {}
impl NotNested for SendsQuery {}

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
