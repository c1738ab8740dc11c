//! Opening: several at once, others' tables, and what is wrong in words.

use std::{collections::HashSet, time::Duration};

use sqlx::{AssertSqlSafe, Executor};
use tokio::time::timeout;

use super::{PATIENCE, adding, assert_whole, patient, server::Database, stream};
use crate::store::{
    Error, Store as _, old_letters,
    postgres::{Options, Store, names::Schema, schema::MIGRATIONS},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_instances_may_start_at_once() {
    for _ in 0..3 {
        let database = Database::new().await;
        let url = database.url();
        let opening: Vec<_> = (0..8)
            .map(|_| {
                let url = url.clone();
                let options = Options {
                    pool: 2,
                    ..patient()
                };
                tokio::spawn(async move { Store::open(&url, options).await })
            })
            .collect();
        let mut stores = Vec::new();
        for store in opening {
            stores.push(timeout(PATIENCE, store).await.unwrap().unwrap().unwrap());
        }
        for store in &stores {
            store.commit(adding(&stream(), None)).await.unwrap();
        }
        assert_whole(&stores[0], 8).await;
        let log = stores[0]
            .events(crate::store::Position::START, 10)
            .await
            .unwrap();
        let epochs: HashSet<i64> = log.iter().map(|e| e.position.epoch).collect();
        assert_eq!(epochs.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_share_a_database_and_nothing_in_it() {
    let database = Database::new().await;
    let named = |schema: &str| Options {
        schema: schema.to_owned(),
        ..patient()
    };
    let foo = database.open(named("foo")).await;
    let bar = database.open(named("Foo \"bar\"")).await;
    foo.commit(adding(&stream(), None)).await.unwrap();
    assert_whole(&foo, 1).await;
    assert_whole(&bar, 0).await;
    let refused = Store::open(&database.url(), named("pg_foo")).await;
    assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_of_an_older_version_stay_what_they_were() {
    let database = Database::new().await;
    let mut old = database.stranger().await;
    let schema = Schema::new("minos").unwrap();
    for text in [
        "CREATE SCHEMA minos",
        "CREATE TABLE minos.minos_schema (version bigint NOT NULL)",
        "INSERT INTO minos.minos_schema VALUES (1)",
        &schema.sql(MIGRATIONS[0]),
    ] {
        old.execute(AssertSqlSafe(text)).await.unwrap();
    }
    for letter in old_letters::all() {
        sqlx::query(
            "INSERT INTO minos.minos_dead_letters (id, consumer, key, brief, error, attempts, at, envelope, payload) \
             VALUES ($1, $2, $3, $3, $4, 0, now(), $5, '{}')",
        )
        .bind(letter.id)
        .bind(letter.consumer)
        .bind(old_letters::SUBJECT.to_string())
        .bind(&letter.error)
        .bind(letter.envelope("2026-01-01T00:00:00Z"))
        .execute(&mut old)
        .await
        .unwrap();
    }
    old_letters::stand(&*database.open(patient()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused() {
    let database = Database::new().await;
    database.open(patient()).await.close().await;
    let mut stranger = database.stranger().await;
    stranger
        .execute("UPDATE minos.minos_schema SET version = 99")
        .await
        .unwrap();
    let refused = Store::open(&database.url(), patient()).await;
    let Err(Error::Corrupt(why)) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.contains("a newer version wrote it"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_at_once_and_without_the_password() {
    let database = Database::new().await;
    let url = database.url();
    let (server, name) = url.rsplit_once('/').unwrap();
    let missing = format!("{server}/no_such_database");
    let (_, place) = server.rsplit_once('@').unwrap();
    let stranger = format!("postgres://nobody:s3cret@{place}/{name}");
    for (url, part) in [(missing.as_str(), "createdb"), (&stranger, "nobody")] {
        let refused = Store::open(url, patient()).await;
        let Err(Error::Unsupported(why)) = refused else {
            panic!("{refused:?}");
        };
        assert!(why.contains(part), "{why}");
        assert!(!why.contains("s3cret"), "{why}");
    }
    let odd = Store::open("postgres://joe:s3c ret@host:x/db", patient()).await;
    assert!(!format!("{odd:?}").contains("s3c"), "{odd:?}");
    let away = Options {
        connect_timeout: Duration::from_millis(300),
        ..patient()
    };
    let refused = Store::open("postgres://joe:s3cret@127.0.0.1:1/db", away).await;
    let Err(Error::Unavailable(why)) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.to_string().contains("127.0.0.1:1"), "{why}");
    assert!(!why.to_string().contains("s3cret"), "{why}");
}

/// Nobody waits for what a dropped store holds: its connections go with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_store_leaves_no_connection() {
    let database = Database::new().await;
    let store = database.open(patient()).await;
    store.commit(adding(&stream(), None)).await.unwrap();
    drop(store);
    let sql = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    super::until("the last connection's end", || async {
        let mut stranger = database.stranger().await;
        stranger.fetch_all(sql).await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_closed_takes_no_more() {
    let database = Database::new().await;
    let store = database.open(patient()).await;
    let units: Vec<_> = (0..50).map(|_| adding(&stream(), None)).collect();
    let commits = units.into_iter().map(|unit| store.commit(unit));
    let (outcomes, ()) = tokio::join!(futures_util::future::join_all(commits), store.close());
    let done = outcomes.iter().filter(|o| o.is_ok()).count();
    let late = store.commit(adding(&stream(), None)).await;
    assert!(matches!(late, Err(Error::Unavailable(_))), "{late:?}");
    assert!(store.load(&[stream()]).await.is_err());
    assert_whole(&*database.open(patient()).await, done).await;
}
