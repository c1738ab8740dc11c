//! Durable creates, updates and reads on SQLite, beside the same rows written by sqlx without a framework.
//!
//! One iteration is `N` operations by `c` tasks; criterion prints operations per second.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use std::{
    hint::black_box,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use minos::{Builder, Running, Uuid, aggregate::Aggregate, config::Config, sqlx};
use minos_benches::{Account, owner};
use sqlx::{
    Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::{
    runtime::Runtime,
    sync::{Mutex, mpsc, oneshot},
};

const TASKS: [usize; 3] = [1, 8, 64];
const N: usize = 256;

async fn start(folder: &Path) -> Arc<Running> {
    let at = folder.display();
    let config = Config::in_memory()
        .set("database.url", &format!("sqlite://{at}/{{service}}.db"))
        .unwrap();
    Arc::new(
        Builder::new([minos_benches::service()])
            .config(config)
            .start()
            .await
            .unwrap(),
    )
}

/// The floor's connection: the same settings as the store's.
async fn raw(folder: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("raw.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    for sql in [
        "create table if not exists heads (id blob primary key, version integer, tail blob, state text) without rowid",
        "create table if not exists events (position integer primary key autoincrement, id blob, stream blob, \
         version integer, name text, payload text, at integer, unique (stream, version))",
    ] {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    connection
}

async fn say(connection: &mut SqliteConnection, sql: &'static str) {
    sqlx::query(sql).execute(connection).await.unwrap();
}

async fn raw_create(connection: &mut SqliteConnection) {
    let (id, event) = (Uuid::now_v7(), Uuid::now_v7());
    let state = format!(r#"{{"owner":"{}","balance":0}}"#, owner());
    sqlx::query("insert into heads values (?, 1, ?, ?)")
        .bind(id)
        .bind(event)
        .bind(&state)
        .execute(&mut *connection)
        .await
        .unwrap();
    sqlx::query("insert into events (id, stream, version, name, payload, at) values (?, ?, 1, 'AccountCreated', ?, 0)")
        .bind(event)
        .bind(id)
        .bind(&state)
        .execute(&mut *connection)
        .await
        .unwrap();
}

/// Runs `N` operations by `tasks` tasks.
async fn spread<F, Fut>(tasks: usize, operation: F)
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let running: Vec<_> = (0..tasks)
        .map(|_| {
            let (next, operation) = (next.clone(), operation.clone());
            tokio::spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= N {
                        return;
                    }
                    operation(n).await;
                }
            })
        })
        .collect();
    for task in running {
        task.await.unwrap();
    }
}

fn creates(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let running = runtime.block_on(start(folder.path()));
    let mut group = c.benchmark_group("create");
    group.throughput(Throughput::Elements(N as u64));
    for tasks in TASKS {
        group.bench_function(BenchmarkId::new("minos", tasks), |b| {
            b.to_async(&runtime).iter(|| {
                let running = running.clone();
                spread(tasks, move |_| {
                    let running = running.clone();
                    async move {
                        let account = || Account {
                            owner: owner(),
                            balance: 0,
                        };
                        running
                            .unit("bench", move |cx| {
                                Box::pin(async move { Account::create(cx, account()) })
                            })
                            .await
                            .unwrap();
                    }
                })
            });
        });
        let connection = Arc::new(Mutex::new(runtime.block_on(raw(folder.path()))));
        group.bench_function(BenchmarkId::new("raw, one commit each", tasks), |b| {
            b.to_async(&runtime).iter(|| {
                let connection = connection.clone();
                spread(tasks, move |_| {
                    let connection = connection.clone();
                    async move {
                        let mut connection = connection.lock().await;
                        say(&mut connection, "BEGIN IMMEDIATE").await;
                        raw_create(&mut connection).await;
                        say(&mut connection, "COMMIT").await;
                    }
                })
            });
        });
        group.bench_function(BenchmarkId::new("raw, batched", tasks), |b| {
            let writer = runtime.block_on(batching(folder.path()));
            b.to_async(&runtime).iter(|| {
                let writer = writer.clone();
                spread(tasks, move |_| {
                    let writer = writer.clone();
                    async move {
                        let (done, wait) = oneshot::channel();
                        writer.send(done).unwrap();
                        wait.await.unwrap();
                    }
                })
            });
        });
    }
    group.finish();
}

