//! The service `foo` alone, over HTTP: commands answer at once, views follow.

use examples_client::{Client, Result};
use minos::{Builder, Running, config::Config};
use serde_json::json;

async fn start() -> Result<(Running, Client)> {
    let running = Builder::new([foo::service()])
        .config(Config::in_memory())
        .start()
        .await?;
    let client = Client::new(running.url("foo").ok_or("no door")?);
    Ok((running, client))
}

#[tokio::test]
async fn a_foo_lives_from_post_to_delete() -> Result<()> {
    let (running, client) = start().await?;

    let created = client.post("/foos", &json!({ "bar": "x" })).await?;
    assert_eq!(created.status, 200, "{created}");
    let path = format!("/foos/{}", created.text("uuid"));
    let view = client.until(&path, |a| a.status == 200).await?;
    assert_eq!(
        view.body,
        json!({ "uuid": created.body["uuid"], "version": 1, "bar": "x", "foobar": null })
    );

    let updated = client.post(&path, &json!({ "bar": "y" })).await?;
    assert_eq!(updated.status, 204, "{updated}");
    client.until(&path, |a| a.text("bar") == "y").await?;
    let all = client.get("/foos").await?;
    assert_eq!(all.body.as_array().map(Vec::len), Some(1), "{all}");

    let deleted = client.delete(&path).await?;
    assert_eq!(deleted.status, 204, "{deleted}");
    client.until(&path, |a| a.status == 404).await?;
    let again = client.delete(&path).await?;
    assert_eq!(again.status, 404, "{again}");

    running.stop().await?;
    Ok(())
}

#[tokio::test]
async fn the_handler_of_a_field_sees_changes_of_that_field_only() -> Result<()> {
    let (running, client) = start().await?;
    let created = client.post("/foos", &json!({ "bar": "x" })).await?;
    let path = format!("/foos/{}", created.text("uuid"));
    // The second one changes nothing: no event.
    for bar in ["y", "y", "z"] {
        let updated = client.post(&path, &json!({ "bar": bar })).await?;
        assert_eq!(updated.status, 204, "{updated}");
    }
    client.until(&path, |a| a.body["version"] == 3).await?;
    let history = client.get(&format!("{path}/bars")).await?;
    assert_eq!(
        history.body["changes"],
        json!([
            { "version": 2, "diff": { "bar": "y" } },
            { "version": 3, "diff": { "bar": "z" } },
        ])
    );
    running.stop().await?;
    Ok(())
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_the_place() -> Result<()> {
    let (running, client) = start().await?;
    let nobody = "00000000-0000-7000-8000-000000000000";

    let wrong = client.post("/foos", &json!({ "bar": 5 })).await?;
    assert_eq!(
        (wrong.status, wrong.media_type.as_str()),
        (400, "application/problem+json")
    );
    assert_eq!(wrong.text("pointer"), "/bar", "{wrong}");

    // The saga is not even started.
    let absent = json!({ "uuid": nobody, "something": "hello" });
    let absent = client.post("/foos/add-foobar", &absent).await?;
    assert_eq!(absent.status, 404, "{absent}");

    let absent = client.get(&format!("/foos/{nobody}")).await?;
    assert_eq!(absent.status, 404, "{absent}");
    let no_id = client.get("/foos/7").await?;
    assert_eq!(no_id.status, 400, "{no_id}");

    running.stop().await?;
    Ok(())
}
