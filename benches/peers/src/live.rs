//! How long an event takes from its commit to a handler that follows the log.

use std::time::{Duration, Instant};

use minos::{Builder, Running, config::Config, prelude::*};
use minos_peers::{SEEN, Sample};
use tokio::sync::mpsc::unbounded_channel;

use crate::{floor::database, note, rows::Table};

/// How many events, by how many writers.
const EVENTS: u64 = 3000;
const WRITERS: u64 = 16;
/// How often a writer writes: 300 events per second by all.
const PAUSE: Duration = Duration::from_micros(53_333);

pub(crate) async fn live(server: &str) -> crate::Result<()> {
    let url = database(server, "peers_live").await?;
    let config = Config::in_memory().set("database.url", &url)?;
    let running = Builder::new([minos_peers::service()])
        .config(config)
        .start()
        .await?;
    let (to, mut seen) = unbounded_channel();
    SEEN.set(to).map_err(|_| "followed twice")?;
    let running = std::sync::Arc::new(running);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let running = running.clone();
        writers.spawn(async move { write(&running, writer).await });
    }
    let mut committed = std::collections::HashMap::new();
    while let Some(some) = writers.join_next().await {
        committed.extend(some??);
    }
    let mut took = Vec::new();
    let (mut missed, mut twice) = (committed.len(), 0);
    while missed > 0 {
        let next = tokio::time::timeout(Duration::from_secs(10), seen.recv()).await;
        let Ok(Some((number, at))) = next else { break };
        match committed.remove(&number) {
            Some(since) => took.push(at.saturating_duration_since(since)),
            None => twice += 1,
        }
        missed = committed.len();
    }
    took.sort();
    let at = |share: f64| {
        let place = (took.len() as f64 * share) as usize;
        let some = took.get(place.min(took.len().saturating_sub(1)));
        some.map_or(f64::NAN, |d: &Duration| d.as_secs_f64() * 1000.0)
    };
    let mut table = Table::new(
        "W5 live, ms",
        &["p50", "p99", "longest", "missed", "seen twice"],
    );
    table.add(
        "minos",
        vec![at(0.5), at(0.99), at(1.0), missed as f64, f64::from(twice)],
    );
    table.print();
    Ok(())
}

/// What a writer wrote, and when it was told that it is durable.
async fn write(running: &Running, writer: u64) -> crate::Result<Vec<(u64, Instant)>> {
    let mut written = Vec::new();
    let mut tick = tokio::time::interval(PAUSE);
    for n in 0..EVENTS / WRITERS {
        tick.tick().await;
        let number = n * WRITERS + writer;
        let unit = running.unit("live", move |cx| {
            Box::pin(async move {
                let note = note();
                Sample::create(cx, Sample { number, note }).map(drop)
            })
        });
        unit.await?;
        written.push((number, Instant::now()));
    }
    Ok(written)
}
