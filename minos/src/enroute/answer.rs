//! What a handler answers.

use serde::Serialize;

use crate::{
    error::{Error, ErrorModel, Failure, Never},
    model::Model,
    payload::Payload,
};

/// How a handler ended, ready for any door.
#[derive(Debug)]
pub enum Answer {
    /// It did what was asked.
    Done {
        /// The HTTP status.
        status: u16,
        /// The reply; [`None`] for `()`.
        body: Option<Payload>,
    },
    /// It refused in its own words; nothing it did is kept.
    Refused(Refused),
    /// It failed; nothing it did is kept.
    Failed(Failure),
}

/// A typed refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The variant's name.
    pub code: &'static str,
    /// In words.
    pub text: String,
    /// The error model as JSON.
    pub body: Payload,
}

/// The work goes on; answered with 202.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted<T>(pub T);

/// An answer with a status of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Response<T> {
    status: u16,
    body: T,
}

impl<T> Response<T> {
    /// 200 OK.
    pub fn ok(body: T) -> Self {
        Self { status: 200, body }
    }

    /// 201 Created.
    pub fn created(body: T) -> Self {
        Self { status: 201, body }
    }

    /// 202 Accepted.
    pub fn accepted(body: T) -> Self {
        Self { status: 202, body }
    }
}

/// What a handler may put into `Ok(..)`.
#[diagnostic::on_unimplemented(
    message = "a handler cannot answer `{Self}`",
    label = "not an answer",
    note = "answer `()`, a `#[model]` type, `Accepted<model>`, or `Response<model>`"
)]
pub trait Reply: Send {
    /// The type of the body.
    type Body;

    /// The answer.
    fn answer(self) -> Answer;
}

impl Reply for () {
    type Body = ();

    fn answer(self) -> Answer {
        Answer::Done {
            status: 204,
            body: None,
        }
    }
}

impl<T: Model> Reply for T {
    type Body = T;

    fn answer(self) -> Answer {
        done(200, &self)
    }
}

impl<T: Model> Reply for Accepted<T> {
    type Body = T;

    fn answer(self) -> Answer {
        done(202, &self.0)
    }
}

impl<T: Model> Reply for Response<T> {
    type Body = T;

    fn answer(self) -> Answer {
        done(self.status, &self.body)
    }
}

fn done<T: Serialize>(status: u16, body: &T) -> Answer {
    match Payload::encode(body) {
        Ok(body) => Answer::Done {
            status,
            body: Some(body),
        },
        Err(e) => Answer::Failed(e.into_failure()),
    }
}

/// What a handler may put into `Err(..)`.
#[diagnostic::on_unimplemented(
    message = "a handler cannot fail with `{Self}`",
    label = "not a handler error",
    note = "fail with `minos::Error` or `Error<YourErrorModel>`"
)]
pub trait Refusal: Send {
    /// The typed refusals.
    type Model;

    /// The answer.
    fn answer(self) -> Answer;
}

impl Refusal for Error<Never> {
    type Model = Never;

    fn answer(self) -> Answer {
        Answer::Failed(self.into_failure())
    }
}

impl<E: ErrorModel> Refusal for Error<E> {
    type Model = E;

    fn answer(self) -> Answer {
        match self {
            Error::Failed(f) => Answer::Failed(f),
            Error::Refused(e) => match Payload::encode(&e) {
                Ok(body) => Answer::Refused(Refused {
                    status: e.status(),
                    code: e.code(),
                    text: e.to_string(),
                    body,
                }),
                Err(e) => Answer::Failed(e.into_failure()),
            },
        }
    }
}

/// What a handler may return: a `Result`.
#[diagnostic::on_unimplemented(
    message = "a handler must return a `Result`, found `{Self}`",
    label = "not a `Result`",
    note = "write `-> Result<T>` or `-> Result<T, Error<YourErrorModel>>`"
)]
pub trait Outcome: Send {
    /// The type of the reply.
    type Ok;
    /// The type of the refusals.
    type Err;

    /// The answer.
    fn answer(self) -> Answer;
}

impl<T: Reply, E: Refusal> Outcome for Result<T, E> {
    type Ok = T::Body;
    type Err = E::Model;

    fn answer(self) -> Answer {
        match self {
            Ok(reply) => reply.answer(),
            Err(error) => error.answer(),
        }
    }
}
