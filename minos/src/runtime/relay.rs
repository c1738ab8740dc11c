//! From the log and the outbox to the broker.
//!
//! The relay reads with a cursor in batches, awaits the whole batch, then moves the cursor by compare-and-set with
//! a fence. Whatever goes wrong, it starts again from the stored cursor; consumers know duplicates.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use tracing::{error, warn};
use uuid::Uuid;

use super::{Stop, park};
use crate::{
    broker::{self, Broker},
    context::Core,
    error::Result,
    health::Health,
    message::{Headers, Kind, Message},
    store::{self, Cursor, DeadLetter, InboxMark, Position, Reason, StoredEvent, UnitOfWork},
};

/// By which name letters say that a message could not be published.
pub(super) const RELAY: &str = "relay";
/// How many messages are published at once.
const BATCH: u32 = 512;
/// How often the store is asked when nobody says that it changed (another process may have written).
const POLL: Duration = Duration::from_millis(200);

/// How often a cursor moves at most: its commit would compete with those of the handlers. What was published since
/// is published again after a crash.
const LAZINESS: Duration = Duration::from_millis(100);
/// How long another instance's cursor may stand still, while something waits, before it is taken over.
const PATIENCE: Duration = Duration::from_secs(1);
/// Each time more, so that two that are both slow do not take it from each other, and publish everything twice.
const MOST_PATIENCE: Duration = Duration::from_secs(8);
/// Who took it this long ago has no rival.
const CALM: Duration = Duration::from_secs(10);

/// The cursor of what is sent.
pub(super) const OUTBOX: &str = "relay:outbox";

/// The ids of the messages and events that, as far as the store knows, still have to be published; at most a batch.
#[cfg(any(test, feature = "testing"))]
pub(crate) async fn unsent(store: &dyn store::Store) -> store::Result<Vec<Uuid>> {
    let (outbox, events) = (
        store.cursor(Source::Outbox.cursor()).await?,
        store.cursor(Source::Events.cursor()).await?,
    );
    let messages = store.outbox(outbox.position, BATCH).await?;
    let events = store.events(events.position, BATCH).await?;
    let messages = messages.into_iter().map(|(_, message)| message.id);
    Ok(messages.chain(events.into_iter().map(|e| e.id)).collect())
}

/// Publishes one service's events and outgoing messages.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    pub(crate) core: Arc<Core>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) health: Arc<Health>,
    pub(crate) name: String,
    /// What this process took before, for a run after one that failed.
    pub(crate) taken: Arc<Mutex<BTreeMap<&'static str, Taken>>>,
}

/// How a cursor was taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    fence: i64,
    at: Instant,
    /// How long a rival may stand still from now on.
    patience: Duration,
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
            Source::Outbox => OUTBOX,
        }
    }
}

/// How far one source is published.
#[derive(Debug)]
struct Tail {
    source: Source,
    /// As it is stored, with the fence of this instance.
    cursor: Cursor,
    /// Everything up to here is published.
    sent: Position,
    moved_at: Instant,
    /// When this instance last saw that the cursor is its own.
    looked_at: Option<Instant>,
    /// What comes after `sent`, if that was read already.
    next: Option<Batch>,
    /// Where another instance's cursor stands, and since when.
    foreign: Option<(Cursor, Instant)>,
}

/// Messages, and where they stand.
#[derive(Debug)]
struct Batch {
    places: Vec<Position>,
    messages: Vec<Message>,
}

