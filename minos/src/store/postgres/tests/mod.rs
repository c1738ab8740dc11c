//! The suite, and what only PostgreSQL can get wrong.

mod cluster;
mod cut;
mod epochs;
mod faults;
mod health;
mod order;
mod server;
mod start;
mod tls;
mod user;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use self::server::Database;
use super::{Options, Store};
use crate::{
    message::{Headers, Kind, Message},
    payload::Payload,
    store::{
        self, Guard, InboxMark, NewEvent, Position, Store as _, StoredEvent, StreamId, UnitOfWork,
        Write,
        conformance::{Fixture, suite},
    },
};

/// How long a test may wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

#[async_trait]
impl Fixture for Database {
    async fn store(&self) -> Arc<dyn store::Store> {
        self.open(patient()).await
    }

    async fn reopen(&self) -> Option<Arc<dyn store::Store>> {
        Some(self.open(patient()).await)
    }
}

/// Tests share a server: somebody else's transaction may hide what was committed for a while.
fn patient() -> Options {
    Options {
        settle: PATIENCE,
        pool: 4,
        ..Options::default()
    }
}

suite!(postgres_store, Database::new().await);

fn at() -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_micros(1_750_000_000_000_000).unwrap()
}

fn empty() -> UnitOfWork {
    UnitOfWork::new(Uuid::now_v7(), at())
}

fn stream() -> StreamId {
    StreamId::new("Toy", Uuid::now_v7())
}

/// A unit that adds one event.
fn adding(stream: &StreamId, expected: Option<Guard>) -> UnitOfWork {
    let mut unit = empty();
    unit.writes = vec![write(stream, expected)];
    unit
}

fn write(stream: &StreamId, expected: Option<Guard>) -> Write {
    let version = expected.map_or(0, |g| g.version) + 1;
    Write {
        stream: stream.clone(),
        expected,
        events: vec![NewEvent {
            id: Uuid::now_v7(),
            name: "ToyMoved".to_owned(),
            payload: Payload::from_text("{\"step\":1}"),
            headers: Headers::default(),
        }],
        state: Some(Payload::from_text(format!("{{\"steps\":{version}}}"))),
        claims: Vec::new(),
    }
}

fn inbox(message: Uuid) -> InboxMark {
    InboxMark {
        consumer: "toys".to_owned(),
        message,
        outcome: None,
    }
}

fn message(key: &str) -> Message {
    Message {
        id: Uuid::now_v7(),
        kind: Kind::Command,
        topic: "MoveToy".to_owned(),
        name: "MoveToy".to_owned(),
        key: key.to_owned(),
        at: at(),
        headers: Headers::default(),
        payload: Payload::from_text("{}"),
    }
}

async fn guard(store: &dyn store::Store, stream: &StreamId) -> Option<Guard> {
    let heads = store.load(std::slice::from_ref(stream)).await.unwrap();
    heads[0].as_ref().map(|head| head.guard)
}

/// Waits for a condition.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "{what} never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Every event stands at its version, and the heads stand at the last.
async fn assert_whole(store: &Store, events: usize) {
    let mut log: Vec<StoredEvent> = Vec::new();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    // What another instance committed may be hidden for a moment.
    while log.len() < events && tokio::time::Instant::now() < deadline {
        log = store.events(Position::START, 10_000_000).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    log = store.events(Position::START, 10_000_000).await.unwrap();
    assert_eq!(log.len(), events);
    let mut streams: BTreeMap<StreamId, Guard> = BTreeMap::new();
    for event in &log {
        let before = streams.get(&event.stream).map_or(0, |g| g.version);
        assert_eq!(event.version, before + 1, "{}", event.stream);
        let guard = Guard {
            version: event.version,
            tail: event.id,
        };
        streams.insert(event.stream.clone(), guard);
    }
    let ids: Vec<StreamId> = streams.keys().cloned().collect();
    for (head, last) in store.load(&ids).await.unwrap().iter().zip(streams.values()) {
        assert_eq!(head.as_ref().map(|h| h.guard), Some(*last));
    }
}
