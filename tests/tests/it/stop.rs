//! Stopping under load.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use examples_client::Result;
use serde_json::json;

use crate::{child::Services, stack::Stack};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_loses_nothing_that_was_acknowledged() -> Result<()> {
    let stack = Stack::embedded()?;
    let mut services = Services::running(&stack, "trial").await?;
    let client = services.client("trial");
    let created = client.post("/counters", &json!({})).await?;
    let path = format!("/counters/{}", created.text("uuid"));
    let (acknowledged, told) = (
        Arc::new(AtomicU32::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        // One client is one keep-alive connection.
        let (client, path) = (services.client("trial"), format!("{path}/increment"));
        let (acknowledged, told) = (acknowledged.clone(), told.clone());
        tasks.spawn(async move {
            loop {
                match client.send("POST", &path, None).await {
                    Ok(answer) => {
                        assert_eq!(answer.status, 200, "{answer}");
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                    }
                    // Only a connection that the stop refuses or closes between requests may fail.
                    Err(e) => {
                        assert!(told.load(Ordering::SeqCst), "before the stop: {e}");
                        return;
                    }
                }
            }
        });
    }
    let busy = async {
        while acknowledged.load(Ordering::SeqCst) < 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), busy).await?;
    told.store(true, Ordering::SeqCst);
    let stopped = Instant::now();
    services.signal("TERM").await?;
    let code = services.wait().await?;
    let took = stopped.elapsed();
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "it took {took:?}");

    let services = Services::running(&stack, "trial").await?;
    let counter = services.client("trial").get(&path).await?;
    let (value, acknowledged) = (
        counter.body["value"].as_u64(),
        acknowledged.load(Ordering::SeqCst),
    );
    println!("{acknowledged} acknowledged, {value:?} stored, stopped in {took:?}");
    assert_eq!(value, Some(acknowledged.into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_no_more_ends_the_service_and_keeps_what_was_acknowledged() -> Result<()>
{
    let stack = Stack::embedded()?;
    let mut services = Services::on_a_full_disk(&stack, "trial", 1024).await?;
    let client = services.client("trial");
    let mut acknowledged = Vec::new();
    let refused = loop {
        let name = format!("{} {}", acknowledged.len(), "n".repeat(4000));
        match client.post("/counters", &json!({ "name": name })).await {
            Ok(answer) if answer.status == 200 => acknowledged.push(answer.text("uuid").to_owned()),
            other => break other,
        }
        assert!(acknowledged.len() < 10_000, "the disk is never full");
    };
    if let Ok(answer) = &refused {
        assert!(answer.status >= 500, "{answer}");
    }
    assert_eq!(services.wait().await?, Some(1));

    let services = Services::running(&stack, "trial").await?;
    let client = services.client("trial");
    for uuid in &acknowledged {
        let counter = client.get(&format!("/counters/{uuid}")).await?;
        assert_eq!(
            counter.status, 200,
            "an acknowledged counter is gone: {counter}"
        );
    }
    println!(
        "{} acknowledged before the disk was full, all there",
        acknowledged.len()
    );
    Ok(())
}
