//! Event-sourced microservices by annotating structs and impl blocks.

#[cfg(all(
    any(doc, doctest),
    feature = "http",
    feature = "local",
    feature = "macros",
    feature = "sqlite"
))]
pub mod _guide;
pub mod aggregate;
pub mod broker;
mod check;
pub mod clock;
pub mod config;
pub mod context;
pub mod enroute;
pub mod error;
mod health;
#[cfg(feature = "http")]
mod http;
mod log;
pub mod message;
pub mod model;
mod payload;
mod private;
mod runtime;
pub mod saga;
mod service;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod view;

pub use uuid::Uuid;

pub use crate::{
    context::Context,
    enroute::{Accepted, Request, Resources, Response, Service},
    error::{Error, Result},
    payload::Payload,
    private::__private,
    runtime::{DeadLetters, Decision, Left, Operation, Report, Sagas, ShownSaga},
    service::{Builder, Running, run},
};
pub use chrono;
#[cfg(all(feature = "macros", feature = "testing"))]
pub use minos_macros::crash_test;
#[cfg(feature = "macros")]
pub use minos_macros::{
    aggregate, aggregate_ref, command_service, construct, contract, error_model, main, model,
    query_service, read_model, saga, step,
};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sqlx;

/// What a service crate uses: `use minos::prelude::*;`.
pub mod prelude {
    pub use chrono::{DateTime, Utc};
    #[cfg(feature = "macros")]
    pub use minos_macros::{
        aggregate, aggregate_ref, command_service, construct, contract, error_model, model,
        query_service, read_model, saga, step,
    };
    pub use uuid::Uuid;

    pub use crate::{
        aggregate::{Aggregate, Created, Deleted, Filter, Ref, Root, Updated},
        context::Context,
        enroute::{self, Accepted, Request, Resources, Response},
        error::{Error, Result},
        saga::{SagaId, Verdict},
        view::ReadModel,
    };
}

/// Names this crate as one service: the crate's `service()` has all its handlers and sagas.
///
/// It belongs into the crate root (`lib.rs`, or the root of a `tests/*.rs`).
///
/// ```
/// minos::service!("foo");
/// # fn main() { assert_eq!(service().name(), "foo"); }
/// ```
#[macro_export]
macro_rules! service {
    ($name:literal) => {
        #[doc(hidden)]
        #[allow(non_camel_case_types, missing_debug_implementations)]
        pub struct __put_minos_service_in_lib_rs;

        impl $crate::__private::ServiceName for __put_minos_service_in_lib_rs {
            const NAME: &'static str = $name;
        }

        /// Everything that this crate registers, as one service.
        #[must_use]
        pub fn service() -> $crate::Service {
            $crate::Service::of::<__put_minos_service_in_lib_rs>()
        }
    };
}
