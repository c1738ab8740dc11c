//! The suite, and what only SQLite can get wrong.

mod files;
mod plans;
mod user;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;

use super::{Options, Store};
use crate::{
    payload::Payload,
    store::{
        self, Guard, NewEvent, Position, Store as _, StreamId, UnitOfWork, Write,
        conformance::{Fixture, suite},
    },
};

/// How long a test may wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file in a folder of its own.
struct File {
    folder: tempfile::TempDir,
}

impl File {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> String {
        let path = self.folder.path().join("data/store.db");
        path.display().to_string()
    }

    async fn open(&self, options: Options) -> Arc<Store> {
        Arc::new(Store::open(&self.path(), options).await.unwrap())
    }

    /// A connection that knows nothing of the store.
    async fn stranger(&self) -> SqliteConnection {
        let url = format!("sqlite://{}", self.path());
        SqliteConnection::connect(&url).await.unwrap()
    }
}

#[async_trait]
impl Fixture for File {
    async fn store(&self) -> Arc<dyn store::Store> {
        self.open(Options::default()).await
    }

    async fn reopen(&self) -> Option<Arc<dyn store::Store>> {
        Some(self.open(Options::default()).await)
    }
}

suite!(sqlite_store, File::new());

/// A unit that adds one event.
fn adding(stream: &StreamId, expected: Option<Guard>, text: &str) -> UnitOfWork {
    let version = expected.map_or(0, |g| g.version) + 1;
    let at = chrono::DateTime::from_timestamp_micros(1_750_000_000_000_000).unwrap();
    let mut unit = UnitOfWork::new(Uuid::now_v7(), at);
    unit.writes = vec![Write {
        stream: stream.clone(),
        expected,
        events: vec![NewEvent {
            id: Uuid::now_v7(),
            name: "Added".to_owned(),
            payload: Payload::from_text(format!("\"{text}\"")),
            headers: crate::message::Headers::default(),
        }],
        state: Some(Payload::from_text(version.to_string())),
        claims: Vec::new(),
    }];
    unit
}

fn stream() -> StreamId {
    StreamId::new("Toy", Uuid::now_v7())
}

async fn guard(store: &Store, stream: &StreamId) -> Option<Guard> {
    let heads = store.load(std::slice::from_ref(stream)).await.unwrap();
    heads[0].as_ref().map(|head| head.guard)
}

/// Adds an event, again and again until nobody was faster; says how often that took more than one attempt.
async fn insist(store: &Store, stream: &StreamId) -> usize {
    for lost in 0.. {
        let expected = guard(store, stream).await;
        match store.commit(adding(stream, expected, "x")).await {
            Ok(()) => return lost,
            Err(e) if e.is_conflict() => {}
            Err(e) => panic!("{e:?}"),
        }
    }
    unreachable!()
}

/// Every event stands at its version, and the heads stand at the last.
async fn assert_whole(store: &Store, events: usize) {
    let log = store.events(Position::START, 1_000_000).await.unwrap();
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
    for (stream, last) in &streams {
        assert_eq!(guard(store, stream).await, Some(*last));
    }
}
