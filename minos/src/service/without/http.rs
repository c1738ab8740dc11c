//! A build without the feature `http`: services are reached through the broker alone.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::{
    config, context::Core, enroute::Handlers, error::Result, health::Health, runtime::DeadLetters,
};

/// No door.
#[derive(Debug)]
pub(super) struct Door;

#[allow(
    clippy::unused_async,
    reason = "the door of the feature `http` is async"
)]
pub(super) async fn open(
    _core: &Arc<Core>,
    _handlers: &Arc<Vec<Handlers>>,
    _health: &Arc<Health>,
    _letters: &DeadLetters,
    _settings: &config::Http,
) -> Result<Door> {
    Ok(Door)
}

impl Door {
    #[allow(
        clippy::unused_self,
        reason = "the door of the feature `http` has an address"
    )]
    pub(super) fn address(&self) -> Option<SocketAddr> {
        None
    }

    #[allow(
        clippy::unused_async,
        reason = "the door of the feature `http` is async"
    )]
    pub(super) async fn close(self, _grace: Duration) -> bool {
        true
    }
}
