//! Unique values.

use super::{Fixture, toy::*};
use crate::store::{Claim, Error, Result, Store, StreamId, Write};

fn claiming(mut write: Write, values: &[(&str, Option<&str>)]) -> Write {
    let claim = |(field, value): &(&str, Option<&str>)| Claim {
        field: (*field).to_owned(),
        value: value.map(str::to_owned),
    };
    write.claims = values.iter().map(claim).collect();
    write
}

async fn create_with(store: &dyn Store, stream: &StreamId, name: &str) -> Result<()> {
    let write = claiming(write(stream, None, 1), &[("name", Some(name))]);
    store.commit(writing(write)).await
}

async fn change(
    store: &dyn Store,
    stream: &StreamId,
    values: &[(&str, Option<&str>)],
) -> Result<()> {
    let expected = guard(store, stream).await;
    let write = claiming(write(stream, Some(expected), 1), values);
    store.commit(writing(write)).await
}

#[track_caller]
fn is_claimed(result: Result<()>, by: &StreamId) {
    match result {
        Err(Error::Claimed {
            aggregate,
            field,
            holder,
        }) => {
            assert_eq!((aggregate, holder), (by.aggregate.clone(), by.id));
            assert_eq!(field, "name");
        }
        other => panic!("expected a claimed value, got {other:?}"),
    }
}

/// A value belongs to one aggregate of a kind; fields and kinds do not mix.
pub async fn claims_are_unique(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let (a, b) = (toy(), toy());
    create_with(&*store, &a, "\"x\"").await.unwrap();
    is_claimed(create_with(&*store, &b, "\"x\"").await, &a);
    assert!(head(&*store, &b).await.is_none());
    log_has(&*store, 1).await;

    let other_kind = StreamId::new("Doll", id());
    create_with(&*store, &other_kind, "\"x\"").await.unwrap();
    let other_field = claiming(write(&b, None, 1), &[("nick", Some("\"x\""))]);
    store.commit(writing(other_field)).await.unwrap();
    // Claiming what it holds already is no conflict.
    change(&*store, &a, &[("name", Some("\"x\""))])
        .await
        .unwrap();
    is_claimed(change(&*store, &b, &[("name", Some("\"x\""))]).await, &a);

    let mut both = unit();
    both.writes = vec![
        claiming(write(&toy(), None, 1), &[("name", Some("\"y\""))]),
        claiming(write(&toy(), None, 1), &[("name", Some("\"y\""))]),
    ];
    let result = store.commit(both).await;
    assert!(matches!(result, Err(Error::Claimed { .. })), "{result:?}");
}

/// A value is free again once its holder takes another, gives it up, or is deleted.
pub async fn claims_are_given_up_and_move(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let (a, b) = (toy(), toy());
    create_with(&*store, &a, "1").await.unwrap();
    create_with(&*store, &b, "2").await.unwrap();

    change(&*store, &a, &[("name", Some("3"))]).await.unwrap();
    change(&*store, &b, &[("name", Some("1"))]).await.unwrap();
    is_claimed(change(&*store, &a, &[("name", Some("1"))]).await, &b);
    change(&*store, &a, &[("name", Some("2"))]).await.unwrap();

    change(&*store, &b, &[("name", None)]).await.unwrap();
    let c = toy();
    create_with(&*store, &c, "1").await.unwrap();

    let expected = guard(&*store, &c).await;
    let mut delete = write(&c, Some(expected), 1);
    delete.state = None;
    store.commit(writing(delete)).await.unwrap();
    create_with(&*store, &toy(), "1").await.unwrap();
    is_claimed(create_with(&*store, &toy(), "2").await, &a);
    // A change that says nothing of the field keeps the value.
    change(&*store, &a, &[]).await.unwrap();
    is_claimed(create_with(&*store, &toy(), "2").await, &a);
}

/// Of many that want one value one gets it.
pub async fn claims_raced_by_many_have_one_winner(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { create_with(&*store, &toy(), "\"only one\"").await })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        match tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap() {
            Ok(()) => winners += 1,
            Err(Error::Claimed { .. }) => {}
            Err(e) => panic!("{e:?}"),
        }
    }
    assert_eq!(winners, 1);
    log_has(&*store, 1).await;
}

/// Two aggregates may swap their values in one unit, and units may hand them on at once.
pub async fn claims_may_be_swapped_in_one_unit(fixture: &dyn Fixture) {
    let store = fixture.store().await;
    let (a, b) = (toy(), toy());
    create_with(&*store, &a, "1").await.unwrap();
    create_with(&*store, &b, "2").await.unwrap();
    let mut swap = unit();
    let (at_a, at_b) = (guard(&*store, &a).await, guard(&*store, &b).await);
    swap.writes = vec![
        claiming(write(&a, Some(at_a), 1), &[("name", Some("2"))]),
        claiming(write(&b, Some(at_b), 1), &[("name", Some("1"))]),
    ];
    store.commit(swap).await.unwrap();
    is_claimed(create_with(&*store, &toy(), "1").await, &b);
    is_claimed(create_with(&*store, &toy(), "2").await, &a);
}