/// A writer that commits whatever waits, at once.
async fn batching(folder: &Path) -> mpsc::UnboundedSender<oneshot::Sender<()>> {
    let mut connection = raw(folder).await;
    let (send, mut receive) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
    tokio::spawn(async move {
        let mut batch = Vec::new();
        while receive.recv_many(&mut batch, 256).await > 0 {
            say(&mut connection, "BEGIN IMMEDIATE").await;
            for _ in &batch {
                raw_create(&mut connection).await;
            }
            say(&mut connection, "COMMIT").await;
            for done in batch.drain(..) {
                let _ = done.send(());
            }
        }
    });
    send
}

fn updates_and_reads(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let running = runtime.block_on(start(folder.path()));
    let ids: Arc<Vec<Uuid>> = Arc::new(runtime.block_on(async {
        let mut ids = Vec::new();
        for _ in 0..N {
            let id = running.unit("bench", |cx| {
                Box::pin(async move {
                    Ok(Account::create(
                        cx,
                        Account {
                            owner: owner(),
                            balance: 0,
                        },
                    )?
                    .uuid())
                })
            });
            ids.push(id.await.unwrap());
        }
        ids
    }));
    let connection = Arc::new(Mutex::new(runtime.block_on(raw(folder.path()))));
    runtime.block_on(async {
        let mut connection = connection.lock().await;
        for id in ids.iter() {
            sqlx::query("insert into heads values (?, 1, ?, '{}')")
                .bind(id)
                .bind(id)
                .execute(&mut *connection)
                .await
                .unwrap();
        }
    });
    let mut group = c.benchmark_group("update");
    group.throughput(Throughput::Elements(N as u64));
    for tasks in TASKS {
        group.bench_function(BenchmarkId::new("minos", tasks), |b| {
            b.to_async(&runtime).iter(|| {
                let (running, ids) = (running.clone(), ids.clone());
                spread(tasks, move |n| {
                    let (running, id) = (running.clone(), ids[n]);
                    async move {
                        running
                            .unit("bench", move |cx| {
                                Box::pin(async move {
                                    let mut account = Account::get(cx, id).await?;
                                    account.balance += 1;
                                    account.save(cx)
                                })
                            })
                            .await
                            .unwrap();
                    }
                })
            });
        });
        group.bench_function(BenchmarkId::new("raw, one commit each", tasks), |b| {
            b.to_async(&runtime).iter(|| {
                let (connection, ids) = (connection.clone(), ids.clone());
                spread(tasks, move |n| {
                    let (connection, id) = (connection.clone(), ids[n]);
                    async move {
                        let mut connection = connection.lock().await;
                        say(&mut connection, "BEGIN IMMEDIATE").await;
                        let version: i64 = sqlx::query_scalar("select version from heads where id = ?")
                            .bind(id)
                            .fetch_one(&mut *connection)
                            .await
                            .unwrap();
                        sqlx::query("update heads set version = ?, tail = ? where id = ?")
                            .bind(version + 1)
                            .bind(Uuid::now_v7())
                            .bind(id)
                            .execute(&mut *connection)
                            .await
                            .unwrap();
                        sqlx::query("insert into events (id, stream, version, name, payload, at) values (?, ?, ?, 'AccountUpdated', '{\"balance\":1}', 0)")
                            .bind(Uuid::now_v7())
                            .bind(id)
                            .bind(version + 1)
                            .execute(&mut *connection)
                            .await
                            .unwrap();
                        say(&mut connection, "COMMIT").await;
                    }
                })
            });
        });
    }
    group.finish();
    let mut group = c.benchmark_group("get");
    group.throughput(Throughput::Elements(N as u64));
    for tasks in TASKS {
        group.bench_function(BenchmarkId::new("minos", tasks), |b| {
            b.to_async(&runtime).iter(|| {
                let (running, ids) = (running.clone(), ids.clone());
                spread(tasks, move |n| {
                    let (running, id) = (running.clone(), ids[n]);
                    async move {
                        let get = running.unit("bench", move |cx| {
                            Box::pin(async move { Account::get(cx, id).await })
                        });
                        black_box(get.await.unwrap());
                    }
                })
            });
        });
        group.bench_function(BenchmarkId::new("raw", tasks), |b| {
            b.to_async(&runtime).iter(|| {
                let (connection, ids) = (connection.clone(), ids.clone());
                spread(tasks, move |n| {
                    let (connection, id) = (connection.clone(), ids[n]);
                    async move {
                        let mut connection = connection.lock().await;
                        let state: String =
                            sqlx::query_scalar("select state from heads where id = ?")
                                .bind(id)
                                .fetch_one(&mut *connection)
                                .await
                                .unwrap();
                        black_box(state);
                    }
                })
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = creates, updates_and_reads
}
criterion_main!(benches);
