//! From the log and the outbox to the broker.
//!
//! The relay reads with a cursor in batches, awaits the whole batch, then moves the cursor by compare-and-set with
//! a fence. Whatever goes wrong, it starts again from the stored cursor; consumers know duplicates.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::sync::watch;
use tracing::warn;

use super::Stop;
use crate::{
    broker::Broker,
    context::Core,
    error::Result,
    health::Health,
    message::{Headers, Kind, Message},
    store::{Cursor, Position, StoredEvent},
};

/// How many messages are published at once.
const BATCH: u32 = 512;
/// How often the store is asked when nobody says that it changed (another process may have written).
const POLL: Duration = Duration::from_millis(200);

/// Publishes one service's events and outgoing messages.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    pub(crate) core: Arc<Core>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) health: Arc<Health>,
    pub(crate) name: String,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Events,
    Outbox,
}

impl Source {
    fn cursor(self) -> &'static str {
        match self {
            Source::Events => "relay:events",
            Source::Outbox => "relay:outbox",
        }
    }
}

impl Relay {
    pub(crate) async fn run(self, stop: Stop) -> Result<()> {
        let mut changes = self.core.store.changes();
        let mut topics = BTreeSet::new();
        let mut events = self.core.store.take_cursor(Source::Events.cursor()).await?;
        let mut outbox = self.core.store.take_cursor(Source::Outbox.cursor()).await?;
        self.health.up(&self.name);
        loop {
            // What is there when the stop comes is still published: the loop ends only when nothing is left.
            let stopped = stop.stopped();
            changes.mark_unchanged();
            let some = self.step(Source::Outbox, &mut outbox, &mut topics).await?;
            let more = self.step(Source::Events, &mut events, &mut topics).await?;
            if some || more {
                continue;
            }
            if stopped {
                return Ok(());
            }
            wait(&mut changes, &stop, POLL).await;
        }
    }

    /// Publishes the next batch; `false` if there is none.
    async fn step(
        &self,
        source: Source,
        cursor: &mut Cursor,
        topics: &mut BTreeSet<String>,
    ) -> Result<bool> {
        let store = &self.core.store;
        let (last, messages) = match source {
            Source::Events => {
                let events = store.events(cursor.position, BATCH).await?;
                (
                    events.last().map(|e| e.position),
                    events.into_iter().map(message).collect::<Vec<_>>(),
                )
            }
            Source::Outbox => {
                let (positions, messages): (Vec<Position>, Vec<_>) = store
                    .outbox(cursor.position, BATCH)
                    .await?
                    .into_iter()
                    .unzip();
                (positions.last().copied(), messages)
            }
        };
        let Some(last) = last else { return Ok(false) };
        let new: BTreeSet<String> = messages
            .iter()
            .map(|m| &m.topic)
            .filter(|t| !topics.contains(*t))
            .cloned()
            .collect();
        if !new.is_empty() {
            self.broker
                .ensure_topics(&new.iter().cloned().collect::<Vec<_>>())
                .await?;
            topics.extend(new);
        }
        self.broker.publish(&messages).await?;
        if store.move_cursor(source.cursor(), *cursor, last).await? {
            cursor.position = last;
            if matches!(source, Source::Outbox) {
                store.trim_outbox(last).await?;
            }
        } else {
            // Another instance took over. It publishes; this one becomes the holder again if that one stops.
            warn!(
                cursor = source.cursor(),
                "another instance relays; taking over if it stops"
            );
            let seen = store.cursor(source.cursor()).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            *cursor = match store.cursor(source.cursor()).await? {
                now if now == seen => store.take_cursor(source.cursor()).await?,
                now => Cursor {
                    position: now.position,
                    ..*cursor
                },
            };
        }
        Ok(true)
    }
}

/// Waits for a change of the store, a stop, or the poll.
pub(super) async fn wait(changes: &mut watch::Receiver<u64>, stop: &Stop, poll: Duration) {
    tokio::select! {
        // An error means that the store is closed; the poll finds out.
        changed = changes.changed() => if changed.is_err() { tokio::time::sleep(poll).await },
        () = stop.wait(), if !stop.stopped() => {}
        () = tokio::time::sleep(poll) => {}
    }
}

/// An event of the log as a message.
pub(super) fn message(event: StoredEvent) -> Message {
    Message {
        id: event.id,
        kind: Kind::Event,
        topic: event.stream.aggregate,
        name: event.name,
        key: event.stream.id.to_string(),
        at: event.at,
        headers: Headers {
            stream: Some(event.stream.id),
            version: Some(event.version),
            ..event.headers
        },
        payload: event.payload,
    }
}
