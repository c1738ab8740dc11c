//! Who may change what: versions, tails, and all or nothing.

use std::{collections::HashSet, sync::Arc};

use uuid::Uuid;

use super::{Fixture, toy::*};
use crate::store::{Error, Guard, Position, Store, StreamId};

/// What was created is there, with its version, tail, state, and times.
pub async fn a_created_aggregate_can_be_loaded(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let (stream, other) = (toy(), toy());
    let mut unit = writing(write(&stream, None, 3));
    unit.at = at(5);
    let reached = unit.writes[0].reached().unwrap();
    store.commit(unit).await.unwrap();
    let later = write(&stream, Some(reached), 1);
    let last = later.reached().unwrap();
    let mut unit = writing(later);
    unit.at = at(9);
    store.commit(unit).await.unwrap();

    let same_id = StreamId::new("Other", stream.id);
    let asked = [
        other.clone(),
        stream.clone(),
        same_id,
        stream.clone(),
        other,
    ];
    let heads = store.load(&asked).await.unwrap();
    assert_eq!(heads.len(), 5);
    assert!(heads[0].is_none() && heads[2].is_none() && heads[4].is_none());
    let found = heads[1].clone().unwrap();
    assert_eq!(heads[3].as_ref(), Some(&found));
    assert_eq!(found.guard, last);
    assert_eq!(found.state, Some(json("{\"steps\":4}")));
    assert_eq!((found.created_at, found.updated_at), (at(5), at(9)));
    assert!(store.load(&[]).await.unwrap().is_empty());
}

/// A decision on an older version conflicts.
pub async fn guard_too_low_conflicts(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let stream = toy();
    let first = create(&*store, &stream).await;
    grow(&*store, &stream, Some(first)).await;
    let result = store.commit(writing(write(&stream, Some(first), 1))).await;
    conflicts(result, 1, 2);
    assert_eq!(guard(&*store, &stream).await.version, 2);
    log_has(&*store, 2).await;
}

/// A decision on a version that does not exist yet conflicts, too.
pub async fn guard_too_high_conflicts(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let stream = toy();
    let first = create(&*store, &stream).await;
    let ahead = Guard {
        version: 2,
        tail: first.tail,
    };
    let result = store.commit(writing(write(&stream, Some(ahead), 1))).await;
    conflicts(result, 2, 1);
    log_has(&*store, 1).await;
}

/// A decision on a state that never existed conflicts even if the version is right.
pub async fn right_version_with_wrong_tail_conflicts(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let stream = toy();
    create(&*store, &stream).await;
    let other = Guard {
        version: 1,
        tail: id(),
    };
    let result = store.commit(writing(write(&stream, Some(other), 1))).await;
    conflicts(result, 1, 1);
    log_has(&*store, 1).await;
}

/// Only one can create an aggregate.
pub async fn creating_twice_conflicts(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let stream = toy();
    create(&*store, &stream).await;
    let result = store.commit(writing(write(&stream, None, 1))).await;
    conflicts(result, 0, 1);
    log_has(&*store, 1).await;
}

/// Nobody can change what was never created.
pub async fn changing_what_does_not_exist_conflicts(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let guard = Guard {
        version: 1,
        tail: id(),
    };
    let result = store.commit(writing(write(&toy(), Some(guard), 1))).await;
    conflicts(result, 1, 0);
    log_has(&*store, 0).await;
}

/// What a unit only read must not have moved either, be it there or absent.
pub async fn read_guards_are_checked(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let (read, absent) = (toy(), toy());
    let first = create(&*store, &read).await;

    let reading = |reads: Vec<(StreamId, Option<Guard>)>| {
        let mut unit = writing(write(&toy(), None, 1));
        unit.reads = reads;
        unit
    };
    let fresh = reading(vec![(read.clone(), Some(first)), (absent.clone(), None)]);
    store.commit(fresh).await.unwrap();
    // A unit that writes nothing can still confirm what it read.
    let mut confirm = unit();
    confirm.reads = vec![(read.clone(), Some(first)), (absent.clone(), None)];
    store.commit(confirm.clone()).await.unwrap();

    let second = grow(&*store, &read, Some(first)).await;
    create(&*store, &absent).await;
    let stale = reading(vec![(read.clone(), Some(first))]);
    conflicts(store.commit(stale).await, 1, 2);
    let stale = reading(vec![(read.clone(), Some(second)), (absent.clone(), None)]);
    conflicts(store.commit(stale).await, 0, 1);
    let wrong_tail = Guard {
        version: 2,
        tail: first.tail,
    };
    let stale = reading(vec![(read.clone(), Some(wrong_tail))]);
    conflicts(store.commit(stale).await, 2, 2);
    conflicts(store.commit(confirm).await, 1, 2);
    log_has(&*store, 4).await;
}

/// If one of a unit's aggregates moved, nothing of the unit is written.
pub async fn several_aggregates_are_all_or_nothing(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let (a, b, c) = (toy(), toy(), toy());
    let first = create(&*store, &b).await;
    let second = grow(&*store, &b, Some(first)).await;

    let mut stale = unit();
    stale.writes = vec![
        write(&a, None, 2),
        write(&b, Some(first), 1),
        write(&c, None, 1),
    ];
    stale.outbox = vec![message("k", "{}")];
    stale.views = vec![crate::store::ViewWrite {
        view: "v".to_owned(),
        key: "k".to_owned(),
        row: Some(json("{}")),
    }];
    conflicts(store.commit(stale).await, 1, 2);
    assert!(head(&*store, &a).await.is_none());
    assert!(head(&*store, &c).await.is_none());
    assert_eq!(guard(&*store, &b).await, second);
    assert!(store.outbox(Position::START, 10).await.unwrap().is_empty());
    assert!(store.view("v", "k").await.unwrap().is_none());
    log_has(&*store, 2).await;

    let mut fresh = unit();
    fresh.writes = vec![
        write(&a, None, 2),
        write(&b, Some(second), 1),
        write(&c, None, 1),
    ];
    store.commit(fresh).await.unwrap();
    assert_eq!(guard(&*store, &a).await.version, 2);
    assert_eq!(guard(&*store, &b).await.version, 3);
    assert_eq!(guard(&*store, &c).await.version, 1);
    log_has(&*store, 6).await;
}

