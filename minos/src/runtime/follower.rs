//! From the own log to the own handlers of events.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    Stop,
    consumer::subscribes,
    handle::{Handler, Incoming},
    keyed::Keyed,
    relay::{message, wait},
};
use crate::{
    enroute::{Handlers, Role},
    error::Result,
    health::Health,
    message::{Message, Outcome, Status},
    payload::Payload,
    store::{self, InboxMark, Position, UnitOfWork},
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

/// The cursor of an impl block.
fn cursor(handlers: &Handlers) -> String {
    format!("follow:{}", handlers.name)
}

/// Whether an impl block that follows the log has not come to its end.
#[cfg(any(test, feature = "testing"))]
pub(crate) async fn is_behind(
    store: &dyn store::Store,
    handlers: &Handlers,
) -> store::Result<bool> {
    let cursor = store.cursor(&cursor(handlers)).await?;
    // Who follows has taken it.
    Ok(cursor.fence > 0 && !store.events(cursor.position, 1).await?.is_empty())
}

impl Follower {
    pub(crate) async fn run(self, stop: Stop) -> Result<()> {
        let store = self.handler.core.store.clone();
        let mut changes = store.changes();
        let name = cursor(&self.handlers);
        let begin = self.begin().await?;
        let mut cursor = store.take_cursor(&name).await?;
        while cursor.position < begin {
            if store.move_cursor(&name, cursor, begin).await? {
                cursor.position = begin;
            } else {
                cursor = store.take_cursor(&name).await?;
            }
        }
        self.health.up(&self.name);
        self.handler.loose.notify_one();
        while !stop.stopped() {
            changes.mark_unchanged();
            let events = store.events(cursor.position, BATCH).await?;
            let Some(last) = events.last().map(|e| e.position) else {
                wait(&mut changes, &stop, POLL).await;
                continue;
            };
            if !self.deliver(events.into_iter().map(message), &stop).await? {
                // Stopped on the way: the rest comes after the restart.
                return Ok(());
            }
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

    /// Where it begins: a view at the first event ever, a reaction at the last one when it was first started. One
    /// commit decides that for all instances and restarts.
    async fn begin(&self) -> Result<Position> {
        if self.handlers.role == Role::Query {
            return Ok(Position::START);
        }
        let (core, consumer) = (&self.handler.core, "begin".to_owned());
        let message = Uuid::new_v5(&Uuid::NAMESPACE_OID, self.handlers.name.as_bytes());
        let mut outcome = core.store.inbox(&consumer, message).await?.flatten();
        if outcome.is_none() {
            let Position { epoch, xid, row } = core.store.last_position().await?;
            let now = Outcome {
                status: Status::Done,
                payload: Payload::encode(&(epoch, xid, row))?,
            };
            let mut unit = UnitOfWork::new(core.clock.new_uuid(), core.clock.now());
            unit.inbox = Some(InboxMark {
                consumer,
                message,
                outcome: Some(now.clone()),
            });
            outcome = match core.store.commit(unit).await {
                Err(store::Error::Duplicate { outcome, .. }) => outcome,
                done => done.map(|()| Some(now))?,
            };
        }
        let (epoch, xid, row) = outcome.map_or(Ok((0, 0, 0)), |o| o.payload.decode())?;
        Ok(Position { epoch, xid, row })
    }

    /// Handles a batch: the events of one aggregate in order, several aggregates at once. `false` if stopped before
    /// its end.
    async fn deliver(&self, events: impl Iterator<Item = Message>, stop: &Stop) -> Result<bool> {
        let mut keyed: Keyed<Message> = Keyed::new(self.concurrency);
        for event in events.filter(|e| subscribes(&self.handlers, e)) {
            keyed.push(format!("{}/{}", event.topic, event.key), event);
        }
        let follower = Arc::new(self.clone());
        while !keyed.is_idle() {
            if stop.stopped() && !keyed.is_running() {
                return Ok(false);
            }
            if !stop.stopped() {
                keyed.start(|event| {
                    let follower = follower.clone();
                    async move {
                        let incoming = Incoming {
                            message: &event,
                            origin: None,
                        };
                        follower.handler.event(&follower.handlers, incoming).await
                    }
                });
            }
            keyed.finished().await?;
        }
        Ok(true)
    }
}