impl Relay {
    pub(crate) async fn run(self, stop: Stop) -> Result<()> {
        let mut changes = self.core.store.changes();
        let mut topics = BTreeSet::new();
        let mut outbox = self.begin(Source::Outbox).await?;
        let mut events = self.begin(Source::Events).await?;
        self.health.up(&self.name);
        loop {
            // What is there when the stop comes is still published: the loop ends only when nothing is left.
            let stopped = stop.stopped();
            changes.mark_unchanged();
            let some = self.step(&mut outbox, &mut topics).await?;
            let more = self.step(&mut events, &mut topics).await?;
            if some || more {
                continue;
            }
            for tail in [&mut outbox, &mut events] {
                if stopped || tail.moved_at.elapsed() >= LAZINESS {
                    self.settle(tail).await?;
                }
            }
            if stopped {
                return Ok(());
            }
            let behind = [&outbox, &events]
                .iter()
                .any(|t| t.sent != t.cursor.position);
            wait(&mut changes, &stop, if behind { LAZINESS } else { POLL }).await;
        }
    }

    /// Goes on where this process was. What another instance took over meanwhile is left to it: each would publish
    /// again what the other one did.
    async fn begin(&self, source: Source) -> Result<Tail> {
        let Some(taken) = self.taken(source) else {
            return self.take(source, PATIENCE).await;
        };
        let stored = self.core.store.cursor(source.cursor()).await?;
        let foreign = (stored.fence != taken.fence).then(|| (stored, Instant::now()));
        Ok(Tail {
            source,
            cursor: Cursor {
                fence: taken.fence,
                ..stored
            },
            sent: stored.position,
            moved_at: Instant::now(),
            looked_at: None,
            next: None,
            foreign,
        })
    }

    async fn take(&self, source: Source, patience: Duration) -> Result<Tail> {
        let cursor = self.core.store.take_cursor(source.cursor()).await?;
        let taken = Taken {
            fence: cursor.fence,
            at: Instant::now(),
            patience,
        };
        let mut all = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(source.cursor(), taken);
        Ok(Tail {
            source,
            cursor,
            sent: cursor.position,
            moved_at: Instant::now(),
            looked_at: None,
            next: None,
            foreign: None,
        })
    }

    fn taken(&self, source: Source) -> Option<Taken> {
        let all = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(source.cursor()).copied()
    }

    /// How long another instance may stand still now.
    fn patience(&self, source: Source) -> Duration {
        match self.taken(source) {
            Some(taken) if taken.at.elapsed() < CALM + taken.patience => taken.patience,
            _ => PATIENCE,
        }
    }

    /// Publishes the next batch; `false` if there is none, or if another instance does it.
    async fn step(&self, tail: &mut Tail, topics: &mut BTreeSet<String>) -> Result<bool> {
        let batch = match tail.next.take() {
            Some(next) => next,
            None => self.read(tail.source, tail.sent).await?,
        };
        let Some(last) = batch.places.last().copied() else {
            return Ok(false);
        };
        if !self.holds(tail).await? {
            return Ok(false);
        }
        let unknown = |m: &&Message| !topics.contains(&m.topic);
        let new: BTreeSet<&String> = batch
            .messages
            .iter()
            .filter(unknown)
            .map(|m| &m.topic)
            .collect();
        if !new.is_empty() {
            let new: Vec<String> = new.into_iter().cloned().collect();
            self.broker.ensure_topics(&new).await?;
            topics.extend(new);
        }
        let published = self.broker.publish(&batch.messages);
        // Where more waits, it is read meanwhile.
        let (published, next) = if batch.messages.len() == BATCH as usize {
            let (published, next) = tokio::join!(published, self.read(tail.source, last));
            (published, Some(next?))
        } else {
            (published.await, None)
        };
        match published {
            Err(broker::Error::TooLarge { .. }) => self.publish_each(tail.source, &batch).await?,
            published => published?,
        }
        tail.next = next;
        tail.sent = last;
        if tail.moved_at.elapsed() >= LAZINESS {
            self.settle(tail).await?;
        }
        Ok(true)
    }

    /// What comes after a place.
    async fn read(&self, source: Source, after: Position) -> Result<Batch> {
        let store = &self.core.store;
        let (places, messages) = match source {
            Source::Events => {
                let events = store.events(after, BATCH).await?;
                events.into_iter().map(|e| (e.position, message(e))).unzip()
            }
            Source::Outbox => store.outbox(after, BATCH).await?.into_iter().unzip(),
        };
        Ok(Batch { places, messages })
    }

