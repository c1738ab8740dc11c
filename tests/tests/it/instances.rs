//! Two instances of the same services on the same files.

use examples_client::{Client, Result};
use minos::store::{Find, Position, SagaFilter};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{child::Services, stack::Stack};

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_increment_one_counter_and_none_is_lost() -> Result<()> {
    let stack = Stack::embedded()?;
    let one = Services::running(&stack, "trial").await?;
    let two = Services::running(&stack, "trial").await?;
    let created = one.client("trial").post("/counters", &json!({})).await?;
    let path = format!("/counters/{}", created.text("uuid"));
    let mut tasks = JoinSet::new();
    for n in 0..16 {
        let client = if n % 2 == 0 {
            one.client("trial")
        } else {
            two.client("trial")
        };
        let path = format!("{path}/increment");
        tasks.spawn(async move {
            for _ in 0..25 {
                let answer = client.send("POST", &path, None).await?;
                assert_eq!(answer.status, 200, "{answer}");
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    for client in [one.client("trial"), two.client("trial")] {
        assert_eq!(
            client.get(&path).await?.body,
            json!({ "value": 400, "version": 401 })
        );
    }
    Ok(())
}

/// How many sagas are under way when one of the instances dies.
const SAGAS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_instance_leaves_is_finished_by_the_other() -> Result<()> {
    let stack = Stack::embedded()?;
    let one = Services::running(&stack, "foo,foobar").await?;
    let two = Services::running(&stack, "foo,foobar").await?;
    let (doomed, left): (Client, Client) = (one.client("foo"), two.client("foo"));
    for n in 0..SAGAS {
        let client = if n % 2 == 0 { &doomed } else { &left };
        let created = client.post("/foos", &json!({ "bar": "x" })).await?;
        let body = json!({ "uuid": created.text("uuid"), "something": format!("text {n}") });
        let accepted = client.post("/foos/add-foobar", &body).await?;
        assert_eq!(accepted.status, 202, "{accepted}");
    }
    one.signal("KILL").await?;
    let all_ended = |a: &examples_client::Answer| {
        let sagas = a.body["sagas"].as_array().cloned().unwrap_or_default();
        sagas.len() == SAGAS && sagas.iter().all(|s| s["status"] == "completed")
    };
    left.until("/system/sagas?limit=100", all_ended).await?;
    let linked = |a: &examples_client::Answer| {
        let foos = a.body.as_array().cloned().unwrap_or_default();
        foos.len() == SAGAS && foos.iter().all(|f| f["foobar"].is_string())
    };
    left.until("/foos", linked).await?;
    two.signal("TERM").await?;
    let mut two = two;
    assert_eq!(two.wait().await?, Some(0));

    let (foo, foobar) = (stack.store("foo").await?, stack.store("foobar").await?);
    let named = |events: &[minos::store::StoredEvent], name: &str| {
        events.iter().filter(|e| e.name == name).count()
    };
    let (foos, foobars) = (
        foo.events(Position::START, 1000).await?,
        foobar.events(Position::START, 1000).await?,
    );
    assert_eq!(
        (named(&foos, "FooCreated"), named(&foos, "FooUpdated")),
        (SAGAS, SAGAS)
    );
    assert_eq!(
        (
            named(&foobars, "FooBarCreated"),
            named(&foobars, "FooBarDeleted")
        ),
        (SAGAS, 0)
    );
    let mut texts: Vec<Value> = Vec::new();
    for (_, head) in foobar.find(&Find::all("FooBar")).await? {
        texts.push(head.state.ok_or("a dead foobar")?.decode::<Value>()?["text"].clone());
    }
    texts.sort_by_key(ToString::to_string);
    texts.dedup();
    assert_eq!(texts.len(), SAGAS);
    let completed = SagaFilter {
        status: Some("completed".to_owned()),
        limit: 100,
        ..SagaFilter::default()
    };
    assert_eq!(foo.sagas(&completed).await?.len(), SAGAS);
    println!("{SAGAS} sagas over two instances, one killed: lost 0, doubled 0");
    Ok(())
}
