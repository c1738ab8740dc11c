//! The service `foobar` alone, over HTTP: typed refusals, and a text that is taken once.

use examples_client::{Client, Result};
use minos::{Builder, Running, config::Config};
use serde_json::json;

async fn start() -> Result<(Running, Client)> {
    let running = Builder::new([foobar::service()])
        .config(Config::in_memory())
        .start()
        .await?;
    let client = Client::new(running.url("foobar").ok_or("no door")?);
    Ok((running, client))
}

#[tokio::test]
async fn a_foobar_is_shown_after_it_was_created() -> Result<()> {
    let (running, client) = start().await?;
    let foobar = json!({ "number": 7, "text": "hello" });
    let created = client.post("/foobars", &foobar).await?;
    assert_eq!(created.status, 200, "{created}");
    let path = format!("/foobars/{}", created.text("uuid"));
    let view = client.until(&path, |a| a.status == 200).await?;
    assert_eq!(
        view.body,
        json!({ "uuid": created.body["uuid"], "number": 7, "text": "hello" })
    );
    running.stop().await?;
    Ok(())
}

#[tokio::test]
async fn refusals_are_typed() -> Result<()> {
    let (running, client) = start().await?;
    let foobar = json!({ "number": 7, "text": "hello" });
    client.post("/foobars", &foobar).await?;

    let taken = client.post("/foobars", &foobar).await?;
    assert_eq!(
        (taken.status, taken.media_type.as_str()),
        (409, "application/problem+json")
    );
    assert_eq!(
        taken.text("detail"),
        r#"a foobar saying "hello" exists already"#
    );

    let empty = client
        .post("/foobars", &json!({ "number": 7, "text": " " }))
        .await?;
    assert_eq!(empty.status, 422, "{empty}");
    running.stop().await?;
    Ok(())
}

#[tokio::test]
async fn of_many_equal_texts_at_once_one_is_taken() -> Result<()> {
    let (running, client) = start().await?;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..32 {
        let client = client.clone();
        calls.spawn(async move {
            let foobar = json!({ "number": number, "text": "mine" });
            client.post("/foobars", &foobar).await.map(|a| a.status)
        });
    }
    let mut statuses = Vec::new();
    for status in calls.join_all().await {
        statuses.push(status?);
    }
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert_eq!(statuses[1..], [409; 31]);
    running.stop().await?;
    Ok(())
}
