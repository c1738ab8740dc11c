//! The only names that generated code may use. Not a public API.

#[doc(hidden)]
pub mod __private {
    use core::{future::Future, marker::PhantomData};
    pub use std::borrow::Cow;
    use std::{error::Error as StdError, process::ExitCode};

    pub use inventory::{self, submit};
    pub use schemars;
    pub use serde;

    pub use crate::{
        aggregate::{Aggregate, AggregateEntry, Field, Subject, private::*},
        context::Context,
        enroute::{
            At, Content, Door, FromRaw, Outcome, Raw, Refusal, Reply, Resources, Role, Route,
            ServiceName, private::*,
        },
        error::{Error, ErrorModel, Never, Result},
        message::{Contract, ContractKind},
        model::Model,
        payload::Payload,
        saga::{
            Action, Callback, Lapse, Outgoing, Saga, SagaEntry, Step, StepEnd, StepTarget, Target,
            TargetKind, Verdict, When, private::*,
        },
        view::ReadModel,
    };

    /// Asks whether a model may keep a field of type `T`: `(&&Kept::<T>::NEW).kept()`.
    ///
    /// A type of another crate that serde and schemars know may be kept; it is found first, behind one reference
    /// more. What is left is asked in our words.
    #[derive(Debug)]
    pub struct Kept<T>(PhantomData<fn() -> T>);

    impl<T> Kept<T> {
        /// The question.
        pub const NEW: Self = Self(PhantomData);
    }

    /// A type that has all that a model is derived from.
    pub trait KeptAsIs {
        /// It may be kept.
        fn kept(&self) {}
    }
    impl<T: serde::Serialize + serde::de::DeserializeOwned + schemars::JsonSchema> KeptAsIs
        for &Kept<T>
    {
    }

    /// Any other type.
    pub trait KeptAsModel<T> {
        /// It would have to be a model.
        fn kept(&self)
        where
            T: Model,
        {
        }
    }
    impl<T> KeptAsModel<T> for Kept<T> {}

    /// A contract may promise this reply.
    pub const fn is_reply<T: ContractReply>() {}

    /// What a contract may promise as its reply.
    #[diagnostic::on_unimplemented(
        message = "a contract cannot promise the reply `{Self}`",
        label = "not a model",
        note = "add `#[model]` to `{Self}`, or leave `reply` out for a handler that answers `()`"
    )]
    pub trait ContractReply {}
    impl ContractReply for () {}
    impl<T: Model> ContractReply for T {}

    /// A contract may promise this error.
    pub const fn is_error<T: ContractError>() {}

    /// What a contract may promise as its error.
    #[diagnostic::on_unimplemented(
        message = "a contract cannot promise the error `{Self}`",
        label = "not an error model",
        note = "add `#[error_model]` to `{Self}`"
    )]
    pub trait ContractError {}
    impl ContractError for Never {}
    impl<T: ErrorModel> ContractError for T {}

    /// Runs the body of `#[minos::main]`, and reports how it ended.
    pub fn block_on<F, E>(main: F) -> ExitCode
    where
        F: Future<Output = core::result::Result<(), E>>,
        E: Into<Box<dyn StdError>>,
    {
        crate::check::block_on(main)
    }

    /// Runs the body of `#[minos::main]` only as far as it checks the wiring.
    ///
    /// # Errors
    /// With all that does not fit.
    pub fn wiring<F, E>(main: F) -> core::result::Result<(), Report>
    where
        F: Future<Output = core::result::Result<(), E>>,
        E: Into<Box<dyn StdError>>,
    {
        crate::check::wiring(main)
    }

    pub use crate::check::{Report, check_only};
}
