//! The one order: every committed event once, each aggregate in version order, whatever writers do.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::{Executor, Row};
use tokio::time::timeout;
use uuid::Uuid;

use super::{PATIENCE, adding, at, empty, guard, patient, server::Database, stream, until, write};
use crate::store::{
    Error, Guard, Position, Store as _, StreamId, UnitOfWork,
    postgres::{Options, Store},
    sql::Backend,
};

const WRITERS: usize = 16;
/// Events of one transaction.
const EACH: usize = 50;

/// What writers have committed.
#[derive(Default)]
struct Committed {
    events: AtomicUsize,
    done: AtomicBool,
}

/// Takes a number and places, pauses, and commits or rolls back, until all have committed so many.
async fn write_some(store: Arc<Store>, seed: u64, most: usize, all: Arc<Committed>) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut streams: Vec<(StreamId, Option<Guard>)> = (0..4).map(|_| (stream(), None)).collect();
    while all.events.load(Ordering::SeqCst) < most {
        let (id, expected) = streams[dice.usize(..streams.len())].clone();
        let mut unit = adding(&id, expected);
        let more = unit.writes[0].events[0].clone();
        unit.writes[0].events.extend((1..EACH).map(|_| {
            let mut event = more.clone();
            event.id = Uuid::now_v7();
            event
        }));
        let reached = unit.writes[0].reached();
        // A transaction that is old when it takes its places, or that is gone after it has taken some.
        if dice.u8(..10) < 3 {
            let transaction = store.begin().await.unwrap();
            let sql = if dice.bool() {
                // Its places are lost with it.
                "INSERT INTO minos_outbox (epoch, xid, envelope, payload) VALUES (0, 0, '', ''); SELECT 1"
            } else {
                "SELECT pg_current_xact_id()"
            };
            user_sql(&*transaction, sql).await;
            tokio::time::sleep(Duration::from_micros(dice.u64(..3000))).await;
            if sql.starts_with("INSERT") {
                drop(transaction);
                continue;
            }
            match transaction.commit(unit).await {
                Ok(()) => {}
                Err(e) if e.is_conflict() => continue,
                Err(e) => panic!("{e:?}"),
            }
        } else {
            store.commit(unit).await.unwrap();
        }
        for (stream, guard) in &mut streams {
            if *stream == id {
                *guard = reached;
            }
        }
        all.events.fetch_add(EACH, Ordering::SeqCst);
    }
}

async fn user_sql(transaction: &dyn crate::store::SqlTransaction, sql: &'static str) {
    let connection = transaction.connection().await.unwrap();
    let sql = sqlx::SqlSafeStr::into_sql_str(sql);
    let mut answers = sqlx::Postgres::run(connection, sql, None, false);
    while let Some(answer) = answers.recv().await {
        answer.unwrap();
    }
}

/// What a reader has seen: how many events, and what is wrong with them.
#[derive(Default)]
struct Seen {
    ids: HashSet<Uuid>,
    versions: HashMap<StreamId, u64>,
    faults: usize,
}

impl Seen {
    fn add(&mut self, id: Uuid, stream: StreamId, version: u64) {
        let last = self.versions.entry(stream).or_default();
        if version != *last + 1 || !self.ids.insert(id) {
            self.faults += 1;
        }
        *last = version;
    }
}

