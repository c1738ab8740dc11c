//! User SQL: one commit with the unit, and never the writer for long.

use std::{sync::Arc, time::Duration};

use sqlx::{Row, SqlSafeStr, SqliteConnection};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{File, PATIENCE, adding, assert_whole, insist, stream};
use crate::store::{
    Error, InboxMark, SqlTransaction, Store as _, UnitOfWork,
    sql::Backend,
    sqlite::{Options, Store},
};

/// Runs a statement of the user and answers how many rows it gave.
async fn sql(transaction: &dyn SqlTransaction, sql: &'static str) -> Result<usize, String> {
    let connection = transaction
        .connection()
        .await
        .map_err(|e| format!("{e:?}"))?;
    let mut answers = sqlx::Sqlite::run(connection, sql.into_sql_str(), None, false);
    let mut rows = 0;
    while let Some(answer) = answers.recv().await {
        rows += usize::from(answer.map_err(|e| e.to_string())?.is_right());
    }
    Ok(rows)
}

async fn notes(file: &File) -> i64 {
    let mut stranger = file.stranger().await;
    let row = sqlx::query("SELECT count(*) FROM notes")
        .fetch_one(&mut stranger)
        .await
        .unwrap();
    row.get(0)
}

/// A store, and a table of the user in its file.
async fn with_notes(options: Options) -> (File, Arc<Store>) {
    let file = File::new();
    let store = file.open(options).await;
    let transaction = store.begin().await.unwrap();
    let create = "CREATE TABLE notes (text TEXT UNIQUE NOT NULL)";
    sql(&*transaction, create).await.unwrap();
    transaction.commit(empty()).await.unwrap();
    (file, store)
}

fn empty() -> UnitOfWork {
    let at = chrono::DateTime::from_timestamp_micros(0).unwrap();
    UnitOfWork::new(Uuid::now_v7(), at)
}

