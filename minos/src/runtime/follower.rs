//! From the own log to the own handlers of events.

use std::{sync::Arc, time::Duration};

use super::{
    Stop,
    consumer::subscribes,
    handle::Handler,
    keyed::Keyed,
    relay::{message, wait},
};
use crate::{
    enroute::{Handlers, Role},
    error::Result,
    health::Health,
    message::Message,
};

/// How many events are read at once.
const BATCH: u32 = 512;
/// How often the log is read when nobody says that it changed (another process may have written).
const POLL: Duration = Duration::from_millis(200);

/// Follows the log for one impl block.
#[derive(Debug, Clone)]
pub(crate) struct Follower {
    pub(crate) handler: Handler,
    pub(crate) handlers: Handlers,
    pub(crate) health: Arc<Health>,
    pub(crate) name: String,
    pub(crate) concurrency: usize,
}

impl Follower {
    pub(crate) async fn run(self, stop: Stop) -> Result<()> {
        let store = self.handler.core.store.clone();
        let mut changes = store.changes();
        let name = format!("follow:{}", self.handlers.name);
        let mut cursor = store.take_cursor(&name).await?;
        if cursor.fence == 1 && self.handlers.role == Role::Command {
            // A reaction begins now, not at the first event ever.
            let now = store.last_position().await?;
            if store.move_cursor(&name, cursor, now).await? {
                cursor.position = now;
            }
        }
        self.health.up(&self.name);
        while !stop.stopped() {
            changes.mark_unchanged();
            let events = store.events(cursor.position, BATCH).await?;
            let Some(last) = events.last().map(|e| e.position) else {
                wait(&mut changes, &stop, POLL).await;
                continue;
            };
            self.deliver(events.into_iter().map(message)).await?;
            if store.move_cursor(&name, cursor, last).await? {
                cursor.position = last;
            } else {
                // Another instance follows too. Marks keep effects single; taking turns keeps both going.
                stop.sleep(POLL).await;
                cursor = store.take_cursor(&name).await?;
            }
        }
        Ok(())
    }

    /// Handles a batch: the events of one aggregate in order, several aggregates at once.
    async fn deliver(&self, events: impl Iterator<Item = Message>) -> Result<()> {
        let mut keyed: Keyed<Message> = Keyed::new(self.concurrency);
        for event in events.filter(|e| subscribes(&self.handlers, e)) {
            keyed.push(format!("{}/{}", event.topic, event.key), event);
        }
        let follower = Arc::new(self.clone());
        while !keyed.is_idle() {
            keyed.start(|event| {
                let follower = follower.clone();
                async move {
                    follower
                        .handler
                        .event(&follower.handlers, &event, true)
                        .await
                }
            });
            keyed.finished().await?;
        }
        Ok(())
    }
}
