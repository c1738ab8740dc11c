//! Inbox, marks, outbox, cursors, and timers.

use super::{Fixture, toy::*};
use crate::{
    message::{Outcome, Status},
    store::{Cursor, Error, Guard, InboxMark, Mark, Position, Result, SagaRow, Timer},
};

/// A message is handled once; who sends it again gets the recorded outcome, and nothing of his unit is written.
pub async fn inbox_answers_with_the_recorded_outcome(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let outcomes = [
        None,
        Some((Status::Done, "{\"uuid\":1.50}")),
        Some((Status::Refused, "{\"code\":\"Exists\"}")),
        Some((Status::Failed, "\"no\"")),
        Some((Status::Voided, "null")),
    ];
    for outcome in outcomes {
        let outcome = outcome.map(|(status, text)| Outcome {
            status,
            payload: json(text),
        });
        let message = id();
        let handling = |outcome: Option<Outcome>| {
            let mut unit = writing(write(&toy(), None, 1));
            unit.inbox = Some(InboxMark {
                consumer: "toys".to_owned(),
                message,
                outcome,
            });
            unit
        };
        assert_eq!(store.inbox("toys", message).await.unwrap(), None);
        store.commit(handling(outcome.clone())).await.unwrap();
        let recorded = store.inbox("toys", message).await.unwrap();
        assert_eq!(recorded, Some(outcome.clone()));

        let again = handling(None);
        let stream = again.writes[0].stream.clone();
        match store.commit(again).await {
            Err(Error::Duplicate {
                consumer,
                message: of,
                outcome: found,
            }) => assert_eq!((&*consumer, of, found), ("toys", message, outcome)),
            other => panic!("expected a duplicate, got {other:?}"),
        }
        assert!(head(&*store, &stream).await.is_none());
        // Another consumer has an inbox of its own.
        assert_eq!(store.inbox("dolls", message).await.unwrap(), None);
        let mut other = handling(None);
        other.inbox.as_mut().unwrap().consumer = "dolls".to_owned();
        store.commit(other).await.unwrap();
    }
}

/// A consumer's mark moves step by step: what is behind it or ahead of it is refused with where it stands.
pub async fn marks_keep_the_order_of_a_stream(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let stream = toy();
    let mut guards = vec![None];
    for _ in 0..3 {
        let last = guards[guards.len() - 1];
        guards.push(Some(grow(&*store, &stream, last).await));
    }
    let step = |from: Option<Guard>, to: Option<Guard>| {
        let mut unit = unit();
        unit.marks = vec![Mark {
            consumer: "views".to_owned(),
            stream: stream.clone(),
            expected: from,
            reached: to.unwrap(),
        }];
        unit.outbox = vec![message("k", "{}")];
        unit
    };
    let stands = |result: Result<()>, at: u64| match result {
        Err(Error::OutOfOrder {
            consumer, version, ..
        }) => assert_eq!((&*consumer, version), ("views", at)),
        other => panic!("expected out of order, got {other:?}"),
    };
    assert_eq!(store.mark("views", &stream).await.unwrap(), None);
    stands(store.commit(step(guards[1], guards[2])).await, 0);
    store.commit(step(None, guards[1])).await.unwrap();
    stands(store.commit(step(None, guards[1])).await, 1);
    stands(store.commit(step(guards[2], guards[3])).await, 1);
    // A fork: the right version, another event.
    let fork = guards[1].map(|g| Guard { tail: id(), ..g });
    stands(store.commit(step(fork, guards[2])).await, 1);
    store.commit(step(guards[1], guards[2])).await.unwrap();
    store.commit(step(guards[2], guards[3])).await.unwrap();
    stands(store.commit(step(guards[1], guards[2])).await, 3);
    assert_eq!(store.mark("views", &stream).await.unwrap(), guards[3]);
    assert_eq!(store.mark("others", &stream).await.unwrap(), None);
    assert_eq!(store.outbox(Position::START, 10).await.unwrap().len(), 3);
}

/// Messages leave in the order of commits, and within a unit in its own; positions are never used again.
pub async fn outbox_keeps_its_order_and_is_trimmed(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    assert!(store.outbox(Position::START, 10).await.unwrap().is_empty());
    let mut sent = Vec::new();
    for _ in 0..4 {
        let mut unit = unit();
        unit.outbox = vec![message("a", "{\"n\":1}"), message("b", "[1, 2.50]")];
        sent.extend(unit.outbox.clone());
        store.commit(unit).await.unwrap();
    }
    let rows = store.outbox(Position::START, 100).await.unwrap();
    let messages: Vec<_> = rows.iter().map(|(_, m)| m.clone()).collect();
    assert_eq!(messages, sent);
    assert!(rows.is_sorted_by(|a, b| a.0 < b.0));
    let page = store.outbox(rows[1].0, 3).await.unwrap();
    assert_eq!(page, rows[2..5]);

    store.trim_outbox(rows[5].0).await.unwrap();
    assert_eq!(store.outbox(Position::START, 100).await.unwrap(), rows[6..]);
    store.trim_outbox(rows[7].0).await.unwrap();
    let mut unit = unit();
    unit.outbox = vec![message("c", "{}")];
    store.commit(unit).await.unwrap();
    let after = store.outbox(rows[7].0, 100).await.unwrap();
    assert_eq!(
        after.len(),
        1,
        "a cursor behind the trimmed rows sees new ones"
    );
}

