//! Runs of sagas.

use super::{Fixture, toy::*};
use crate::store::{Error, InboxMark, SagaFilter, SagaRow, UnitOfWork};

fn saga(name: &str, created: i64) -> SagaRow {
    SagaRow {
        id: id(),
        name: name.to_owned(),
        version: 1,
        status: "running".to_owned(),
        due_at: Some(at(created + 10)),
        created_at: at(created),
        updated_at: at(created),
        body: json("{\"at\": \"ä\"}"),
    }
}

fn moving(saga: &SagaRow, entries: &[&str]) -> UnitOfWork {
    let entries = entries.iter().map(|e| json(*e)).collect();
    UnitOfWork {
        sagas: vec![(saga.clone(), entries)],
        ..unit()
    }
}

/// Of two that move a saga from one version, one wins; nothing of the other's unit is written.
pub async fn saga_versions_fence(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let mut row = saga("Build", 0);
    row.version = 2;
    let early = store.commit(moving(&row, &[])).await;
    assert!(matches!(early, Err(Error::Moved { .. })), "{early:?}");
    row.version = 1;
    store.commit(moving(&row, &["1"])).await.unwrap();
    let twice = store.commit(moving(&row, &["1"])).await;
    assert!(matches!(twice, Err(Error::Moved { .. })), "{twice:?}");

    row.version = 2;
    row.status = "completed".to_owned();
    row.due_at = None;
    row.updated_at = at(9);
    let movers: Vec<_> = (0..16)
        .map(|_| {
            let mut unit = moving(&row, &["2", "3"]);
            unit.writes = vec![write(&toy(), None, 1)];
            let store = store.clone();
            tokio::spawn(async move { store.commit(unit).await })
        })
        .collect();
    let mut won = 0;
    for mover in movers {
        match tokio::time::timeout(PATIENCE, mover)
            .await
            .unwrap()
            .unwrap()
        {
            Ok(()) => won += 1,
            Err(Error::Moved { what, id }) => assert_eq!((what, id), ("saga", row.id)),
            Err(e) => panic!("{e:?}"),
        }
    }
    assert_eq!(won, 1);
    log_has(&*store, 1).await;
    assert_eq!(store.saga(row.id).await.unwrap(), Some(row.clone()));
    let history = store.saga_history(row.id, 10).await.unwrap();
    assert_eq!(history, [json("1"), json("2"), json("3")]);
    let last = store.saga_history(row.id, 2).await.unwrap();
    assert_eq!(last, [json("2"), json("3")]);
    assert!(store.due_sagas(at(1000), 10).await.unwrap().is_empty());
}

/// One unit may move several sagas; if one of them has moved meanwhile, none moves.
pub async fn a_unit_moves_several_sagas_or_none(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let mut parent = saga("House", 1);
    store.commit(moving(&parent, &["1"])).await.unwrap();
    let (first, second) = (saga("Loan", 2), saga("Loan", 3));
    parent.version = 2;
    let mut unit = moving(&parent, &["2", "3"]);
    unit.sagas.push((first.clone(), vec![json("a")]));
    unit.sagas.push((second.clone(), vec![json("b")]));
    store.commit(unit).await.unwrap();
    assert_eq!(store.saga(first.id).await.unwrap(), Some(first.clone()));
    let history = store.saga_history(second.id, 10).await.unwrap();
    assert_eq!(history, [json("b")]);

    parent.version = 3;
    let mut unit = moving(&parent, &["4"]);
    unit.sagas.push((first.clone(), Vec::new()));
    match store.commit(unit).await {
        Err(Error::Moved { what, id }) => assert_eq!((what, id), ("saga", first.id)),
        other => panic!("{other:?}"),
    }
    let stands = store.saga(parent.id).await.unwrap().unwrap();
    assert_eq!(stands.version, 2);
    let history = store.saga_history(parent.id, 10).await.unwrap();
    assert_eq!(history.len(), 3);
}

/// Sagas are listed newest first, by status and by name.
pub async fn sagas_are_listed_with_their_history(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let mut rows = vec![saga("A", 1), saga("B", 3), saga("A", 2), saga("B", 4)];
    rows[1].status = "stuck".to_owned();
    rows[2].status = "stuck".to_owned();
    for row in &rows {
        store.commit(moving(row, &["0"])).await.unwrap();
    }
    let list = |status: Option<&str>, name: Option<&str>, limit: u32| {
        let filter = SagaFilter {
            status: status.map(str::to_owned),
            name: name.map(str::to_owned),
            limit,
        };
        let store = store.clone();
        async move { store.sagas(&filter).await.unwrap() }
    };
    let pick = |order: &[usize]| order.iter().map(|n| rows[*n].clone()).collect::<Vec<_>>();
    assert_eq!(list(None, None, 10).await, pick(&[3, 1, 2, 0]));
    assert_eq!(list(None, None, 2).await, pick(&[3, 1]));
    assert_eq!(list(Some("stuck"), None, 10).await, pick(&[1, 2]));
    assert_eq!(list(None, Some("A"), 10).await, pick(&[2, 0]));
    assert_eq!(list(Some("stuck"), Some("A"), 10).await, pick(&[2]));
    assert_eq!(list(Some("lost"), None, 10).await, pick(&[]));
    assert_eq!(store.saga(id()).await.unwrap(), None);
    assert!(store.saga_history(id(), 10).await.unwrap().is_empty());
}

/// Look-ups that come at once, of what is there and of what is not, are each answered with their own.
pub async fn what_is_looked_up_at_once_is_each_its_own(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let sagas: Vec<_> = (0..64).map(|n| saga("Build", n)).collect();
    for row in sagas.iter().step_by(2) {
        let mut unit = moving(row, &["1"]);
        unit.inbox = Some(InboxMark {
            consumer: "toys".to_owned(),
            message: row.id,
            outcome: None,
        });
        store.commit(unit).await.unwrap();
    }
    // Each twice, and those beside each other are not alike.
    let looks: Vec<_> = (0..128)
        .map(|n| {
            let (store, id) = (store.clone(), sagas[n % 64].id);
            tokio::spawn(async move {
                let (saga, handled) = tokio::join!(store.saga(id), store.inbox("toys", id));
                (
                    saga.unwrap(),
                    handled.unwrap(),
                    store.inbox("others", id).await.unwrap(),
                )
            })
        })
        .collect();
    for (n, look) in looks.into_iter().enumerate() {
        let there = n % 2 == 0;
        let found = tokio::time::timeout(PATIENCE, look).await.unwrap().unwrap();
        let row = there.then(|| sagas[n % 64].clone());
        assert_eq!(found, (row, there.then_some(None), None));
    }
}
