//! User SQL: one commit with the unit, for a bounded time.

use std::{sync::Arc, time::Duration};

use sqlx::{Row, SqlSafeStr};
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    PATIENCE, adding, assert_whole, empty, guard, inbox, patient, server::Database, stream, until,
};
use crate::store::{
    Error, SqlTransaction, Store as _,
    postgres::{Options, Store},
    sql::Backend,
};

/// Runs a statement of the user and answers how many rows it gave.
async fn sql(transaction: &dyn SqlTransaction, sql: &'static str) -> Result<usize, String> {
    let connection = transaction
        .connection()
        .await
        .map_err(|e| format!("{e:?}"))?;
    let mut answers = sqlx::Postgres::run(connection, sql.into_sql_str(), None, false);
    let mut rows = 0;
    while let Some(answer) = answers.recv().await {
        rows += usize::from(answer.map_err(|e| e.to_string())?.is_right());
    }
    Ok(rows)
}

async fn notes(database: &Database) -> i64 {
    let mut stranger = database.stranger().await;
    let row = sqlx::query("SELECT count(*) FROM minos.notes")
        .fetch_one(&mut stranger)
        .await
        .unwrap();
    row.get(0)
}

/// A store, and a table of the user beside its own.
async fn with_notes(options: Options) -> (Database, Arc<Store>) {
    let database = Database::new().await;
    let store = database.open(options).await;
    let transaction = store.begin().await.unwrap();
    let create = "CREATE TABLE notes (text TEXT UNIQUE NOT NULL)";
    sql(&*transaction, create).await.unwrap();
    transaction.commit(empty()).await.unwrap();
    (database, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn user_sql_and_unit_commit_together() {
    let (database, store) = with_notes(patient()).await;
    let mut changes = store.changes();
    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('a'), ('b')")
        .await
        .unwrap();
    assert_eq!(sql(&*transaction, "SELECT * FROM notes").await, Ok(2));
    assert_eq!(notes(&database).await, 0, "nobody else sees them yet");
    let unit = adding(&stream(), None);
    changes.mark_unchanged();
    transaction.commit(unit.clone()).await.unwrap();
    assert!(changes.has_changed().unwrap());
    assert_eq!(notes(&database).await, 2);
    assert_whole(&store, 1).await;

    // The same unit again, with its SQL: it is done, and its rows are not written twice.
    let only_sql = empty();
    for unit in [unit, only_sql.clone(), only_sql] {
        let transaction = store.begin().await.unwrap();
        sql(&*transaction, "INSERT INTO notes VALUES ('c')")
            .await
            .unwrap();
        transaction.commit(unit).await.unwrap();
        assert!(notes(&database).await <= 3);
        let mut stranger = database.stranger().await;
        sqlx::query("DELETE FROM minos.notes WHERE text = 'c'")
            .execute(&mut stranger)
            .await
            .unwrap();
    }
    assert_eq!(notes(&database).await, 2);
    assert_whole(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_fails_takes_the_users_rows_along() {
    let (database, store) = with_notes(patient()).await;
    let taken = stream();
    store.commit(adding(&taken, None)).await.unwrap();
    let handled = Uuid::now_v7();
    let mut unit = empty();
    unit.inbox = Some(inbox(handled));
    store.commit(unit).await.unwrap();
    let mut again = adding(&stream(), None);
    again.inbox = Some(inbox(handled));
    for unit in [adding(&taken, None), again] {
        let transaction = store.begin().await.unwrap();
        sql(&*transaction, "INSERT INTO notes VALUES ('a')")
            .await
            .unwrap();
        let result = transaction.commit(unit).await;
        assert!(
            matches!(
                result,
                Err(Error::Conflict { .. } | Error::Duplicate { .. })
            ),
            "{result:?}"
        );
        assert_eq!(notes(&database).await, 0);
    }
    assert_whole(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_transaction_rolls_it_back_and_frees_its_connection() {
    let options = Options {
        pool: 2,
        budget: Duration::from_secs(30),
        acquire_timeout: Duration::from_secs(20),
        ..patient()
    };
    let (database, store) = with_notes(options).await;
    for _ in 0..20 {
        let transaction = store.begin().await.unwrap();
        sql(&*transaction, "INSERT INTO notes VALUES ('a')")
            .await
            .unwrap();
        drop(transaction);
    }
    assert_eq!(notes(&database).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_cannot_end_the_transaction() {
    let (database, store) = with_notes(patient()).await;
    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('a')")
        .await
        .unwrap();
    for end in [
        "COMMIT",
        "SELECT 1; COMMIT",
        "ROLLBACK",
        "BEGIN",
        "SET lock_timeout = 0",
        "PREPARE TRANSACTION 'x'",
        "ABORT",
    ] {
        let refused = sql(&*transaction, end).await.unwrap_err();
        assert!(refused.contains("not for user SQL"), "{refused}");
    }
    transaction.commit(empty()).await.unwrap();
    assert_eq!(notes(&database).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_fails_fails_the_unit() {
    let (database, store) = with_notes(patient()).await;
    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('a')")
        .await
        .unwrap();
    assert!(
        sql(&*transaction, "INSERT INTO notes VALUES ('a')")
            .await
            .is_err()
    );
    let result = transaction.commit(adding(&stream(), None)).await;
    assert!(matches!(result, Err(Error::Backend(_))), "{result:?}");
    assert_eq!(notes(&database).await, 0);
    assert_whole(&store, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_ends_what_takes_too_long() {
    let options = Options {
        budget: Duration::from_millis(200),
        ..patient()
    };
    let (database, store) = with_notes(options).await;
    // A statement that runs, then a user who waits for something else.
    let transaction = store.begin().await.unwrap();
    let slow = timeout(PATIENCE, sql(&*transaction, "SELECT pg_sleep(100)"));
    assert!(slow.await.unwrap().is_err());
    let idle = store.begin().await.unwrap();
    sql(&*idle, "INSERT INTO notes VALUES ('a')").await.unwrap();
    until("the end of the budget", || async {
        sql(&*idle, "SELECT 1").await.is_err()
    })
    .await;
    let result = idle.commit(adding(&stream(), None)).await;
    assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
    drop(transaction);
    assert_eq!(notes(&database).await, 0);
    assert_whole(&store, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_users_settings_are_not_ours() {
    let (database, store) = with_notes(patient()).await;
    let transaction = store.begin().await.unwrap();
    let shown = "SELECT 1 WHERE current_setting('enable_seqscan') = 'on' \
                 AND current_schema() = 'minos'";
    assert_eq!(sql(&*transaction, shown).await, Ok(1));
    transaction.commit(empty()).await.unwrap();
    let _ = database;
}

/// The connection dies between the COMMIT and its answer, or before: the caller is told which.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_dies_before_the_commit_has_written_nothing() {
    let (database, store) = with_notes(patient()).await;
    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('a')")
        .await
        .unwrap();
    let mut stranger = database.stranger().await;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND state = 'idle in transaction'",
    )
    .execute(&mut stranger)
    .await
    .unwrap();
    let id = stream();
    let result = transaction.commit(adding(&id, None)).await;
    assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
    assert_eq!(guard(&*store, &id).await, None);
    assert_eq!(notes(&database).await, 0);
}