/// A cursor moves only from where it stands, and only for its last holder.
pub async fn cursors_move_by_compare_and_set(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let to = |epoch, xid, row| Position { epoch, xid, row };
    assert_eq!(store.cursor("relay").await.unwrap(), Cursor::default());
    let first = store.take_cursor("relay").await.unwrap();
    assert_eq!((first.fence, first.position), (1, Position::START));
    assert!(
        store
            .move_cursor("relay", first, to(0, 0, 5))
            .await
            .unwrap()
    );
    assert!(
        !store
            .move_cursor("relay", first, to(0, 0, 9))
            .await
            .unwrap()
    );
    let stands = Cursor {
        position: to(0, 0, 5),
        fence: 1,
    };
    assert_eq!(store.cursor("relay").await.unwrap(), stands);

    let second = store.take_cursor("relay").await.unwrap();
    assert_eq!((second.fence, second.position), (2, to(0, 0, 5)));
    assert!(
        !store
            .move_cursor("relay", stands, to(0, 0, 9))
            .await
            .unwrap()
    );
    assert!(
        store
            .move_cursor("relay", second, to(1, 2, 3))
            .await
            .unwrap()
    );
    assert_eq!(store.cursor("relay").await.unwrap().position, to(1, 2, 3));
    assert_eq!(store.cursor("other").await.unwrap(), Cursor::default());

    let takers: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.take_cursor("raced").await.unwrap().fence })
        })
        .collect();
    let mut fences = Vec::new();
    for taker in takers {
        fences.push(
            tokio::time::timeout(PATIENCE, taker)
                .await
                .unwrap()
                .unwrap(),
        );
    }
    fences.sort_unstable();
    assert_eq!(fences, (1..=16).collect::<Vec<i64>>());
}

fn timer(due: i64) -> Timer {
    Timer {
        id: id(),
        due_at: at(due),
        message: message("t", "{\"due\": true}"),
    }
}

/// A timer that is due fires for one of those that take it.
pub async fn timers_fire_once(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let timers = [timer(10), timer(20)];
    let mut set = unit();
    set.timers = timers.to_vec();
    store.commit(set).await.unwrap();
    assert!(store.due_timers(at(9), 10).await.unwrap().is_empty());
    assert_eq!(store.due_timers(at(10), 10).await.unwrap(), timers[..1]);

    let takers: Vec<_> = (0..16)
        .map(|_| {
            let mut take = unit();
            take.fired = vec![timers[0].id];
            take.outbox = vec![timers[0].message.clone()];
            let store = store.clone();
            tokio::spawn(async move { store.commit(take).await })
        })
        .collect();
    let mut won = 0;
    for taker in takers {
        match tokio::time::timeout(PATIENCE, taker)
            .await
            .unwrap()
            .unwrap()
        {
            Ok(()) => won += 1,
            Err(Error::Moved { what, id }) => assert_eq!((what, id), ("timer", timers[0].id)),
            Err(e) => panic!("{e:?}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(store.outbox(Position::START, 10).await.unwrap().len(), 1);
    assert_eq!(store.due_timers(at(99), 10).await.unwrap(), timers[1..]);
}

/// What is due longest comes first; the next due time is the earliest of sagas and timers.
pub async fn due_rows_come_in_order(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    assert_eq!(store.next_due().await.unwrap(), None);
    let timers = [timer(30), timer(10), timer(20)];
    let saga = |due: Option<i64>| SagaRow {
        id: id(),
        name: "S".to_owned(),
        version: 1,
        status: "running".to_owned(),
        due_at: due.map(at),
        created_at: at(0),
        updated_at: at(0),
        body: json("{}"),
    };
    let sagas = [saga(Some(25)), saga(None), saga(Some(5)), saga(Some(15))];
    let mut set = unit();
    set.timers = timers.to_vec();
    set.sagas = sagas.iter().map(|s| (s.clone(), vec![])).collect();
    store.commit(set).await.unwrap();

    assert_eq!(store.next_due().await.unwrap(), Some(at(5)));
    let due = store.due_timers(at(30), 2).await.unwrap();
    assert_eq!(due, [timers[1].clone(), timers[2].clone()]);
    let due = store.due_sagas(at(24), 10).await.unwrap();
    assert_eq!(due, [sagas[2].clone(), sagas[3].clone()]);
    assert_eq!(store.due_sagas(at(24), 1).await.unwrap().len(), 1);

    let mut ended = unit();
    let end = SagaRow {
        version: 2,
        due_at: None,
        ..sagas[2].clone()
    };
    ended.sagas = vec![(end, vec![])];
    store.commit(ended).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(at(10)));
}
