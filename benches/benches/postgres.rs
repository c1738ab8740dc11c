//! Durable creates and updates on PostgreSQL, beside rows written by sqlx without a framework.
//!
//! It needs a server: `eval "$(scripts/services env)"` names the one of the tests. One iteration is a number of
//! operations by `c` tasks; criterion prints operations per second. Raw "event" is the least that anybody could do,
//! one row in one statement; raw "head and event" writes the rows that an optimistic lock takes.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use minos::{
    Builder, Payload, Running, Uuid,
    aggregate::Aggregate,
    config::Config,
    message::Headers,
    sqlx,
    store::{NewEvent, Store, StreamId, UnitOfWork, Write, postgres},
};
use minos_benches::{Account, owner};
use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, PgPool, Row, postgres::PgPoolOptions,
};
use tokio::runtime::Runtime;

const TASKS: [usize; 2] = [1, 64];

/// A database of its own; dropped with this.
struct Database {
    server: String,
    name: String,
}

impl Database {
    async fn new() -> Self {
        let url = std::env::var("MINOS_TEST_POSTGRES")
            .expect("MINOS_TEST_POSTGRES is not set; see scripts/services");
        let name = format!("minos_bench_{}", Uuid::now_v7().simple());
        let mut server = PgConnection::connect(&url).await.unwrap();
        let sql = format!("CREATE DATABASE {name}");
        server.execute(AssertSqlSafe(sql)).await.unwrap();
        let raw = Self { server: url, name };
        let mut database = PgConnection::connect(&raw.url()).await.unwrap();
        let tables = "CREATE TABLE heads (id uuid PRIMARY KEY, version bigint NOT NULL, tail uuid NOT NULL, state text); \
                      CREATE TABLE events (place bigint GENERATED ALWAYS AS IDENTITY, id uuid NOT NULL, \
                      stream uuid NOT NULL, version bigint NOT NULL, name text NOT NULL, payload text NOT NULL, \
                      at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (stream, version))";
        database.execute(tables).await.unwrap();
        raw
    }

    fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    async fn start(&self) -> Arc<Running> {
        let config = Config::in_memory()
            .set("database.url", &self.url())
            .unwrap();
        let running = Builder::new([minos_benches::service()])
            .config(config)
            .start();
        Arc::new(running.await.unwrap())
    }

    async fn pool(&self, size: usize) -> PgPool {
        let size = u32::try_from(size).unwrap();
        PgPoolOptions::new()
            .max_connections(size)
            .min_connections(size)
            .test_before_acquire(false)
            .connect(&self.url())
            .await
            .unwrap()
    }

    async fn drop(self) {
        let mut server = PgConnection::connect(&self.server).await.unwrap();
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        server.execute(AssertSqlSafe(sql)).await.unwrap();
    }
}

fn state() -> String {
    format!(r#"{{"owner":"{}","balance":0}}"#, owner())
}

async fn raw_event(connection: &mut PgConnection, stream: Uuid, version: i64) -> bool {
    let sql = "INSERT INTO events (id, stream, version, name, payload) VALUES ($1, $2, $3, 'AccountCreated', $4) \
               ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql)
        .bind(Uuid::now_v7())
        .bind(stream)
        .bind(version)
        .bind(state())
        .execute(connection)
        .await
        .unwrap();
    done.rows_affected() == 1
}

async fn raw_version(connection: &mut PgConnection, stream: Uuid) -> i64 {
    let sql = "SELECT version, payload FROM events WHERE stream = $1 ORDER BY version DESC LIMIT 1";
    let row = sqlx::query(sql)
        .bind(stream)
        .fetch_one(connection)
        .await
        .unwrap();
    row.get(0)
}

/// Runs so many operations by `tasks` tasks.
async fn spread<F, Fut>(tasks: usize, operations: usize, operation: F)
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let running = (0..tasks).map(|_| {
        let (next, operation) = (next.clone(), operation.clone());
        tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= operations {
                    return;
                }
                operation(n).await;
            }
        })
    });
    for done in join_all(running.collect::<Vec<_>>()).await {
        done.unwrap();
    }
}

fn operations(tasks: usize) -> usize {
    256.max(tasks * 32)
}

async fn create(running: &Running) -> Uuid {
    let account = || Account {
        owner: owner(),
        balance: 0,
    };
    running
        .unit("bench", move |cx| {
            Box::pin(async move { Ok(Account::create(cx, account())?.uuid()) })
        })
        .await
        .unwrap()
}

