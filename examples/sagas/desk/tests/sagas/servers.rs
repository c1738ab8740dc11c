//! Two of the crash tests on PostgreSQL and Kafka. `scripts/services up` starts both, its `env` says where they are.

use desk::{Order, Trip};
use minos::{
    config::Config,
    error::{Error, Kind, Result},
    prelude::Uuid,
    saga::Saga,
    sqlx::{AssertSqlSafe, Connection, Executor, PgConnection},
    testing::CrashTest,
};

use crate::{order::order, trip::trip};

fn server(variable: &str) -> Result<String> {
    std::env::var(variable).map_err(|_| {
        let text = format!("{variable} is not set: eval \"$(scripts/services env)\"");
        Error::new(Kind::Config, text)
    })
}

thread_local! {
    /// The name of the database of all runs of one thread, and of the prefix of their topics: one comes after the
    /// other. Each begins with a new database, but leaves its topics only when all that was published is handled; to
    /// make them takes Kafka longer than a run.
    static NAME: String = format!("crash_{}", Uuid::now_v7().simple());
}

fn config(_: &str) -> Result<Config> {
    let name = NAME.with(String::clone);
    let (postgres, kafka) = (server("MINOS_TEST_POSTGRES")?, server("MINOS_TEST_KAFKA")?);
    let url = postgres
        .rsplit_once('/')
        .map_or(postgres.as_str(), |(url, _)| url);
    create(&postgres, &name)?;
    Config::default()
        .set("http.bind", "127.0.0.1:0")?
        .set("http.workers", "1")?
        .set("database.url", &format!("{url}/{name}"))?
        .set("broker.url", &format!("kafka://{kafka}"))?
        .set("broker.prefix", &format!("{name}."))?
        .set("broker.partitions", "1")?
        // A group is told sooner of who comes and goes; who waits for messages asks less often.
        .set(
            "broker.properties",
            "heartbeat.interval.ms=100;fetch.wait.max.ms=500",
        )?
        .set("runtime.stop_grace", "30s")
}

/// Makes a database anew.
fn create(server: &str, database: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::other)?;
    runtime.block_on(async {
        let mut connection = PgConnection::connect(server).await.map_err(Error::other)?;
        for change in [
            format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"),
            format!("CREATE DATABASE {database} TEMPLATE template0"),
        ] {
            let made = connection.execute(AssertSqlSafe(change)).await;
            made.map_err(Error::other)?;
        }
        Ok(())
    })
}

fn killed<S: Saga>(state: S) -> CrashTest<S> {
    CrashTest::of(state).config(config)
}

#[minos::crash_test(desk::service(), shops::service())]
fn an_order_survives_crashes_on_postgres_and_kafka() -> CrashTest<Order> {
    killed(order("tea", 7))
}

#[minos::crash_test(desk::service(), shops::service())]
fn a_trip_survives_crashes_on_postgres_and_kafka() -> CrashTest<Trip> {
    killed(trip("rome"))
}
