//! Databases for tests.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

use super::super::{Options, Store};

/// The server of the tests.
pub(super) fn url() -> String {
    std::env::var("MINOS_TEST_POSTGRES").expect(
        "MINOS_TEST_POSTGRES is not set: start a server with `scripts/services up` and take its variables with \
         `eval \"$(scripts/services env)\"`",
    )
}

/// A database of its own, dropped with this.
pub(super) struct Database {
    name: String,
}

impl Database {
    pub(super) async fn new() -> Self {
        let name = format!("minos_test_{}", Uuid::new_v4().simple());
        let mut server = PgConnection::connect(&url()).await.unwrap();
        // Two copies of the template at once are refused.
        for attempt in 0.. {
            let sql = format!("CREATE DATABASE {name} TEMPLATE template0");
            match server.execute(AssertSqlSafe(sql)).await {
                Ok(_) => break,
                Err(e) if attempt < 50 && e.to_string().contains("being accessed") => {}
                Err(e) => panic!("{e}"),
            }
        }
        Self { name }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn url(&self) -> String {
        let url = url();
        let (base, query) = match url.split_once('?') {
            Some((base, query)) => (base, format!("?{query}")),
            None => (url.as_str(), String::new()),
        };
        let server = base.rsplit_once('/').map_or(base, |(server, _)| server);
        format!("{server}/{}{query}", self.name)
    }

    pub(super) async fn open(&self, options: Options) -> Arc<Store> {
        Arc::new(Store::open(&self.url(), options).await.unwrap())
    }

    /// A connection that knows nothing of the store.
    pub(super) async fn stranger(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = self.name.clone();
        // The test's runtime may be ending.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut server = PgConnection::connect(&url()).await.unwrap();
                let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                server.execute(AssertSqlSafe(sql)).await.unwrap();
            });
        });
        dropping.join().ok();
    }
}
