//! Minos beside the floor and its peers on one PostgreSQL, in one run: operations per second, and ratios to the floor.
//!
//! `MINOS_TEST_POSTGRES` names the server (`scripts/services env`), the arguments what to run: `write`, `load`,
//! `live`, `relay`, `saga`; all of it without any. `alone` leaves out the others, for a profile; `embedded` or `servers`
//! leaves out the sagas on the other stack. Each subject gets a database of its own. An event is about 200 bytes.
//!
//! ```text
//! scripts/services up; eval "$(scripts/services env)"
//! cd benches/peers && cargo run --release -- saga servers
//! ```

mod cqrs;
mod floor;
mod live;
mod ours;
mod peer;
mod relay;
mod rows;
mod saga;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use uuid::Uuid;

minos::service!("peers");

pub(crate) type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Somebody who keeps accounts as events.
#[async_trait]
pub(crate) trait Subject: Send + Sync {
    fn name(&self) -> &'static str;

    /// A new account, durable: one event.
    async fn create(&self) -> Result<Uuid>;

    /// Loads an account, changes it, and appends one event; again until that is accepted.
    async fn change(&self, id: Uuid) -> Result<()>;

    /// The balance, from all its events.
    async fn replay(&self, id: Uuid) -> Result<i64>;

    /// The balance, from a snapshot if there are any.
    async fn load(&self, id: Uuid) -> Result<Option<i64>>;

    /// Reads every event there is; answers how many, if that can be done.
    async fn catch_up(&self) -> Result<Option<usize>>;
}

/// A text that makes an event about 200 bytes.
pub(crate) fn note() -> String {
    let mut text = "n".repeat(150);
    text.push_str(&fastrand::u64(..).to_string());
    text
}

/// Runs `n` operations by so many tasks; answers operations per second.
async fn rate<F, Fut>(n: usize, tasks: usize, operation: F) -> Result<f64>
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<()>> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..tasks {
        let (next, operation) = (next.clone(), operation.clone());
        running.spawn(async move {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= n {
                    return Ok::<(), Box<dyn std::error::Error + Send + Sync>>(());
                }
                operation(at).await?;
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(n as f64 / began.elapsed().as_secs_f64())
}

/// How often each figure is taken; the best counts, because others use the machine too.
const ROUNDS: usize = 3;

async fn best<F, Fut>(n: usize, tasks: usize, operation: F) -> Result<f64>
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<()>> + Send,
{
    let mut best: f64 = 0.0;
    for _ in 0..ROUNDS {
        best = best.max(rate(n, tasks, operation.clone()).await?);
    }
    Ok(best)
}

/// What is measured: a name and how.
async fn writes(subjects: &[Arc<dyn Subject>]) -> Result<()> {
    let mut table = rows::Table::new(
        "operations per second",
        &[
            "W1 create, 1",
            "W1 create, 64",
            "W2 update, 1",
            "W2 update, 64",
            "W3 hot, 16",
        ],
    );
    for subject in subjects {
        let mut row = Vec::new();
        for (n, tasks) in [(1500, 1), (12_000, 64)] {
            let of = subject.clone();
            let create = move |_| {
                let of = of.clone();
                async move { of.create().await.map(drop) }
            };
            row.push(best(n, tasks, create).await?);
        }
        let mut ids = Vec::new();
        for _ in 0..1000 {
            let id = subject.create().await?;
            ids.push(id);
        }
        let ids = Arc::new(ids);
        let (of, all) = (subject.clone(), ids.clone());
        rate(9000, 16, move |n| {
            let (of, id) = (of.clone(), all[n % 1000]);
            async move { of.change(id).await }
        })
        .await?;
        for (n, tasks) in [(1500, 1), (6000, 64)] {
            let (of, all) = (subject.clone(), ids.clone());
            let change = move |_| {
                let (of, id) = (of.clone(), all[fastrand::usize(..all.len())]);
                async move { of.change(id).await }
            };
            row.push(best(n, tasks, change).await?);
        }
        let mut hot: f64 = 0.0;
        for _ in 0..ROUNDS {
            // A new one each time: who replays all events gets slower with each.
            let (of, id) = (subject.clone(), subject.create().await?);
            let change = move |_| {
                let of = of.clone();
                async move { of.change(id).await }
            };
            hot = hot.max(rate(800, 16, change).await?);
        }
        row.push(hot);
        table.add(subject.name(), row);
    }
    table.print_with_ratios();
    Ok(())
}

async fn loads(subjects: &[Arc<dyn Subject>]) -> Result<()> {
    let mut table = rows::Table::new(
        "milliseconds, and events per second",
        &[
            "W4 replay 1,000",
            "W4 replay 10,000",
            "W4 load, 10,000",
            "W5 catch-up, events/s",
        ],
    );
    for subject in subjects {
        let mut row = Vec::new();
        let mut id = Uuid::nil();
        for events in [1000, 10_000] {
            id = subject.create().await?;
            for _ in 1..events {
                subject.change(id).await?;
            }
            row.push(milliseconds(|| subject.replay(id)).await?);
        }
        row.push(match subject.load(id).await? {
            Some(_) => milliseconds(|| subject.load(id)).await?,
            None => f64::NAN,
        });
        let began = Instant::now();
        row.push(match subject.catch_up().await? {
            Some(events) => events as f64 / began.elapsed().as_secs_f64(),
            None => f64::NAN,
        });
        table.add(subject.name(), row);
    }
    table.print();
    Ok(())
}

/// The shortest of some runs.
async fn milliseconds<F, Fut, T>(operation: F) -> Result<f64>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let began = Instant::now();
        operation().await?;
        best = best.min(began.elapsed());
    }
    Ok(best.as_secs_f64() * 1000.0)
}

#[tokio::main]
async fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let on = |what: &str| wanted.is_empty() || wanted.iter().any(|w| w == what);
    let server = std::env::var("MINOS_TEST_POSTGRES")
        .map_err(|_| "MINOS_TEST_POSTGRES is not set: eval \"$(scripts/services env)\"")?;
    if on("write") || on("load") {
        let mut subjects: Vec<Arc<dyn Subject>> = vec![
            Arc::new(floor::Floor::open(&server).await?),
            Arc::new(ours::Ours::open(&server).await?),
            Arc::new(cqrs::CqrsEs::open(&server).await?),
            Arc::new(peer::Esrs::open(&server).await?),
        ];
        if wanted.iter().any(|w| w == "alone") {
            subjects.retain(|s| s.name() == "minos");
        }
        if on("write") {
            writes(&subjects).await?;
        }
        if on("load") {
            loads(&subjects).await?;
        }
    }
    if on("live") {
        live::live(&server).await?;
    }
    if on("relay") || on("saga") {
        let kafka = std::env::var("MINOS_TEST_KAFKA")
            .map_err(|_| "MINOS_TEST_KAFKA is not set: eval \"$(scripts/services env)\"")?;
        if on("relay") {
            relay::relay(&server, &kafka).await?;
        }
        if on("saga") {
            saga::saga(&server, &kafka, &wanted).await?;
        }
    }
    Ok(())
}
