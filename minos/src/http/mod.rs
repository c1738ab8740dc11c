//! The HTTP door: requests become units of work, what they answer becomes responses.
//!
//! It speaks JSON both ways; what went wrong is a problem document (RFC 9457). Nobody from outside is believed who
//! says in a header who they are. No other folder names `actix_web`.

mod body;
mod headers;
mod idempotency;
mod letters;
mod operator;
mod params;
mod reply;
mod routes;
mod sagas;
mod serve;
mod server;
mod spec;
mod system;

#[cfg(test)]
mod tests;

use std::sync::{Arc, atomic::AtomicBool};

pub(crate) use self::server::{Server, bind};
use crate::{
    config,
    context::{Core, Slots},
    enroute::Handlers,
    health::Health,
    runtime::DeadLetters,
};

/// One service, as its HTTP door sees it.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) core: Arc<Core>,
    pub(crate) handlers: Arc<Vec<Handlers>>,
    pub(crate) health: Arc<Health>,
    pub(crate) letters: DeadLetters,
    pub(crate) settings: config::Http,
}

/// What all requests of one service share.
#[derive(Debug)]
struct Shared {
    app: App,
    table: routes::Table,
    /// Requests with one `Idempotency-Key` wait for each other.
    turns: Slots,
    /// Set when every answer closes its connection.
    closing: AtomicBool,
    /// Set when no request is begun any more.
    closed: AtomicBool,
}
