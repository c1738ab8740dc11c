//! One unit that cannot be committed, or that somebody holds up, among many that can.

use std::{sync::Arc, time::Duration};

use sqlx::{Executor, PgConnection};
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    PATIENCE, adding, assert_whole, empty, guard, inbox, message, patient, server::Database,
    stream, write,
};
use crate::{
    payload::Payload,
    store::{
        Claim, DeadLetter, Error, LetterFilter, Reason, Result, Store as _, UnitOfWork, ViewWrite,
        postgres::{Options, Store},
    },
};

/// Submits units so that they meet in one batch: the only committer waits for a lock until all are queued.
async fn together(
    database: &Database,
    store: &Arc<Store>,
    units: Vec<UnitOfWork>,
) -> Vec<Result<()>> {
    let gate = stream();
    store.commit(adding(&gate, None)).await.unwrap();
    let mut holder = database.stranger().await;
    lock_head(&mut holder, gate.id).await;
    let expected = guard(&**store, &gate).await;
    let first = store.commit(adding(&gate, expected));
    let commits = units.into_iter().map(|unit| {
        let store = store.clone();
        async move { store.commit(unit).await }
    });
    let all = futures_util::future::join(first, futures_util::future::join_all(commits));
    let release = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        holder.execute("COMMIT").await.unwrap();
    };
    let ((first, outcomes), ()) = timeout(PATIENCE, futures_util::future::join(all, release))
        .await
        .unwrap();
    first.unwrap();
    outcomes
}

async fn lock_head(connection: &mut PgConnection, id: Uuid) {
    connection.execute("BEGIN").await.unwrap();
    sqlx::query("SELECT 1 FROM minos.minos_heads WHERE id = $1 FOR UPDATE")
        .bind(id)
        .fetch_all(connection)
        .await
        .unwrap();
}

fn one_committer() -> Options {
    Options {
        committers: 1,
        batch: 64,
        ..patient()
    }
}

/// 63 plain units with an inbox row and a message, and one other.
fn with_neighbours(at: usize, guilty: UnitOfWork) -> Vec<UnitOfWork> {
    (0..64)
        .map(|n| {
            if n == at {
                return guilty.clone();
            }
            let mut unit = adding(&stream(), None);
            unit.inbox = Some(inbox(Uuid::now_v7()));
            unit.outbox = vec![message("k")];
            unit
        })
        .collect()
}

fn neighbours_committed(at: usize, outcomes: &[Result<()>]) {
    for (n, outcome) in outcomes.iter().enumerate() {
        assert!(n == at || outcome.is_ok(), "{n}: {outcome:?}");
    }
}

/// An inbox key that an open transaction holds: the unit is held up, then told; nobody else is.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_inbox_key_holds_up_nobody_else() {
    for at in [0, 31, 63] {
        let database = Database::new().await;
        let options = Options {
            patience: Duration::from_millis(300),
            ..one_committer()
        };
        let store = database.open(options).await;
        let held = Uuid::now_v7();
        let mut holder = database.stranger().await;
        holder.execute("BEGIN").await.unwrap();
        sqlx::query("INSERT INTO minos.minos_inbox VALUES ('toys', $1, $1, NULL, NULL, now())")
            .bind(held)
            .execute(&mut holder)
            .await
            .unwrap();
        let mut guilty = adding(&stream(), None);
        guilty.inbox = Some(inbox(held));
        let units = with_neighbours(at, guilty.clone());
        let outcomes = together(&database, &store, units).await;
        neighbours_committed(at, &outcomes);
        assert!(
            matches!(outcomes[at], Err(Error::Unavailable(_))),
            "{:?}",
            outcomes[at]
        );
        holder.execute("ROLLBACK").await.unwrap();
        store.commit(guilty).await.unwrap();
        assert_whole(&store, 2 + 64).await;
    }
}

/// What only the server can find wrong with a unit.
#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_unit_fails_alone() {
    for at in [0, 31, 63] {
        let database = Database::new().await;
        let store = database.open(one_committer()).await;
        let mut sql = database.stranger().await;
        sql.execute("ALTER TABLE minos.minos_events ADD CHECK (payload NOT LIKE '%poison%')")
            .await
            .unwrap();
        let mut guilty = adding(&stream(), None);
        guilty.writes[0].events[0].payload = Payload::from_text("\"poison\"");
        let outcomes = together(&database, &store, with_neighbours(at, guilty)).await;
        neighbours_committed(at, &outcomes);
        assert!(
            matches!(outcomes[at], Err(Error::Backend(_))),
            "{:?}",
            outcomes[at]
        );
        assert_whole(&store, 2 + 63).await;
    }
}

