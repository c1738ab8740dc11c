//! The only names that generated code may use. Not a public API.

#[doc(hidden)]
pub mod __private {
    use core::future::Future;
    use std::{error::Error as StdError, process::ExitCode};

    pub use inventory::{self, submit};
    pub use schemars;
    pub use serde;

    pub use crate::{
        aggregate::{Aggregate, AggregateEntry, Field, Subject},
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
            Action, Callback, Outgoing, Saga, SagaEntry, Step, StepEnd, StepTarget, TargetKind,
            Verdict, private::*,
        },
        view::ReadModel,
    };

    /// Marks a changed field as present, so that a change to `null` is not mistaken for "unchanged".
    ///
    /// # Errors
    /// If the value does not fit.
    pub fn changed<'de, T: serde::Deserialize<'de>, D: serde::Deserializer<'de>>(
        d: D,
    ) -> core::result::Result<Option<T>, D::Error> {
        T::deserialize(d).map(Some)
    }

    /// What an aggregate does with a field of type `T`.
    ///
    /// All generated code asks for it with the same words at the same place, so that rustc reports a field that is
    /// no model once.
    #[derive(Debug)]
    pub struct Stored<T> {
        /// The new value, if it is another one.
        pub change: fn(&T, &T) -> Option<T>,
        /// Takes over a changed value.
        pub put: fn(&mut T, &Option<T>),
    }

    /// The field can be stored.
    #[must_use]
    pub const fn stored<T: Model>() -> Stored<T> {
        Stored {
            change: |old, new| (old != new).then(|| new.clone()),
            put: |field, change| {
                if let Some(value) = change {
                    field.clone_from(value);
                }
            },
        }
    }

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
