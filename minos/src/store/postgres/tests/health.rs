//! Who holds up what.

use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};

use super::{adding, empty, patient, server::Database, stream, until};
use crate::store::{Error, Position, Store as _, postgres::Options};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_stands_still_names_who_holds_it() {
    let database = Database::new().await;
    let options = Options {
        settle: Duration::ZERO,
        stall: Duration::from_millis(300),
        poll: (Duration::from_millis(10), Duration::from_millis(20)),
        ..Options::default()
    };
    let store = database.open(options).await;
    store.health().await.unwrap();
    let to: PgConnectOptions = database.url().parse().unwrap();
    let mut holder = PgConnection::connect_with(&to.application_name("nightly report"))
        .await
        .unwrap();
    holder
        .execute("BEGIN; SELECT pg_current_xact_id()")
        .await
        .unwrap();
    store.health().await.unwrap();
    store.commit(adding(&stream(), None)).await.unwrap();
    let complaint = || async {
        match store.health().await {
            Err(Error::Unavailable(why)) => why.to_string(),
            _ => String::new(),
        }
    };
    // Another test's transaction may be older for a while.
    until("a complaint", || async {
        complaint().await.contains("nightly report")
    })
    .await;
    let said = complaint().await;
    for part in [
        "stands still",
        "nightly report",
        "idle in transaction",
        "pg_terminate_backend(",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    assert!(store.events(Position::START, 1).await.unwrap().is_empty());
    holder.execute("COMMIT").await.unwrap();
    until("the end of the complaint", || {
        let store = store.clone();
        async move { store.health().await.is_ok() }
    })
    .await;
    until("the event", || {
        let store = store.clone();
        async move { store.events(Position::START, 1).await.unwrap().len() == 1 }
    })
    .await;
}

/// A look that falls between the place of a row and the end of its transaction must not take it for settled, though
/// nothing else runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_being_written_is_waited_for() {
    let database = Database::new().await;
    let options = Options {
        stall: Duration::from_millis(300),
        poll: (Duration::from_millis(10), Duration::from_millis(20)),
        ..Options::default()
    };
    let store = database.open(options).await;
    let mut writer = database.stranger().await;
    writer
        .execute(
            "BEGIN; SELECT pg_current_xact_id(); SELECT nextval('minos.minos_events_place_seq')",
        )
        .await
        .unwrap();
    until("a complaint", || async { store.health().await.is_err() }).await;
    writer.execute("COMMIT").await.unwrap();
    until("its end", || async { store.health().await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_connection_is_told_who_has_them() {
    let database = Database::new().await;
    let options = Options {
        pool: 2,
        acquire_timeout: Duration::from_millis(200),
        budget: Duration::from_secs(30),
        poll: (Duration::from_secs(60), Duration::from_secs(60)),
        ..Options::default()
    };
    let store = database.open(options).await;
    let held = (store.begin().await.unwrap(), store.begin().await.unwrap());
    let Err(Error::Unavailable(why)) = store.load(&[stream()]).await else {
        panic!("somebody had a third connection");
    };
    let why = why.to_string();
    for part in ["all 2 connections", "database.pool", "cx.sql for"] {
        assert!(why.contains(part), "{part} is not in: {why}");
    }
    // Commits have connections of their own.
    store.commit(adding(&stream(), None)).await.unwrap();
    drop(held);
    until("a connection", || async {
        store.load(&[stream()]).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_written_is_not_well() {
    let database = Database::new().await;
    database.open(patient()).await.close().await;
    let mut stranger = database.stranger().await;
    let sql = format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        database.name()
    );
    stranger.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    // New connections find it.
    let other = super::Store::open(&database.url(), patient())
        .await
        .unwrap();
    let refused = other.health().await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    let mut unit = empty();
    unit.outbox = vec![super::message("k")];
    let refused = other.commit(unit).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
}
