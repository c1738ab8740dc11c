//! From messages and requests to handlers.

mod answer;
mod proof;
mod registry;
mod request;
mod route;

pub use self::{
    answer::{Accepted, Answer, Outcome, Refusal, Refused, Reply, Response},
    registry::{Resources, Service, ServiceName, wiring_problems},
    request::{Content, FromRaw, Raw, Request},
    route::{At, Call, Door, Role, Route, RouteInfo},
};
pub(crate) use self::{registry::Handlers, route::BoxFuture};
#[doc(hidden)]
pub mod private {
    pub use super::{
        proof::{
            IsCommand, IsEvent, IsQuery, OnCreated, OnDeleted, OnUpdated, command, command_terms,
            construct, event, event_of_field, event_terms, hears, hears_field, http, query,
            query_terms,
        },
        registry::{Dispatch, Entry, Plain, Serves, plain},
        route::{BoxFuture, handle},
    };
}

/// Attributes that bind a handler to the broker.
#[cfg(feature = "macros")]
pub mod broker {
    pub use minos_macros::{
        broker_command as command, broker_event as event, broker_query as query,
    };
}

/// Attributes that bind a handler to HTTP.
#[cfg(feature = "macros")]
pub mod rest {
    pub use minos_macros::{rest_command as command, rest_query as query};
}