async fn change(running: &Running, id: Uuid) {
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

fn creates(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(Database::new());
    let running = runtime.block_on(database.start());
    let mut group = c.benchmark_group("postgres create");
    for tasks in TASKS {
        let n = operations(tasks);
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::new("minos", tasks), |b| {
            b.to_async(&runtime).iter(|| {
                let running = running.clone();
                spread(tasks, n, move |_| {
                    let running = running.clone();
                    async move {
                        create(&running).await;
                    }
                })
            });
        });
        let pool = runtime.block_on(database.pool(tasks));
        group.bench_function(BenchmarkId::new("raw, event", tasks), |b| {
            b.to_async(&runtime).iter(|| {
                let pool = pool.clone();
                spread(tasks, n, move |_| {
                    let pool = pool.clone();
                    async move {
                        let mut connection = pool.acquire().await.unwrap();
                        assert!(raw_event(&mut connection, Uuid::now_v7(), 1).await);
                    }
                })
            });
        });
        group.bench_function(BenchmarkId::new("raw, head and event", tasks), |b| {
            b.to_async(&runtime).iter(|| {
                let pool = pool.clone();
                spread(tasks, n, move |_| {
                    let pool = pool.clone();
                    async move {
                        let id = Uuid::now_v7();
                        let mut transaction = pool.begin().await.unwrap();
                        sqlx::query("INSERT INTO heads VALUES ($1, 1, $2, $3)")
                            .bind(id)
                            .bind(id)
                            .bind(state())
                            .execute(&mut *transaction)
                            .await
                            .unwrap();
                        raw_event(&mut transaction, id, 1).await;
                        transaction.commit().await.unwrap();
                    }
                })
            });
        });
        runtime.block_on(pool.close());
    }
    group.finish();
    runtime.block_on(database.drop());
}

/// The store by itself: what of the above is the framework's?
fn commits(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(Database::new());
    let store: Arc<dyn Store> = Arc::new(
        runtime
            .block_on(postgres::Store::open(
                &database.url(),
                postgres::Options::default(),
            ))
            .unwrap(),
    );
    let mut group = c.benchmark_group("postgres commit");
    for tasks in TASKS {
        let n = operations(tasks);
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::new("store", tasks), |b| {
            b.to_async(&runtime).iter(|| {
                let store = store.clone();
                spread(tasks, n, move |_| {
                    let store = store.clone();
                    async move {
                        store.commit(unit()).await.unwrap();
                    }
                })
            });
        });
    }
    group.finish();
    runtime.block_on(store.close());
    runtime.block_on(database.drop());
}

fn unit() -> UnitOfWork {
    let at = minos::chrono::DateTime::UNIX_EPOCH;
    let mut unit = UnitOfWork::new(Uuid::now_v7(), at);
    unit.writes = vec![Write {
        stream: StreamId::new("Account", Uuid::now_v7()),
        expected: None,
        events: vec![NewEvent {
            id: Uuid::now_v7(),
            name: "AccountCreated".to_owned(),
            payload: Payload::from_text(state()),
            headers: Headers::default(),
        }],
        state: Some(Payload::from_text(state())),
        claims: Vec::new(),
    }];
    unit
}

fn updates(c: &mut Criterion) {
    const ACCOUNTS: usize = 1000;
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(Database::new());
    let running = runtime.block_on(database.start());
    let ids: Arc<Vec<Uuid>> = Arc::new(runtime.block_on(async {
        let pool = database.pool(8).await;
        let ids = join_all((0..ACCOUNTS).map(|_| create(&running))).await;
        for id in &ids {
            raw_event(&mut pool.acquire().await.unwrap(), *id, 1).await;
        }
        ids
    }));
    for (name, tasks, hot) in [
        ("postgres update", 1, false),
        ("postgres update", 64, false),
        ("postgres update, one aggregate", 16, true),
    ] {
        let mut group = c.benchmark_group(name);
        let n = operations(tasks);
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::new("minos", tasks), |b| {
            b.to_async(&runtime).iter(|| {
                let (running, ids) = (running.clone(), ids.clone());
                spread(tasks, n, move |_| {
                    let running = running.clone();
                    let id = ids[if hot { 0 } else { fastrand::usize(..ids.len()) }];
                    async move { change(&running, id).await }
                })
            });
        });
        let pool = runtime.block_on(database.pool(tasks));
        group.bench_function(BenchmarkId::new("raw, event", tasks), |b| {
            b.to_async(&runtime).iter(|| {
                let (pool, ids) = (pool.clone(), ids.clone());
                spread(tasks, n, move |_| {
                    let pool = pool.clone();
                    let id = ids[if hot { 0 } else { fastrand::usize(..ids.len()) }];
                    async move {
                        let mut connection = pool.acquire().await.unwrap();
                        loop {
                            let version = raw_version(&mut connection, id).await;
                            if raw_event(&mut connection, id, version + 1).await {
                                return;
                            }
                        }
                    }
                })
            });
        });
        runtime.block_on(pool.close());
        group.finish();
    }
    runtime.block_on(database.drop());
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = creates, commits, updates
}
criterion_main!(benches);
