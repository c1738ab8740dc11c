//! The log: one order, nothing lost, nothing altered.

use std::{collections::HashMap, sync::Arc};

use uuid::Uuid;

use super::{Fixture, letters::letter, toy::*};
use crate::store::{
    Claim, Cursor, DeadLetter, InboxMark, LetterFilter, Mark, Position, SagaRow, Store,
    StoredEvent, StreamId, Timer, UnitOfWork, ViewWrite,
};

/// A reader that follows 16 writers sees every event once, and those of a stream in version order.
pub async fn the_log_has_one_order_under_many_writers(fixture: &dyn Fixture) {
    const WRITERS: usize = 16;
    const STREAMS: usize = 5;
    const EVENTS: usize = WRITERS * STREAMS * 6;
    let store = fixture.store().await;
    let reader = tokio::spawn(follow(store.clone(), EVENTS));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let streams: Vec<_> = (0..STREAMS).map(|_| toy()).collect();
                let mut guards = [None; STREAMS];
                for _ in 0..2 {
                    for (stream, guard) in streams.iter().zip(&mut guards) {
                        let write = write(stream, *guard, 3);
                        *guard = write.reached();
                        store.commit(writing(write)).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        tokio::time::timeout(PATIENCE, writer)
            .await
            .unwrap()
            .unwrap();
    }
    let followed = tokio::time::timeout(PATIENCE, reader)
        .await
        .unwrap()
        .unwrap();
    let all = store.events(Position::START, 100_000).await.unwrap();
    assert_eq!(followed, all, "following and reading at once see the same");
    assert_eq!(all.len(), EVENTS);
    assert!(all.is_sorted_by(|a, b| a.position < b.position));
    assert_eq!(
        store.last_position().await.unwrap(),
        all[EVENTS - 1].position
    );
    let mut versions: HashMap<StreamId, u64> = HashMap::new();
    for event in &all {
        let version = versions.entry(event.stream.clone()).or_default();
        *version += 1;
        assert_eq!(event.version, *version);
    }
    assert!(versions.values().all(|v| *v == 6));
}

async fn follow(store: Arc<dyn Store>, events: usize) -> Vec<StoredEvent> {
    let mut changes = store.changes();
    let mut seen = Vec::new();
    let mut after = Position::START;
    while seen.len() < events {
        changes.mark_unchanged();
        let page = store.events(after, 7).await.unwrap();
        let Some(last) = page.last() else {
            changes.changed().await.unwrap();
            continue;
        };
        after = last.position;
        seen.extend(page);
    }
    seen
}

/// A stream is read from any version, in pages.
pub async fn streams_are_read_in_pages(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    assert_eq!(store.last_position().await.unwrap(), Position::START);
    let (stream, other) = (toy(), toy());
    let unit = writing(write(&stream, None, 700));
    let ids: Vec<Uuid> = unit.writes[0].events.iter().map(|e| e.id).collect();
    store.commit(unit).await.unwrap();
    create(&*store, &other).await;
    let page = store.stream(&stream, 0, 3).await.unwrap();
    assert_eq!(
        page.iter().map(|e| e.version).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    let page = store.stream(&stream, 698, 10).await.unwrap();
    assert_eq!(
        page.iter().map(|e| e.version).collect::<Vec<_>>(),
        [699, 700]
    );
    let all = store.stream(&stream, 0, 1000).await.unwrap();
    assert_eq!(all.iter().map(|e| e.id).collect::<Vec<_>>(), ids);
    assert!(
        all.iter()
            .all(|e| e.stream == stream && e.name == "ToyMoved")
    );
    assert!(store.stream(&toy(), 0, 10).await.unwrap().is_empty());
    assert!(store.stream(&stream, 700, 10).await.unwrap().is_empty());
}

/// Payloads, headers, and names come back as they were given, byte by byte.
pub async fn payloads_survive_byte_by_byte(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let texts = [
        r#"{"b":1,"a":2,"b2":[1,2.0,3.50,1e2,-0.0,9223372036854775807,-9223372036854775808]}"#,
        r#"{"text":"ä € 😀 \u00e4 \ud83d\ude00 \" \\ \/ \n\t\r\b\f \u001f"}"#,
        r#"{ "spaces" : [ 1 ,2 ] , "nested" : {"x":null,"y":true,"z":false} }"#,
        r#"{"sql":"'; DROP TABLE events; --","json":"{\"a\":[\"b\"]}","pct":"%s ? $1 ?1 :a @b"}"#,
        r#"{"small":0.30000000000000004,"tiny":5e-324,"large":1.7976931348623157e308}"#,
        "[]",
        "{}",
        "null",
        "\"\"",
        "-0",
    ];
    let long = format!("{{\"long\":\"{}\"}}", "x\u{10FFFF}".repeat(50_000));
    for text in texts.into_iter().chain([&*long]) {
        let stream = StreamId::new("Tö'y\"", id());
        let mut unit = writing(write(&stream, None, 1));
        let event = &mut unit.writes[0].events[0];
        event.payload = json(text);
        event.name = "Na'me\"ä".to_owned();
        event.headers = message("k", "1").headers;
        unit.writes[0].state = Some(json(text));
        unit.outbox = vec![message(text, text)];
        unit.views = vec![ViewWrite {
            view: "v'iew".to_owned(),
            key: text.to_owned(),
            row: Some(json(text)),
        }];
        store.commit(unit.clone()).await.unwrap();
        let events = store.stream(&stream, 0, 10).await.unwrap();
        let written = &unit.writes[0].events[0];
        assert_eq!(events[0].payload.as_str(), text);
        assert_eq!(events[0].headers, written.headers);
        assert_eq!(events[0].name, written.name);
        let stands = head(&*store, &stream).await.unwrap();
        assert_eq!(stands.state.unwrap().as_str(), text);
        let sent = store.outbox(Position::START, 100).await.unwrap();
        assert_eq!(sent.last().unwrap().1, unit.outbox[0]);
        let row = store.view("v'iew", text).await.unwrap();
        assert_eq!(row.unwrap().as_str(), text);
    }
}

/// Times are kept to the microsecond; what is finer is dropped, on every backend alike.
pub async fn times_keep_microseconds(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let stream = toy();
    let fine = at(123_456) + chrono::TimeDelta::nanoseconds(789);
    let mut unit = writing(write(&stream, None, 1));
    unit.at = fine;
    unit.outbox = vec![message("k", "{}")];
    unit.outbox[0].at = fine;
    unit.timers = vec![Timer {
        id: id(),
        due_at: fine,
        message: message("k", "{}"),
    }];
    store.commit(unit).await.unwrap();
    let event = &store.stream(&stream, 0, 1).await.unwrap()[0];
    assert_eq!(event.at, at(123_456));
    assert_eq!(head(&*store, &stream).await.unwrap().updated_at, event.at);
    assert_eq!(store.next_due().await.unwrap(), Some(event.at));
    let sent = store.outbox(Position::START, 1).await.unwrap();
    assert_eq!(sent[0].1.at, event.at);
}

/// Every commit is announced.
pub async fn changes_are_announced(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let mut changes = store.changes();
    for _ in 0..3 {
        changes.mark_unchanged();
        create(&*store, &toy()).await;
        tokio::time::timeout(PATIENCE, changes.changed())
            .await
            .unwrap()
            .unwrap();
    }
    store.health().await.unwrap();
}

/// What was committed is there after closing and opening again.
pub async fn reopening_keeps_everything(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let stream = toy();
    let first = create(&*store, &stream).await;
    let filled = full_unit(&stream, first);
    store.commit(filled.clone()).await.unwrap();
    let cursor = store.take_cursor("relay").await.unwrap();
    let log = store.events(Position::START, 10).await.unwrap();
    let moved = store.move_cursor("relay", cursor, log[0].position);
    assert!(moved.await.unwrap());
    let before = everything(&*store, &filled).await;
    assert!(!before.contains("None"), "something is missing: {before}");
    store.close().await;
    let Some(again) = fixture.reopen().await else {
        return;
    };
    assert_eq!(everything(&*again, &filled).await, before);
    let stands = again.cursor("relay").await.unwrap();
    let expected = Cursor {
        position: log[0].position,
        fence: 1,
    };
    assert_eq!(stands, expected);
    // It is known that it was committed, and the log goes on.
    again.commit(filled.clone()).await.unwrap();
    let reached = filled.writes[0].reached();
    grow(&*again, &stream, reached).await;
    let after = again.events(log[1].position, 10).await.unwrap();
    assert_eq!(after.len(), 1);
    again.close().await;
}

/// A unit that uses every field.
fn full_unit(stream: &StreamId, first: crate::store::Guard) -> UnitOfWork {
    let mut unit = writing(write(stream, Some(first), 1));
    unit.writes[0].claims = vec![Claim {
        field: "name".to_owned(),
        value: Some("\"x\"".to_owned()),
    }];
    unit.inbox = Some(InboxMark {
        consumer: "toys".to_owned(),
        message: id(),
        outcome: Some(crate::message::Outcome {
            status: crate::message::Status::Done,
            payload: json("{\"a\":1}"),
        }),
    });
    unit.marks = vec![Mark {
        consumer: "views".to_owned(),
        stream: stream.clone(),
        expected: None,
        reached: first,
    }];
    unit.outbox = vec![message("k", "{}")];
    let saga = SagaRow {
        id: id(),
        name: "Build".to_owned(),
        version: 1,
        status: "running".to_owned(),
        due_at: Some(at(50)),
        created_at: at(1),
        updated_at: at(2),
        body: json("{\"step\":1}"),
    };
    unit.sagas = vec![(saga, vec![json("\"started\"")])];
    unit.timers = vec![Timer {
        id: id(),
        due_at: at(60),
        message: message("t", "{}"),
    }];
    unit.views = vec![ViewWrite {
        view: "v".to_owned(),
        key: "k".to_owned(),
        row: Some(json("{\"n\":1}")),
    }];
    unit.dead_letters = vec![letter("toys", "k")];
    unit
}

/// All that can be read of a unit, as text.
async fn everything(store: &dyn Store, unit: &UnitOfWork) -> String {
    let stream = &unit.writes[0].stream;
    let inbox = unit.inbox.as_ref().unwrap();
    let saga = unit.sagas[0].0.id;
    let letters = store.dead_letters(&LetterFilter::all(10)).await.unwrap();
    let shown = |(place, l): (Position, DeadLetter)| (place, l.id, l.history, l.origin, l.bytes);
    let letters: Vec<_> = letters.into_iter().map(shown).collect();
    format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        head(store, stream).await.unwrap().guard,
        store.events(Position::START, 10).await.unwrap().len(),
        store.inbox(&inbox.consumer, inbox.message).await.unwrap(),
        store.mark("views", stream).await.unwrap(),
        store.outbox(Position::START, 10).await.unwrap().len(),
        store.saga(saga).await.unwrap().map(|s| s.body),
        store.saga_history(saga, 10).await.unwrap(),
        store.due_timers(at(100), 10).await.unwrap().len(),
        store.view("v", "k").await.unwrap(),
        letters,
    )
}