/// A deleted aggregate has no state, but its stream and its versions go on.
pub async fn deleted_has_no_state_and_versions_go_on(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let stream = toy();
    let first = create(&*store, &stream).await;
    let mut delete = write(&stream, Some(first), 1);
    delete.state = None;
    let gone = delete.reached().unwrap();
    store.commit(writing(delete)).await.unwrap();

    let stands = head(&*store, &stream).await.unwrap();
    assert_eq!((stands.guard, stands.state), (gone, None));
    conflicts(store.commit(writing(write(&stream, None, 1))).await, 0, 2);
    let back = grow(&*store, &stream, Some(gone)).await;
    assert_eq!(back.version, 3);
    let versions = store.stream(&stream, 0, 10).await.unwrap();
    let versions: Vec<_> = versions.iter().map(|e| e.version).collect();
    assert_eq!(versions, [1, 2, 3]);
    assert!(head(&*store, &stream).await.unwrap().state.is_some());
}

/// Many tasks that increment few aggregates, each retrying on conflict, lose no increment.
pub async fn concurrent_increments_lose_nothing(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let streams: Arc<Vec<StreamId>> = Arc::new((0..3).map(|_| toy()).collect());
    for stream in streams.iter() {
        create(&*store, stream).await;
    }
    let tasks: Vec<_> = (0..12)
        .map(|n| {
            let (store, streams) = (store.clone(), streams.clone());
            tokio::spawn(async move {
                for i in 0..20 {
                    increment(&*store, &streams[(n + i) % streams.len()]).await;
                }
            })
        })
        .collect();
    for task in tasks {
        tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
    }
    let mut total = 0;
    for stream in streams.iter() {
        let events = store.stream(stream, 0, 1000).await.unwrap();
        let stands = head(&*store, stream).await.unwrap();
        assert_eq!(stands.guard.version, events.len() as u64);
        assert_eq!(stands.guard.tail, events.last().unwrap().id);
        let steps = format!("{{\"steps\":{}}}", events.len());
        assert_eq!(stands.state, Some(json(steps)));
        total += events.len();
    }
    assert_eq!(total, 3 + 12 * 20);
}

async fn increment(store: &dyn Store, stream: &StreamId) {
    loop {
        let expected = guard(store, stream).await;
        match store
            .commit(writing(write(stream, Some(expected), 1)))
            .await
        {
            Ok(()) => return,
            Err(e) if e.is_conflict() => tokio::task::yield_now().await,
            Err(e) => panic!("{e:?}"),
        }
    }
}

/// Of many units at once exactly those fail that must; their neighbours commit.
pub async fn a_unit_fails_alone_among_many(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let taken = toy();
    let first = create(&*store, &taken).await;
    grow(&*store, &taken, Some(first)).await;
    let handled = id();
    let mut seen = unit();
    seen.inbox = Some(inbox("toys", handled));
    store.commit(seen).await.unwrap();

    let tasks: Vec<_> = (0..64_u32)
        .map(|n| {
            let mut unit = writing(write(&toy(), None, 1));
            match n % 4 {
                1 => unit.writes.push(write(&taken, Some(first), 1)),
                2 => unit.inbox = Some(inbox("toys", handled)),
                3 => unit.reads.push((taken.clone(), None)),
                _ => {}
            }
            let id = unit.writes[0].events[0].id;
            let store = store.clone();
            tokio::spawn(async move { (n, id, store.commit(unit).await) })
        })
        .collect();
    let mut committed: HashSet<Uuid> = HashSet::new();
    for task in tasks {
        let (n, id, result) = tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
        match (n % 4, result) {
            (0, Ok(())) => drop(committed.insert(id)),
            (1 | 3, Err(Error::Conflict { .. })) | (2, Err(Error::Duplicate { .. })) => {}
            (_, result) => panic!("unit {n}: {result:?}"),
        }
    }
    let log = store.events(Position::START, 1000).await.unwrap();
    let toys = log.iter().filter(|e| e.stream != taken);
    assert_eq!(toys.map(|e| e.id).collect::<HashSet<_>>(), committed);
    assert_eq!(committed.len(), 16);
}

fn inbox(consumer: &str, message: Uuid) -> crate::store::InboxMark {
    crate::store::InboxMark {
        consumer: consumer.to_owned(),
        message,
        outcome: None,
    }
}

/// A unit that writes one row twice, or a stream without an event, is refused as a whole.
pub async fn malformed_units_are_refused(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let stream = toy();
    let mut twice = writing(write(&stream, None, 1));
    twice.writes.push(write(&stream, None, 1));
    let mut nothing = writing(write(&stream, None, 1));
    nothing.writes[0].events.clear();
    for bad in [twice, nothing] {
        assert!(matches!(store.commit(bad).await, Err(Error::Backend(_))));
    }
    assert!(head(&*store, &stream).await.is_none());
    store.commit(unit()).await.unwrap();
    log_has(&*store, 0).await;
}
