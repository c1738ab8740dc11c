//! The file and what is in it.

use super::*;

#[tokio::test]
async fn a_topic_keeps_the_partitions_it_was_created_with() {
    let folder = tempfile::tempdir().unwrap();
    let broker = open(&folder, Options::default().partitions(3)).await;
    broker.ensure_topics(&topics()).await.unwrap();
    broker.publish(&spread(40, 0..40)).await.unwrap();
    broker.close().await;

    let broker = open(&folder, Options::default().partitions(16)).await;
    broker.ensure_topics(&topics()).await.unwrap();
    assert_eq!(broker.topic(TOPIC).await.unwrap().partitions, 3);
    broker.publish(&spread(40, 40..80)).await.unwrap();
    let mut member = broker.subscribe("group", &topics()).await.unwrap();
    let seen = take(&mut *member, 80).await;
    assert!(seen.iter().all(|d| d.origin.partition < 3));
    let seen: Vec<_> = seen
        .iter()
        .map(|d| (d.message.as_ref().unwrap().key.clone(), number(d)))
        .collect();
    check_order(&seen, 40, 0..80);
}

#[tokio::test]
async fn many_may_create_one_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a folder").join("broker.db");
    let url = format!("local://{}", path.display());
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = url.clone();
        racers.spawn(async move {
            let broker = Broker::open(&url, Options::default()).await?;
            broker.ensure_topics(&topics()).await?;
            broker.publish(&spread(1, 0..1)).await?;
            Ok::<_, Error>(broker)
        });
    }
    let mut brokers = Vec::new();
    while let Some(opened) = racers.join_next().await {
        brokers.push(opened.unwrap().unwrap());
    }
    let mut member = brokers[0].subscribe("group", &topics()).await.unwrap();
    assert_eq!(numbers(&take(&mut *member, 8).await), [0; 8]);
}

#[tokio::test]
async fn a_file_of_something_else_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.db");
    run_new(&path, "CREATE TABLE users (id INTEGER)").await;
    let refused = Broker::open(&path, Options::default()).await.unwrap_err();
    assert!(cause(&refused).contains("broker.db` belongs to something else"));

    std::fs::write(
        folder.path().join("text"),
        "this is no database, but a text",
    )
    .unwrap();
    let refused = Broker::open(folder.path().join("text"), Options::default()).await;
    assert!(cause(&refused.unwrap_err()).contains("text` cannot be"));

    let refused = Broker::open(":memory:", Options::default()).await;
    assert!(cause(&refused.unwrap_err()).contains("broker::memory"));
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder, Options::default()).await.close().await;
    run(&folder, "PRAGMA user_version = 2").await;
    let path = folder.path().join("broker.db");
    let refused = Broker::open(path, Options::default()).await.unwrap_err();
    assert!(cause(&refused).contains("has version 2, and this program reads 1"));
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    for options in [
        Options::default().partitions(0),
        Options::default().partitions(1_000_000),
        Options::default().lease(Duration::ZERO),
        Options::default().poll(Duration::MAX),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.db");
        let refused = Broker::open(path, options).await.unwrap_err();
        assert!(cause(&refused).contains("it must be"), "{refused:?}");
    }
}

#[tokio::test]
async fn rows_of_another_format_are_undecodable() {
    let folder = tempfile::tempdir().unwrap();
    let broker = open(&folder, Options::default()).await;
    broker.ensure_topics(&topics()).await.unwrap();
    broker.publish(&spread(1, 0..3)).await.unwrap();
    run(&folder, "UPDATE messages SET format = 7 WHERE offset = 2").await;
    let mut member = broker.subscribe("group", &topics()).await.unwrap();
    let got = take(&mut *member, 3).await;
    let reason = &got[1].message.as_ref().unwrap_err().reason;
    assert!(reason.contains("format is 7"), "{reason}");
    assert_eq!((number(&got[0]), number(&got[2])), (0, 2));
}

#[tokio::test]
async fn a_write_that_fails_is_an_error_and_the_next_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let broker = open(&folder, Options::default()).await;
    broker.ensure_topics(&topics()).await.unwrap();
    broker.publish(&spread(1, 0..1)).await.unwrap();
    let full =
        "CREATE TRIGGER full BEFORE INSERT ON messages BEGIN SELECT RAISE(ROLLBACK, 'full'); END";
    run(&folder, full).await;
    let batch = spread(1, 1..2);
    let attempts = (0..16).map(|_| broker.publish(&batch));
    for failed in futures_util::future::join_all(attempts).await {
        assert!(cause(&failed.unwrap_err()).contains("full"));
    }
    run(&folder, "DROP TRIGGER full").await;
    broker.publish(&batch).await.unwrap();
    let mut member = broker.subscribe("group", &topics()).await.unwrap();
    assert_eq!(numbers(&take(&mut *member, 2).await), [0, 1]);
}

#[tokio::test]
async fn a_file_that_stays_locked_is_unavailable_and_one_that_is_freed_is_not() {
    use sqlx::Connection;
    let folder = tempfile::tempdir().unwrap();
    let hasty = Options::default().patience(Duration::from_millis(20));
    let hasty = open(&folder, hasty).await;
    let patient = open(&folder, Options::default()).await;
    hasty.ensure_topics(&topics()).await.unwrap();
    patient.ensure_topics(&topics()).await.unwrap();

    let mut other = connect(&folder).await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let batch = spread(1, 0..1);
    let tries = async {
        let refused = hasty.publish(&batch).await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
        lock.rollback().await.unwrap();
    };
    let (waited, ()) = tokio::join!(within("the lock", patient.publish(&batch)), tries);
    waited.unwrap();
    hasty.publish(&batch).await.unwrap();
}

/// A process tells the changes of others from its own by this mark.
#[tokio::test]
async fn the_mark_of_a_change_is_about_others() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder, Options::default()).await.close().await;
    let (mut one, mut two) = (connect(&folder).await, connect(&folder).await);
    async fn mark(connection: &mut sqlx::SqliteConnection) -> i64 {
        let mark = sqlx::query_scalar("PRAGMA data_version");
        mark.fetch_one(connection).await.unwrap()
    }
    let change = "INSERT INTO groups VALUES (hex(randomblob(8)), 1)";
    let start = (mark(&mut one).await, mark(&mut two).await);
    sqlx::query(change).execute(&mut one).await.unwrap();
    assert_eq!(mark(&mut one).await, start.0);
    let changed = mark(&mut two).await;
    assert_ne!(changed, start.1);
    sqlx::query(change).execute(&mut two).await.unwrap();
    assert_eq!(mark(&mut two).await, changed);
    assert_ne!(mark(&mut one).await, start.0);
}

async fn run_new(path: &Path, sql: &'static str) {
    use sqlx::ConnectOptions;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let options = options.create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
}

fn cause(e: &Error) -> String {
    std::error::Error::source(e).unwrap().to_string()
}