/// What PostgreSQL cannot keep is refused before it reaches a batch; a dead letter may have anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_nul_fails_alone_and_can_be_parked() {
    let database = Database::new().await;
    let store = database.open(one_committer()).await;
    let mut guilty = adding(&stream(), None);
    guilty.writes[0].state = Some(Payload::from_text("\"\0\""));
    let outcomes = together(&database, &store, with_neighbours(5, guilty)).await;
    neighbours_committed(5, &outcomes);
    assert!(matches!(outcomes[5], Err(Error::Backend(_))));
    let mut view = empty();
    view.views = vec![ViewWrite {
        view: "v".to_owned(),
        key: "a\0b".to_owned(),
        row: None,
    }];
    assert!(matches!(store.commit(view).await, Err(Error::Backend(_))));
    assert_eq!(store.view("v", "a\0b").await.unwrap(), None);

    let mut parked = message("a\0b");
    parked.payload = Payload::from_text("no JSON \0 at all");
    let mut unit = empty();
    unit.dead_letters = vec![DeadLetter {
        id: Uuid::now_v7(),
        consumer: "toys".to_owned(),
        key: "a\0b".to_owned(),
        message: parked.clone(),
        reason: Reason::Undecodable,
        error: "\0".to_owned(),
        attempts: 1,
        at: super::at(),
        origin: None,
        history: Vec::new(),
        bytes: Some(vec![0]),
    }];
    store.commit(unit).await.unwrap();
    let first = store.first_parked("toys", "a\0b").await.unwrap();
    let letters = store.dead_letters(&LetterFilter::all(10)).await.unwrap();
    assert_eq!(first.as_ref(), Some(&letters[0].1));
    assert_eq!(letters[0].1.message, parked);
}

/// Duplicates that race: each message is handled once, the others are told.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn raced_duplicates_are_told_and_their_neighbours_commit() {
    let database = Database::new().await;
    let stores = [
        database.open(patient()).await,
        database.open(patient()).await,
    ];
    let messages: Vec<Uuid> = (0..40).map(|_| Uuid::now_v7()).collect();
    let tasks: Vec<_> = (0..320)
        .map(|n| {
            let store = stores[n % 2].clone();
            let mut unit = adding(&stream(), None);
            unit.inbox = Some(inbox(messages[(n / 2) % messages.len()]));
            tokio::spawn(async move { store.commit(unit).await })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match timeout(PATIENCE, task).await.unwrap().unwrap() {
            Ok(()) => won += 1,
            Err(Error::Duplicate { .. }) => {}
            Err(e) => panic!("{e:?}"),
        }
    }
    assert_eq!(won, messages.len());
    assert_whole(&stores[0], messages.len()).await;
}

/// Two instances whose units take the same rows in opposite order, again and again: nobody waits for a deadlock.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn opposite_orders_end() {
    let database = Database::new().await;
    let stores = [
        database.open(patient()).await,
        database.open(patient()).await,
    ];
    let streams: Arc<Vec<_>> = Arc::new((0..6).map(|_| stream()).collect());
    for id in streams.iter() {
        stores[0].commit(adding(id, None)).await.unwrap();
    }
    let tasks: Vec<_> = (0..8_usize)
        .map(|n| {
            let (store, streams) = (stores[n % 2].clone(), streams.clone());
            tokio::spawn(async move {
                let mut dice = fastrand::Rng::with_seed(n as u64);
                let mut done = 0;
                while done < 15 {
                    let mut order: Vec<usize> = (0..streams.len()).collect();
                    dice.shuffle(&mut order);
                    let mut unit = empty();
                    for i in order.into_iter().take(3) {
                        let expected = guard(&*store, &streams[i]).await;
                        let mut write = write(&streams[i], expected);
                        // Values that change hands, too.
                        let value = format!("{}", dice.u8(..9));
                        write.claims = vec![Claim {
                            field: "name".to_owned(),
                            value: Some(value),
                        }];
                        unit.writes.push(write);
                    }
                    match store.commit(unit).await {
                        Ok(()) => done += 1,
                        Err(e) if e.is_conflict() => {}
                        Err(e) => panic!("{e:?}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        timeout(PATIENCE, task).await.unwrap().unwrap();
    }
    assert_whole(&stores[0], 6 + 8 * 15 * 3).await;
}

/// Units of one aggregate come through in the order in which they were submitted, whatever else goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn units_of_one_aggregate_are_not_turned_around() {
    let database = Database::new().await;
    let store = database.open(patient()).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let id = stream();
                let mut last = None;
                for _ in 0..10 {
                    let units: Vec<_> = (0..5)
                        .map(|n| {
                            let mut unit = adding(&id, last);
                            last = unit.writes[0].reached();
                            // Some cannot be part of a chain.
                            if n % 2 == 1 {
                                unit.writes[0].claims = vec![Claim {
                                    field: "name".to_owned(),
                                    value: Some(id.id.to_string()),
                                }];
                            }
                            unit
                        })
                        .collect();
                    let commits = units.into_iter().map(|unit| store.commit(unit));
                    for outcome in futures_util::future::join_all(commits).await {
                        outcome.unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        timeout(PATIENCE, task).await.unwrap().unwrap();
    }
    assert_whole(&store, 8 * 50).await;
}
