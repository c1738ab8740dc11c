//! Both services, over HTTP: the saga ends in both of them or in none.

use std::path::Path;

use examples_client::{Answer, Client, Result};
use minos::{Builder, Running, Service, config::Config, store::Position};
use serde_json::{Value, json};

async fn start<const N: usize>(folder: &Path, services: [Service; N]) -> Result<Running> {
    let at = folder.display();
    let config = Config::default()
        .set("database.url", &format!("sqlite://{at}/{{service}}.db"))?
        .set("broker.url", &format!("local://{at}/broker.db"))?
        .set("http.bind", "127.0.0.1:0")?;
    Ok(Builder::new(services).config(config).start().await?)
}

/// Creates a foo; answers its path.
async fn create_foo(foo: &Client) -> Result<String> {
    let created = foo.post("/foos", &json!({ "bar": "x" })).await?;
    assert_eq!(created.status, 200, "{created}");
    Ok(format!("/foos/{}", created.text("uuid")))
}

/// Starts the saga; answers the path under which it can be looked at.
async fn add_foobar(foo: &Client, path: &str, something: &str) -> Result<String> {
    let uuid = path.trim_start_matches("/foos/");
    let content = json!({ "uuid": uuid, "something": something });
    let accepted = foo.post("/foos/add-foobar", &content).await?;
    assert_eq!(accepted.status, 202, "{accepted}");
    Ok(format!("/system/sagas/{}", accepted.text("saga")))
}

/// Waits for the end of a saga.
async fn end(foo: &Client, saga: &str) -> Result<Answer> {
    let ended = ["completed", "compensated", "stuck"];
    foo.until(saga, |a| ended.contains(&a.text("status"))).await
}

#[tokio::test]
async fn a_saga_changes_both_services() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let running = start(folder.path(), [foo::service(), foobar::service()]).await?;
    let foo = Client::new(running.url("foo").ok_or("no door")?);
    let foobar = Client::new(running.url("foobar").ok_or("no door")?);

    let path = create_foo(&foo).await?;
    let saga = add_foobar(&foo, &path, "hello").await?;
    let ended = end(&foo, &saga).await?;
    assert_eq!(ended.text("status"), "completed", "{ended}");

    let view = foo.until(&path, |a| a.body["version"] == 2).await?;
    let created = format!("/foobars/{}", view.text("foobar"));
    let created = foobar.until(&created, |a| a.status == 200).await?;
    assert_eq!(created.body["number"], 56);
    assert_eq!(created.body["text"], "hello");

    // The event of the other service came through the broker.
    let told = format!("{path}/foobar");
    let told = foo.until(&told, |a| a.status == 200).await?;
    assert_eq!(told.text("text"), "hello");
    // `bar` did not change, so its handler saw nothing.
    let history = foo.get(&format!("{path}/bars")).await?;
    assert_eq!(history.body["changes"], json!([]));

    running.stop().await?;
    Ok(())
}

/// Its spans are one trace for whoever collects them: over HTTP, the saga, and both services' events.
#[tokio::test]
async fn a_trace_goes_along_with_all_that_a_request_causes() -> Result<()> {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let folder = tempfile::tempdir()?;
    let running = start(folder.path(), [foo::service(), foobar::service()]).await?;
    let foo = Client::new(running.url("foo").ok_or("no door")?);
    let path = create_foo(&foo).await?;
    let traced = foo.clone().with_header("traceparent", TRACE);
    let saga = add_foobar(&traced, &path, "hello").await?;
    let ended = end(&foo, &saga).await?;
    assert_eq!(ended.text("status"), "completed", "{ended}");

    let mut traces = Vec::new();
    for service in ["foo", "foobar"] {
        let store = running.store(service).ok_or("no store")?;
        for event in store.events(Position::START, 10).await? {
            traces.push((event.name, event.headers.traceparent));
        }
    }
    let traced = |name: &str| (name.to_owned(), Some(TRACE.to_owned()));
    let created = ("FooCreated".to_owned(), None);
    assert_eq!(
        traces,
        [created, traced("FooUpdated"), traced("FooBarCreated")]
    );
    running.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_refusal_ends_the_saga_with_its_typed_error() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let running = start(folder.path(), [foo::service(), foobar::service()]).await?;
    let foo = Client::new(running.url("foo").ok_or("no door")?);

    let path = create_foo(&foo).await?;
    let first = add_foobar(&foo, &path, "hello").await?;
    end(&foo, &first).await?;
    let other = create_foo(&foo).await?;
    let second = add_foobar(&foo, &other, "hello").await?;
    let ended = end(&foo, &second).await?;
    assert_eq!(ended.text("status"), "compensated", "{ended}");
    let refusal = json!({ "Exists": { "text": "hello" } });
    assert_eq!(ended.body["error"]["error"], refusal, "{ended}");

    let view = foo.until(&other, |a| a.status == 200).await?;
    assert_eq!(view.body["foobar"], Value::Null);
    running.stop().await?;
    Ok(())
}

/// `foobar` is away while the foo is deleted: what it does afterwards must be undone.
#[tokio::test]
async fn a_foo_that_vanished_takes_its_foobar_with_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let first = start(folder.path(), [foo::service()]).await?;
    let foo = Client::new(first.url("foo").ok_or("no door")?);
    let path = create_foo(&foo).await?;
    let saga = add_foobar(&foo, &path, "orphan").await?;
    let deleted = foo.delete(&path).await?;
    assert_eq!(deleted.status, 204, "{deleted}");

    let second = start(folder.path(), [foobar::service()]).await?;
    let foobar = Client::new(second.url("foobar").ok_or("no door")?);
    let ended = end(&foo, &saga).await?;
    assert_eq!(ended.text("status"), "compensated", "{ended}");
    assert!(
        ended.body.to_string().contains("there is no Foo"),
        "{ended}"
    );

    // It was there, and is gone: its text may be taken again.
    foobar.until("/foobars", |a| a.body == json!([])).await?;
    let free = json!({ "number": 1, "text": "orphan" });
    let free = foobar.post("/foobars", &free).await?;
    assert_eq!(free.status, 200, "{free}");

    second.stop().await?;
    first.stop().await?;
    Ok(())
}

/// What was started before a stop goes on after it.
#[tokio::test]
async fn a_saga_goes_on_after_a_restart() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let first = start(folder.path(), [foo::service()]).await?;
    let foo = Client::new(first.url("foo").ok_or("no door")?);
    let path = create_foo(&foo).await?;
    let saga = add_foobar(&foo, &path, "later").await?;
    first.stop().await?;

    let second = start(folder.path(), [foo::service(), foobar::service()]).await?;
    let foo = Client::new(second.url("foo").ok_or("no door")?);
    let ended = end(&foo, &saga).await?;
    assert_eq!(ended.text("status"), "completed", "{ended}");
    second.stop().await?;
    Ok(())
}
