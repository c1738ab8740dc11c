//! The same unit again, after its outcome was unknown.

use super::{Fixture, letters::letter, toy::*};
use crate::{
    message::{Outcome, Status},
    store::{
        Error, InboxMark, LetterFilter, Mark, Position, SagaRow, Timer, UnitOfWork, ViewWrite,
    },
};

/// Committing the identical unit again is fine and does nothing.
pub async fn an_identical_unit_is_accepted_once(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let stream = toy();
    let mut unit = writing(write(&stream, None, 2));
    unit.outbox = vec![message("k", "{}")];
    unit.inbox = Some(InboxMark {
        consumer: "toys".to_owned(),
        message: id(),
        outcome: None,
    });
    for _ in 0..3 {
        store.commit(unit.clone()).await.unwrap();
    }
    log_has(&*store, 2).await;
    assert_eq!(store.outbox(Position::START, 10).await.unwrap().len(), 1);

    // Another unit for the same message is a duplicate, not the identical one.
    let mut other = unit.clone();
    other.id = id();
    other.writes = vec![write(&toy(), None, 1)];
    let result = store.commit(other).await;
    assert!(matches!(result, Err(Error::Duplicate { .. })), "{result:?}");
}

/// Its events are found in the log, not only at its end.
pub async fn an_identical_unit_is_known_after_others_moved_on(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let stream = toy();
    let created = writing(write(&stream, None, 2));
    let first = created.writes[0].reached().unwrap();
    store.commit(created.clone()).await.unwrap();
    let changed = writing(write(&stream, Some(first), 1));
    let second = changed.writes[0].reached().unwrap();
    store.commit(changed.clone()).await.unwrap();
    let third = grow(&*store, &stream, Some(second)).await;

    for again in [created, changed] {
        store.commit(again).await.unwrap();
    }
    assert_eq!(guard(&*store, &stream).await, third);
    log_has(&*store, 4).await;
}

/// A unit that leaves no event is known, too: by its inbox row, its mark, or its own id.
pub async fn an_identical_unit_without_events_is_accepted_once(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let stream = toy();
    let reached = create(&*store, &stream).await;
    let timer = Timer {
        id: id(),
        due_at: at(1),
        message: message("t", "{}"),
    };
    let parked = letter("toys", "k");
    let saga = SagaRow {
        id: id(),
        name: "MoveToys".to_owned(),
        version: 1,
        status: "running".to_owned(),
        due_at: Some(at(3)),
        created_at: at(0),
        updated_at: at(0),
        body: json("{}"),
    };
    let marked = Mark {
        consumer: "views".to_owned(),
        stream,
        expected: None,
        reached,
    };
    let mut units: Vec<UnitOfWork> = (0..8).map(|_| unit()).collect();
    units[0].outbox = vec![message("a", "{}")];
    units[1].timers = vec![timer.clone()];
    units[2].dead_letters = vec![parked.clone()];
    units[3].sagas = vec![(saga, vec![json("1")])];
    units[4].marks = vec![marked];
    units[5].inbox = Some(InboxMark {
        consumer: "toys".to_owned(),
        message: id(),
        outcome: Some(Outcome {
            status: Status::Done,
            payload: json("1"),
        }),
    });
    units[6].fired = vec![timer.id];
    units[6].outbox = vec![timer.message];
    units[7].revived = vec![parked.id];
    for unit in &units {
        store.commit(unit.clone()).await.unwrap();
    }
    // What was published may be trimmed before the unit comes again.
    let sent = store.outbox(Position::START, 10).await.unwrap();
    assert_eq!(sent.len(), 2);
    store.trim_outbox(sent[1].0).await.unwrap();
    // A view changed by somebody else must not fall back.
    let mut view = unit();
    view.views = vec![row("old")];
    store.commit(view.clone()).await.unwrap();
    let mut newer = unit();
    newer.views = vec![row("new")];
    store.commit(newer).await.unwrap();
    units.push(view);

    for unit in units {
        store.commit(unit).await.unwrap();
    }
    assert!(store.outbox(Position::START, 10).await.unwrap().is_empty());
    assert!(store.due_timers(at(100), 10).await.unwrap().is_empty());
    assert!(
        store
            .dead_letters(&LetterFilter::all(10))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        store.view("v", "k").await.unwrap(),
        Some(json("{\"is\":\"new\"}"))
    );
    let sagas = store.due_sagas(at(100), 10).await.unwrap();
    assert_eq!(sagas.len(), 1);
    let history = store.saga_history(sagas[0].id, 10).await.unwrap();
    assert_eq!(history, [json("1")]);
}

fn row(text: &str) -> ViewWrite {
    ViewWrite {
        view: "v".to_owned(),
        key: "k".to_owned(),
        row: Some(json(format!("{{\"is\":\"{text}\"}}"))),
    }
}

/// One unit submitted by many at once is committed once, and all are told so.
pub async fn identical_units_at_once_are_one(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let stream = toy();
    let mut unit = writing(write(&stream, None, 3));
    unit.outbox = vec![message("k", "{}")];
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (store, unit) = (store.clone(), unit.clone());
            tokio::spawn(async move { store.commit(unit).await })
        })
        .collect();
    for task in tasks {
        tokio::time::timeout(PATIENCE, task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
    log_has(&*store, 3).await;
    assert_eq!(store.outbox(Position::START, 10).await.unwrap().len(), 1);
}
