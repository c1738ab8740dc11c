//! Two of the crash tests on PostgreSQL and Kafka. `scripts/services up` starts both, its `env` says where they are.

use std::time::Duration;

use desk::{Order, Trip};
use minos::{
    config::Config,
    error::{Error, Kind, Result},
    saga::Saga,
    sqlx::{AssertSqlSafe, Connection, Executor, PgConnection},
    testing::CrashTest,
};

use crate::{order::order, trip::trip};

/// Longer than Kafka waits for a member of a group that is dead.
const STILL: Duration = Duration::from_secs(8);

fn server(variable: &str) -> Result<String> {
    std::env::var(variable).map_err(|_| {
        let text = format!("{variable} is not set: eval \"$(scripts/services env)\"");
        Error::new(Kind::Config, text)
    })
}

/// Databases of its own, and topics.
fn config(name: &str) -> Result<Config> {
    let (postgres, kafka) = (server("MINOS_TEST_POSTGRES")?, server("MINOS_TEST_KAFKA")?);
    let url = postgres
        .rsplit_once('/')
        .map_or(postgres.as_str(), |(url, _)| url);
    for service in ["desk", "shops"] {
        create(&postgres, &format!("crash_{name}_{service}"))?;
    }
    Config::default()
        .set("http.bind", "127.0.0.1:0")?
        .set("database.url", &format!("{url}/crash_{name}_{{service}}"))?
        .set("broker.url", &format!("kafka://{kafka}"))?
        .set("broker.prefix", &format!("{name}."))
}

fn create(server: &str, database: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::other)?;
    runtime.block_on(async {
        let mut connection = PgConnection::connect(server).await.map_err(Error::other)?;
        let create = format!("CREATE DATABASE {database} TEMPLATE template0");
        let made = connection.execute(AssertSqlSafe(create)).await;
        made.map(|_| ()).map_err(Error::other)
    })
}

fn killed<S: Saga>(state: S) -> CrashTest<S> {
    CrashTest::of(state).config(config).still(STILL).every(6)
}

#[minos::crash_test(desk::service(), shops::service())]
fn an_order_survives_crashes_on_postgres_and_kafka() -> CrashTest<Order> {
    killed(order("tea", 7))
}

#[minos::crash_test(desk::service(), shops::service())]
fn a_trip_survives_crashes_on_postgres_and_kafka() -> CrashTest<Trip> {
    killed(trip("rome"))
}