#[tokio::test(flavor = "multi_thread")]
async fn user_sql_and_unit_commit_together() {
    let (file, store) = with_notes(Options::default()).await;
    let mut changes = store.changes();
    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('a'), ('b')")
        .await
        .unwrap();
    assert_eq!(sql(&*transaction, "SELECT * FROM notes").await, Ok(2));
    assert_eq!(notes(&file).await, 0, "nobody else sees them yet");
    let unit = adding(&stream(), None, "x");
    changes.mark_unchanged();
    transaction.commit(unit.clone()).await.unwrap();
    assert!(changes.has_changed().unwrap());
    assert_eq!(notes(&file).await, 2);
    assert_whole(&store, 1).await;

    // The same unit again, with its SQL: it is done, and its rows are not written twice.
    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('c')")
        .await
        .unwrap();
    transaction.commit(unit).await.unwrap();
    assert_eq!(notes(&file).await, 2);
    assert_whole(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_fails_takes_the_users_rows_along() {
    let (file, store) = with_notes(Options::default()).await;
    let taken = stream();
    insist(&store, &taken).await;
    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('a')")
        .await
        .unwrap();
    let result = transaction.commit(adding(&taken, None, "x")).await;
    assert!(matches!(result, Err(Error::Conflict { .. })), "{result:?}");
    assert_eq!(notes(&file).await, 0);

    let mut unit = adding(&stream(), None, "x");
    unit.writes[0].events.clear();
    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('a')")
        .await
        .unwrap();
    assert!(transaction.commit(unit).await.is_err());
    assert_eq!(notes(&file).await, 0);
    insist(&store, &stream()).await;
    assert_whole(&store, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_transaction_rolls_it_back_and_frees_the_writer() {
    let (file, store) = with_notes(Options::default()).await;
    let begun = Instant::now();
    for _ in 0..20 {
        let transaction = store.begin().await.unwrap();
        sql(&*transaction, "INSERT INTO notes VALUES ('a')")
            .await
            .unwrap();
        drop(transaction);
        insist(&store, &stream()).await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "no budget was waited for"
    );
    assert_eq!(notes(&file).await, 0);
    assert_whole(&store, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_cannot_end_the_transaction() {
    let (file, store) = with_notes(Options::default()).await;
    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('a')")
        .await
        .unwrap();
    for end in [
        "COMMIT",
        "SELECT 1; COMMIT",
        "ROLLBACK",
        "BEGIN",
        "PRAGMA journal_mode = OFF",
    ] {
        let refused = sql(&*transaction, end).await.unwrap_err();
        assert!(refused.contains("not for user SQL"), "{refused}");
    }
    transaction.commit(empty()).await.unwrap();
    assert_eq!(notes(&file).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_past_the_check_becomes_a_rollback() {
    let (file, store) = with_notes(Options::default()).await;
    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('a')")
        .await
        .unwrap();
    let mut held = transaction.connection().await.unwrap();
    let sqlite: &mut SqliteConnection = held.as_any().downcast_mut().unwrap();
    assert!(sqlx::query("COMMIT").execute(&mut *sqlite).await.is_err());
    // Outside of a transaction each statement would be one of its own.
    let stray = sqlx::query("INSERT INTO notes VALUES ('b')");
    assert!(stray.execute(&mut *sqlite).await.is_err());
    drop(held);
    let after = sql(&*transaction, "INSERT INTO notes VALUES ('c')").await;
    assert!(after.unwrap_err().contains("rolled back"));
    let result = transaction.commit(adding(&stream(), None, "x")).await;
    assert!(matches!(result, Err(Error::Backend(_))), "{result:?}");
    assert_eq!(notes(&file).await, 0);
    assert_whole(&store, 0).await;
    insist(&store, &stream()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_rolls_back_is_noticed() {
    let (file, store) = with_notes(Options::default()).await;
    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('a')")
        .await
        .unwrap();
    let clash = sql(&*transaction, "INSERT OR ROLLBACK INTO notes VALUES ('a')").await;
    assert!(clash.is_err());
    let result = transaction.commit(adding(&stream(), None, "x")).await;
    assert!(matches!(result, Err(Error::Backend(_))), "{result:?}");
    assert_eq!(notes(&file).await, 0);
    assert_whole(&store, 0).await;

    // A plain clash undoes only its own statement.
    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('a')")
        .await
        .unwrap();
    assert!(
        sql(&*transaction, "INSERT INTO notes VALUES ('a')")
            .await
            .is_err()
    );
    transaction
        .commit(adding(&stream(), None, "x"))
        .await
        .unwrap();
    assert_eq!(notes(&file).await, 1);
    assert_whole(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_that_is_checked_at_the_end_fails_the_unit() {
    let (file, store) = with_notes(Options::default()).await;
    let transaction = store.begin().await.unwrap();
    let create =
        "CREATE TABLE lines (note TEXT REFERENCES notes (text) DEFERRABLE INITIALLY DEFERRED)";
    sql(&*transaction, create).await.unwrap();
    transaction.commit(empty()).await.unwrap();

    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO lines VALUES ('missing')")
        .await
        .unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('a')")
        .await
        .unwrap();
    let result = transaction.commit(adding(&stream(), None, "x")).await;
    assert!(matches!(result, Err(Error::Backend(_))), "{result:?}");
    assert_eq!(notes(&file).await, 0);
    assert_whole(&store, 0).await;
    insist(&store, &stream()).await;
    assert_whole(&store, 1).await;
}

fn hasty() -> Options {
    Options {
        budget: Duration::from_millis(200),
        ..Options::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_over_budget_is_rolled_back() {
    let (file, store) = with_notes(hasty()).await;
    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('a')")
        .await
        .unwrap();
    // Queued behind it: committed as soon as the budget is spent.
    let waiting = store.clone();
    let waiting = tokio::spawn(async move { insist(&waiting, &stream()).await });
    timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_whole(&store, 1).await;
    let late = sql(&*transaction, "INSERT INTO notes VALUES ('b')").await;
    assert!(late.unwrap_err().contains("took longer than"));
    let late = transaction.commit(adding(&stream(), None, "x")).await;
    assert!(matches!(late, Err(Error::Unavailable(_))), "{late:?}");
    assert_eq!(notes(&file).await, 0);
    assert_whole(&store, 1).await;
    // The next one has a budget of its own.
    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('c')")
        .await
        .unwrap();
    transaction.commit(empty()).await.unwrap();
    assert_eq!(notes(&file).await, 1);
}

/// Counts for minutes.
const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                       SELECT count(*) FROM n WHERE i < 0";

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_over_budget_is_interrupted() {
    let (file, store) = with_notes(hasty()).await;
    let transaction = store.begin().await.unwrap();
    sql(&*transaction, "INSERT INTO notes VALUES ('a')")
        .await
        .unwrap();
    let stopped = timeout(PATIENCE, sql(&*transaction, ENDLESS))
        .await
        .unwrap();
    assert!(stopped.unwrap_err().contains("interrupted"));
    timeout(PATIENCE, insist(&store, &stream())).await.unwrap();
    assert_eq!(notes(&file).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_stops_asking_does_not_keep_the_writer() {
    let (_file, store) = with_notes(hasty()).await;
    // Rows that nobody takes, and a transaction that stays open.
    let transaction = store.begin().await.unwrap();
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT i FROM n";
    let connection = transaction.connection().await.unwrap();
    let mut rows = sqlx::Sqlite::run(connection, many.into_sql_str(), None, false);
    rows.recv().await.unwrap().unwrap();
    timeout(PATIENCE, insist(&store, &stream())).await.unwrap();
    // An endless statement whose transaction is dropped.
    let transaction = store.begin().await.unwrap();
    let connection = transaction.connection().await.unwrap();
    let endless = sqlx::Sqlite::run(connection, ENDLESS.into_sql_str(), None, false);
    drop(transaction);
    timeout(PATIENCE, insist(&store, &stream())).await.unwrap();
    drop((rows, endless));
}

#[tokio::test(flavor = "multi_thread")]
async fn user_sql_shares_the_writer_with_units() {
    let (file, store) = with_notes(Options::default()).await;
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                if n % 2 == 0 {
                    insist(&store, &stream()).await;
                    return;
                }
                let transaction = store.begin().await.unwrap();
                let insert = "INSERT INTO notes SELECT count(*) FROM notes";
                sql(&*transaction, insert).await.unwrap();
                transaction
                    .commit(adding(&stream(), None, "x"))
                    .await
                    .unwrap();
            })
        })
        .collect();
    for task in tasks {
        timeout(PATIENCE, task).await.unwrap().unwrap();
    }
    assert_eq!(notes(&file).await, 20);
    assert_whole(&store, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_message_takes_the_users_rows_along() {
    let (file, store) = with_notes(Options::default()).await;
    let handling = || {
        let mut unit = empty();
        unit.inbox = Some(InboxMark {
            consumer: "toys".to_owned(),
            message: Uuid::from_u128(7),
            outcome: None,
        });
        unit
    };
    for (n, note) in [
        "INSERT INTO notes VALUES ('a')",
        "INSERT INTO notes VALUES ('b')",
    ]
    .into_iter()
    .enumerate()
    {
        let transaction = store.begin().await.unwrap();
        sql(&*transaction, note).await.unwrap();
        let result = transaction.commit(handling()).await;
        assert_eq!(result.is_ok(), n == 0, "{result:?}");
    }
    assert_eq!(notes(&file).await, 1);
}