/// Follows the log until the writers are done and nothing more comes.
async fn follow(store: Arc<Store>, page: u32, all: Arc<Committed>) -> Seen {
    let (mut seen, mut after) = (Seen::default(), Position::START);
    loop {
        let done = all.done.load(Ordering::SeqCst);
        let events = store.events(after, page).await.unwrap();
        let Some(last) = events.last() else {
            if done && seen.ids.len() >= all.events.load(Ordering::SeqCst) {
                return seen;
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
            continue;
        };
        assert!(events.is_sorted_by(|a, b| a.position < b.position));
        assert!(events[0].position > after);
        after = last.position;
        for event in events {
            seen.add(event.id, event.stream, event.version);
        }
    }
}

/// What many do: remembers the last row only.
async fn follow_naively(database: Arc<Database>, all: Arc<Committed>) -> Seen {
    let mut connection = database.stranger().await;
    let (mut seen, mut after) = (Seen::default(), 0_i64);
    loop {
        let done = all.done.load(Ordering::SeqCst);
        let rows = sqlx::query(
            "SELECT place, id, aggregate, stream, version FROM minos.minos_events \
             WHERE place > $1 ORDER BY place LIMIT 1000",
        )
        .bind(after)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        if rows.is_empty() && done {
            return seen;
        }
        for row in rows {
            after = row.get(0);
            let stream = StreamId::new(row.get::<String, _>(2), row.get(3));
            seen.add(row.get(1), stream, row.get::<i64, _>(4).unsigned_abs());
        }
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
}

/// The test of the order, and with the same writers the test that it would see a fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_event_is_seen_once_and_in_order() {
    const EVENTS: usize = 100_000;
    let database = Arc::new(Database::new().await);
    // Two instances of the service; each aggregate is written by one task.
    let options = || Options {
        settle: Duration::from_millis(2),
        pool: 10,
        committers: 3,
        ..Options::default()
    };
    let stores = [
        database.open(options()).await,
        database.open(options()).await,
    ];
    let all = Arc::new(Committed::default());
    let naive = tokio::spawn(follow_naively(database.clone(), all.clone()));
    let readers: Vec<_> = [(0, 7), (1, 300), (0, 1000)]
        .map(|(n, page)| tokio::spawn(follow(stores[n].clone(), page, all.clone())))
        .into();
    let seed = fastrand::u64(..);
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            let store = stores[n % stores.len()].clone();
            tokio::spawn(write_some(store, seed ^ n as u64, EVENTS, all.clone()))
        })
        .collect();
    for writer in writers {
        timeout(PATIENCE * 3, writer).await.unwrap().unwrap();
    }
    all.done.store(true, Ordering::SeqCst);
    let written = all.events.load(Ordering::SeqCst);
    assert!(written >= EVENTS);
    for reader in readers {
        let seen = timeout(PATIENCE * 3, reader).await.unwrap().unwrap();
        assert_eq!((seen.ids.len(), seen.faults), (written, 0), "seed {seed}");
    }
    let naive = timeout(PATIENCE, naive).await.unwrap().unwrap();
    assert!(
        naive.ids.len() < written,
        "a reader that remembers the last row only must lose events, or this test sees nothing; seed {seed}"
    );
}

/// A newer transaction may have the lower row: a reader that remembers one of both alone would pass it.
#[tokio::test(flavor = "multi_thread")]
async fn a_position_is_a_pair() {
    let database = Database::new().await;
    let store = database.open(patient()).await;
    // The place first, the number of the transaction later.
    let mut early = database.stranger().await;
    let place: i64 = sqlx::query("SELECT nextval('minos.minos_events_place_seq')")
        .fetch_one(&mut early)
        .await
        .unwrap()
        .get(0);
    let first = stream();
    store.commit(adding(&first, None)).await.unwrap();
    let before = store.events(Position::START, 10).await.unwrap();
    assert_eq!(before.len(), 1);
    assert!(before[0].position.row > place);
    sqlx::query(
        "INSERT INTO minos.minos_events (epoch, xid, place, id, aggregate, stream, version, name, payload, headers, at) \
         OVERRIDING SYSTEM VALUE \
         SELECT 1, pg_current_xact_id()::text::bigint, $1, gen_random_uuid(), 'Toy', gen_random_uuid(), 1, 'ToyMoved', \
         '1', '{}', now()",
    )
    .bind(place)
    .execute(&mut early)
    .await
    .unwrap();
    early
        .execute("SELECT nextval('minos.minos_events_place_seq')")
        .await
        .unwrap();
    until("the younger event", || async {
        let next = store.events(before[0].position, 10).await.unwrap();
        next.len() == 1 && next[0].position.row == place
    })
    .await;
}

/// An older transaction that is still open hides what younger ones have committed, and only that.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_passed_while_an_older_transaction_is_open() {
    let database = Database::new().await;
    let options = Options {
        settle: Duration::ZERO,
        ..Options::default()
    };
    let store = database.open(options).await;
    let mut old = database.stranger().await;
    old.execute("BEGIN; SELECT pg_current_xact_id()")
        .await
        .unwrap();
    let (young, other) = (stream(), stream());
    let unit = adding(&young, None);
    store.commit(unit.clone()).await.unwrap();
    assert!(store.events(Position::START, 10).await.unwrap().is_empty());
    assert_eq!(store.last_position().await.unwrap(), Position::START);
    assert!(guard(&*store, &young).await.is_some(), "its head is there");
    sqlx::query(
        "INSERT INTO minos.minos_events (epoch, xid, id, aggregate, stream, version, name, payload, headers, at) \
         SELECT 1, pg_current_xact_id()::text::bigint, gen_random_uuid(), 'Toy', $1, 1, 'ToyMoved', '1', '{}', now()",
    )
    .bind(other.id)
    .execute(&mut old)
    .await
    .unwrap();
    old.execute("COMMIT").await.unwrap();
    until("both events", || async {
        store.events(Position::START, 10).await.unwrap().len() == 2
    })
    .await;
    let events = store.events(Position::START, 10).await.unwrap();
    let streams: Vec<_> = events.iter().map(|e| e.stream.id).collect();
    assert_eq!(streams, [other.id, young.id], "the older one comes first");
    assert_eq!(store.last_position().await.unwrap(), events[1].position);
}