    /// Whether this instance is the one that publishes; takes over from one that stands still.
    async fn holds(&self, tail: &mut Tail) -> Result<bool> {
        // Who is fenced off finds out when its cursor does not move; until then messages come twice.
        if tail.foreign.is_none() && tail.looked_at.is_some_and(|at| at.elapsed() < LAZINESS) {
            return Ok(true);
        }
        let stored = self.core.store.cursor(tail.source.cursor()).await?;
        tail.looked_at = Some(Instant::now());
        if stored.fence == tail.cursor.fence {
            // A crash of the server may have set it back: it moves from where it stands.
            tail.cursor = stored;
            tail.foreign = None;
            return Ok(true);
        }
        tail.sent = stored.position;
        tail.next = None;
        match tail.foreign {
            Some((seen, since)) if seen == stored => {
                let patience = self.patience(tail.source);
                if since.elapsed() >= patience {
                    warn!(
                        cursor = tail.source.cursor(),
                        "another instance stands still; taking over"
                    );
                    *tail = self
                        .take(tail.source, (patience * 2).min(MOST_PATIENCE))
                        .await?;
                }
            }
            _ => tail.foreign = Some((stored, Instant::now())),
        }
        Ok(false)
    }

    /// Moves the stored cursor to what is published.
    async fn settle(&self, tail: &mut Tail) -> Result<()> {
        tail.moved_at = Instant::now();
        if tail.sent == tail.cursor.position || tail.foreign.is_some() {
            return Ok(());
        }
        let store = &self.core.store;
        if store
            .move_cursor(tail.source.cursor(), tail.cursor, tail.sent)
            .await?
        {
            tail.cursor.position = tail.sent;
            if matches!(tail.source, Source::Outbox) {
                store.trim_outbox(tail.sent).await?;
            }
        } else {
            // Another instance took over; `holds` finds out what it does.
            tail.foreign = Some((tail.cursor, Instant::now()));
        }
        Ok(())
    }

    /// One after the other, because one is too large: that one is parked, the others go on.
    async fn publish_each(&self, source: Source, batch: &Batch) -> Result<()> {
        for (position, message) in batch.places.iter().zip(&batch.messages) {
            match self.broker.publish(std::slice::from_ref(message)).await {
                Err(e @ broker::Error::TooLarge { .. }) => {
                    error!(message = %message.id, name = message.name, error = %e, "a message is parked");
                    self.park(source, *position, message, &e.to_string())
                        .await?;
                }
                published => published?,
            }
        }
        Ok(())
    }

    async fn park(
        &self,
        source: Source,
        position: Position,
        message: &Message,
        why: &str,
    ) -> Result<()> {
        let (store, clock) = (&self.core.store, &self.core.clock);
        let mut unit = UnitOfWork::new(clock.new_uuid(), clock.now());
        // By its place: a batch may come again, but a message that was replayed has a new one.
        let Position { epoch, xid, row } = position;
        let place = format!("{} {epoch}/{xid}/{row}", source.cursor());
        unit.inbox = Some(InboxMark {
            consumer: format!("parked:{RELAY}"),
            message: Uuid::new_v5(&message.id, place.as_bytes()),
            outcome: None,
        });
        unit.dead_letters.push(DeadLetter {
            id: clock.new_uuid(),
            consumer: RELAY.to_owned(),
            key: park::key(message),
            message: message.clone(),
            reason: Reason::Unpublished,
            error: why.to_owned(),
            attempts: 1,
            at: clock.now(),
            origin: None,
            history: Vec::new(),
            bytes: None,
        });
        match store.commit(unit).await {
            // It was parked before: the batch came again.
            Err(store::Error::Duplicate { .. }) => Ok(()),
            done => Ok(done?),
        }
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
