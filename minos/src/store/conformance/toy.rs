//! Small units to build properties from.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    message::{Headers, Kind, Message},
    payload::Payload,
    store::{Error, Guard, Head, NewEvent, Result, Store, StreamId, UnitOfWork, Write},
};

/// How long a property may wait for what must come.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Some fixed time.
pub(super) fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_750_000_000_000_000 + micros).unwrap()
}

/// A new id.
pub(super) fn id() -> Uuid {
    Uuid::now_v7()
}

/// A stream of a new `Toy`.
pub(super) fn toy() -> StreamId {
    StreamId::new("Toy", id())
}

/// JSON text.
pub(super) fn json(text: impl Into<String>) -> Payload {
    Payload::from_text(text.into())
}

/// An empty unit; each is a microsecond later than the one before.
pub(super) fn unit() -> UnitOfWork {
    static TICKS: AtomicI64 = AtomicI64::new(0);
    UnitOfWork::new(id(), at(TICKS.fetch_add(1, Ordering::Relaxed)))
}

/// A unit with one write.
pub(super) fn writing(write: Write) -> UnitOfWork {
    UnitOfWork {
        writes: vec![write],
        ..unit()
    }
}

/// A write of so many events.
pub(super) fn write(stream: &StreamId, expected: Option<Guard>, events: usize) -> Write {
    let before = expected.map_or(0, |g| g.version);
    let event = |n: usize| NewEvent {
        id: id(),
        name: "ToyMoved".to_owned(),
        payload: json(format!("{{\"step\":{}}}", before + n as u64 + 1)),
        headers: Headers {
            source: "toys".to_owned(),
            correlation: Some(stream.id),
            ..Headers::default()
        },
    };
    let version = before + events as u64;
    Write {
        stream: stream.clone(),
        expected,
        events: (0..events).map(event).collect(),
        state: Some(json(format!("{{\"steps\":{version}}}"))),
        claims: Vec::new(),
    }
}

/// Creates a toy with one event.
pub(super) async fn create(store: &dyn Store, stream: &StreamId) -> Guard {
    grow(store, stream, None).await
}

/// Adds one event.
pub(super) async fn grow(store: &dyn Store, stream: &StreamId, expected: Option<Guard>) -> Guard {
    let write = write(stream, expected, 1);
    let reached = write.reached().unwrap();
    store.commit(writing(write)).await.unwrap();
    reached
}

/// Where a stream stands.
pub(super) async fn head(store: &dyn Store, stream: &StreamId) -> Option<Head> {
    let mut heads = store.load(std::slice::from_ref(stream)).await.unwrap();
    assert_eq!(heads.len(), 1, "one answer for one stream");
    heads.remove(0)
}

/// The guard of a stream that exists.
pub(super) async fn guard(store: &dyn Store, stream: &StreamId) -> Guard {
    head(store, stream).await.unwrap().guard
}

/// A command.
pub(super) fn message(key: &str, payload: &str) -> Message {
    Message {
        id: id(),
        kind: Kind::Command,
        topic: "MoveToy".to_owned(),
        name: "MoveToy".to_owned(),
        key: key.to_owned(),
        at: at(7),
        headers: Headers {
            source: "toys".to_owned(),
            user: Some(id()),
            custom: [("a \"quoted\" key".to_owned(), "ä\u{0}€".to_owned())].into(),
            ..Headers::default()
        },
        payload: json(payload),
    }
}

/// Expects a version conflict with these versions.
#[track_caller]
pub(super) fn conflicts(result: Result<()>, expected_version: u64, found: u64) {
    match result {
        Err(Error::Conflict {
            expected, actual, ..
        }) => assert_eq!((expected, actual), (expected_version, found)),
        other => panic!("expected a conflict, got {other:?}"),
    }
}

/// Expects that the log holds exactly so many events.
pub(super) async fn log_has(store: &dyn Store, events: usize) {
    let log = store
        .events(crate::store::Position::START, 100_000)
        .await
        .unwrap();
    assert_eq!(log.len(), events);
}