/// User SQL takes a number early; then somebody else moves the aggregate; then the unit loads it and would append with
/// the older number. It conflicts instead, and the rerun, which is younger, passes.
#[tokio::test(flavor = "multi_thread")]
async fn user_sql_cannot_turn_a_stream_around() {
    let database = Database::new().await;
    let store = database.open(patient()).await;
    let id = stream();
    store.commit(adding(&id, None)).await.unwrap();
    let transaction = store.begin().await.unwrap();
    user_sql(&*transaction, "SELECT pg_current_xact_id()").await;
    let moved = adding(&id, guard(&*store, &id).await);
    let seen = moved.writes[0].reached();
    store.commit(moved).await.unwrap();
    assert_eq!(guard(&*store, &id).await, seen);
    let late = adding(&id, seen);
    match transaction.commit(late.clone()).await {
        Err(Error::Conflict {
            expected, actual, ..
        }) => assert_eq!((expected, actual), (2, 2)),
        other => panic!("{other:?}"),
    }
    let transaction = store.begin().await.unwrap();
    user_sql(&*transaction, "SELECT pg_current_xact_id()").await;
    transaction.commit(late).await.unwrap();
    let events = store.events(Position::START, 10).await.unwrap();
    let versions: Vec<_> = events.iter().map(|e| e.version).collect();
    assert_eq!(versions, [1, 2, 3]);
}

/// Units of one aggregate that go on where the one before ends share a transaction; a foreign commit in between
/// breaks all of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_has_one_outcome() {
    let database = Database::new().await;
    let options = Options {
        committers: 1,
        ..patient()
    };
    let store = database.open(options).await;
    let other = database.open(patient()).await;
    let id = stream();
    store.commit(adding(&id, None)).await.unwrap();
    let chain = |from: Option<Guard>| {
        let mut last = from;
        (0..5)
            .map(|n| {
                let mut unit = adding(&id, last);
                unit.at = at() + chrono::TimeDelta::seconds(n);
                last = unit.writes[0].reached();
                unit
            })
            .collect::<Vec<UnitOfWork>>()
    };
    let submit = |units: &[UnitOfWork]| {
        let commits: Vec<_> = units.iter().map(|u| store.commit(u.clone())).collect();
        futures_util::future::join_all(commits)
    };
    let units = chain(guard(&*store, &id).await);
    for outcome in submit(&units).await {
        outcome.unwrap();
    }
    let events = store.stream(&id, 1, 10).await.unwrap();
    let times: Vec<_> = events.iter().map(|e| e.at).collect();
    assert_eq!(times, units.iter().map(|u| u.at).collect::<Vec<_>>());
    let transactions: HashSet<i64> = events.iter().map(|e| e.position.xid).collect();
    assert!(transactions.len() < units.len(), "they share transactions");
    // Again: all are known.
    for outcome in submit(&units).await {
        outcome.unwrap();
    }

    let units = chain(guard(&*store, &id).await);
    other
        .commit(adding(&id, guard(&*store, &id).await))
        .await
        .unwrap();
    for outcome in submit(&units).await {
        assert!(
            matches!(outcome, Err(Error::Conflict { .. })),
            "{outcome:?}"
        );
    }
    super::assert_whole(&store, 7).await;
}

/// What was read together with what was written must still hold, also where two units cross.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reads_are_guarded_between_instances() {
    let database = Database::new().await;
    let stores = [
        database.open(patient()).await,
        database.open(patient()).await,
    ];
    for round in 0..30 {
        let (a, b) = (stream(), stream());
        let absent = round % 2 == 0;
        if !absent {
            stores[0].commit(adding(&a, None)).await.unwrap();
            stores[0].commit(adding(&b, None)).await.unwrap();
        }
        let (at_a, at_b) = (guard(&*stores[0], &a).await, guard(&*stores[0], &b).await);
        let crossing = |read: (&StreamId, Option<Guard>), written: (&StreamId, Option<Guard>)| {
            let mut unit = empty();
            unit.reads = vec![(read.0.clone(), read.1)];
            unit.writes = vec![write(written.0, written.1)];
            unit
        };
        let (one, two) = tokio::join!(
            stores[0].commit(crossing((&a, at_a), (&b, at_b))),
            stores[1].commit(crossing((&b, at_b), (&a, at_a))),
        );
        let won = [&one, &two].iter().filter(|o| o.is_ok()).count();
        assert!(won <= 1, "round {round}: {one:?} {two:?}");
        for outcome in [one, two] {
            match outcome {
                Ok(()) | Err(Error::Conflict { .. }) => {}
                Err(e) => panic!("{e:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_instances_are_woken() {
    let database = Database::new().await;
    let (one, two) = (
        database.open(patient()).await,
        database.open(patient()).await,
    );
    let mut changes = two.changes();
    for _ in 0..3 {
        changes.mark_unchanged();
        one.commit(adding(&stream(), None)).await.unwrap();
        timeout(PATIENCE, changes.changed()).await.unwrap().unwrap();
    }
}
