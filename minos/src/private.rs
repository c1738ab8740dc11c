//! The only names that generated code may use. Not a public API.

#[doc(hidden)]
pub mod __private {
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
}
