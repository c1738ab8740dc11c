//! A unit of work leaves everything or nothing.

use std::{sync::atomic::Ordering, time::Duration};

use examples_client::Result;
use minos::{
    Running,
    error::Kind,
    store::{Find, Position, SagaFilter},
};
use serde_json::json;

use crate::hot::trial;

/// What a unit of work could leave behind.
#[derive(Debug, PartialEq)]
struct Traces {
    events: usize,
    messages: usize,
    sagas: usize,
    timers: bool,
    counters: usize,
    rows: bool,
}

const NOTHING: Traces = Traces {
    events: 0,
    messages: 0,
    sagas: 0,
    timers: false,
    counters: 0,
    rows: false,
};

async fn traces(running: &Running, folder: &std::path::Path) -> Result<Traces> {
    let store = running.store("trial").ok_or("no store")?;
    let all = SagaFilter {
        limit: 100,
        ..SagaFilter::default()
    };
    Ok(Traces {
        events: store.events(Position::START, 100).await?.len(),
        messages: store.outbox(Position::START, 100).await?.len(),
        sagas: store.sagas(&all).await?.len(),
        timers: store.next_due().await?.is_some(),
        counters: store.find(&Find::all("Counter")).await?.len(),
        rows: table_exists(folder).await?,
    })
}

/// Whether hand-written SQL left its table.
async fn table_exists(folder: &std::path::Path) -> Result<bool> {
    use minos::sqlx::{Connection, SqliteConnection, query_scalar};
    let url = format!("sqlite://{}/trial.db", folder.display());
    let mut connection = SqliteConnection::connect(&url).await?;
    let count: i64 = query_scalar("select count(*) from sqlite_master where name = 'trial_rows'")
        .fetch_one(&mut connection)
        .await?;
    Ok(count > 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_fails_refuses_or_panics_leaves_no_trace() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (running, client) = trial(folder.path()).await?;
    for (end, status) in [("Err", 400), ("Refuse", 409), ("Panic", 500)] {
        let answer = client.post("/everything", &json!({ "end": end })).await?;
        assert_eq!(answer.status, status, "{answer}");
        assert_eq!(
            traces(&running, folder.path()).await?,
            NOTHING,
            "after {end}"
        );
    }
    // The same handler does leave traces when it succeeds.
    let answer = client.post("/everything", &json!({ "end": "Ok" })).await?;
    assert_eq!(answer.status, 204, "{answer}");
    let left = traces(&running, folder.path()).await?;
    assert!(left.events > 0 && left.sagas == 1 && left.rows, "{left:?}");
    running.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_whose_caller_goes_away_leaves_no_trace() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (running, client) = trial(folder.path()).await?;
    let before = minos_tests::ENTERED.load(Ordering::SeqCst);
    let request =
        tokio::spawn(async move { client.post("/everything", &json!({ "end": "Hang" })).await });
    let entered = async {
        while minos_tests::ENTERED.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), entered).await?;
    request.abort();
    // The writer that the handler's SQL held is free again, so another unit gets through.
    let (url, patience) = (
        running.url("trial").ok_or("no door")?,
        Duration::from_secs(10),
    );
    let other = examples_client::Client::new(url);
    let created = tokio::time::timeout(patience, other.post("/counters", &json!({}))).await??;
    assert_eq!(created.status, 200, "{created}");
    let left = traces(&running, folder.path()).await?;
    let others = Traces {
        events: 1,
        counters: 1,
        ..NOTHING
    };
    assert_eq!(left, others);
    // The stop cuts the handler off, and says so.
    let stopped = running.stop().await.unwrap_err();
    assert_eq!(stopped.kind(), Some(Kind::TimedOut));
    let (running, _) = trial(folder.path()).await?;
    assert_eq!(traces(&running, folder.path()).await?, others);
    running.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixty_four_equal_names_one_wins() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (running, client) = trial(folder.path()).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let client = client.clone();
        tasks.spawn(async move { client.post("/counters", &json!({ "name": "only" })).await });
    }
    let (mut won, mut lost) = (0, 0);
    while let Some(done) = tasks.join_next().await {
        match done??.status {
            200 => won += 1,
            409 => lost += 1,
            status => return Err(format!("status {status}").into()),
        }
    }
    assert_eq!((won, lost), (1, 63));
    running.stop().await?;
    Ok(())
}
