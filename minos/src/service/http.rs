//! The HTTP door of a service.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::{
    config,
    context::Core,
    enroute::Handlers,
    error::Result,
    health::Health,
    http::{App, Server, bind},
    runtime::DeadLetters,
};

/// An open door.
#[derive(Debug)]
pub(super) struct Door(Server);

pub(super) async fn open(
    core: &Arc<Core>,
    handlers: &Arc<Vec<Handlers>>,
    health: &Arc<Health>,
    letters: &DeadLetters,
    settings: &config::Http,
) -> Result<Door> {
    let app = App {
        core: core.clone(),
        handlers: handlers.clone(),
        health: health.clone(),
        letters: letters.clone(),
        settings: settings.clone(),
    };
    bind(app).await.map(Door)
}

impl Door {
    pub(super) fn address(&self) -> Option<SocketAddr> {
        Some(self.0.local_addr())
    }

    /// Lets requests in work be answered, and closes; `false` if some were cut off.
    pub(super) async fn close(self, grace: Duration) -> bool {
        self.0.stop(grace).await
    }
}
