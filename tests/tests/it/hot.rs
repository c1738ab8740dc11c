//! One aggregate that everybody wants.

use examples_client::{Client, Result};
use minos::{Builder, Running, config::Config};
use serde_json::json;

/// The trial service on files in this folder.
pub(crate) async fn trial(folder: &std::path::Path) -> Result<(Running, Client)> {
    let at = folder.display();
    let config = Config::default()
        .set("database.url", &format!("sqlite://{at}/{{service}}.db"))?
        .set("broker.url", &format!("local://{at}/broker.db"))?
        .set("http.bind", "127.0.0.1:0")?
        .set("runtime.stop_grace", "2s")?;
    let running = Builder::new([minos_tests::service()])
        .config(config)
        .start()
        .await?;
    let client = Client::new(running.url("trial").ok_or("no door")?);
    Ok((running, client))
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_clients_increment_one_counter_and_none_is_lost() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (running, client) = trial(folder.path()).await?;
    let created = client.post("/counters", &json!({})).await?;
    let path = format!("/counters/{}", created.text("uuid"));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (client, path) = (client.clone(), format!("{path}/increment"));
        tasks.spawn(async move {
            let mut ok = 0;
            for _ in 0..25 {
                let answer = client.send("POST", &path, None).await?;
                assert_eq!(answer.status, 200, "{answer}");
                ok += 1;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(ok)
        });
    }
    let mut ok = 0;
    while let Some(done) = tasks.join_next().await {
        ok += done??;
    }
    let counter = client.get(&path).await?;
    println!(
        "{ok} of 400 increments answered 200; the counter stands at {}",
        counter.body["value"]
    );
    assert_eq!(ok, 400);
    assert_eq!(counter.body, json!({ "value": 400, "version": 401 }));
    running.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_counters_wanted_in_both_orders_do_not_block_each_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (running, client) = trial(folder.path()).await?;
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(
            client
                .post("/counters", &json!({}))
                .await?
                .text("uuid")
                .to_owned(),
        );
    }
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..64 {
        let (from, to) = if n % 2 == 0 {
            (&ids[0], &ids[1])
        } else {
            (&ids[1], &ids[0])
        };
        let (client, path) = (client.clone(), format!("/counters/{from}/move/{to}"));
        tasks.spawn(async move { client.send("POST", &path, None).await });
        // Some callers go away.
        if n % 8 == 7 {
            tasks.spawn(async {
                Ok(examples_client::Answer {
                    status: 204,
                    media_type: String::new(),
                    body: serde_json::Value::Null,
                })
            });
        }
    }
    let all = async {
        while let Some(done) = tasks.join_next().await {
            let answer = done??;
            assert_eq!(answer.status, 204, "{answer}");
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), all).await??;
    for id in &ids {
        let counter = client.get(&format!("/counters/{id}")).await?;
        assert_eq!(counter.body, json!({ "value": 0, "version": 65 }));
    }
    running.stop().await?;
    Ok(())
}
