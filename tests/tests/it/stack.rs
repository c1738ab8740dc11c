//! What services run on.

use std::sync::Arc;

use examples_client::Result;
use minos::store::{Store, postgres, sqlite};
use tempfile::TempDir;
use uuid::Uuid;

use crate::servers::Servers;

/// Databases and a broker that nobody else uses.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    name: &'static str,
    /// Gone with the stack.
    _folder: Option<Arc<TempDir>>,
    database: String,
    /// The variables that configure it.
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Stack {
    /// SQLite and the embedded broker.
    pub(crate) fn embedded() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = folder.path().display();
        let database = format!("sqlite://{at}/{{service}}.db");
        Ok(Self {
            name: "sqlite,local",
            variables: vec![
                ("MINOS_DATABASE_URL", database.clone()),
                ("MINOS_BROKER_URL", format!("local://{at}/broker.db")),
                ("MINOS_BROKER_LEASE", "300ms".to_owned()),
            ],
            _folder: Some(Arc::new(folder)),
            database,
        })
    }

    /// PostgreSQL and Kafka behind a network that can fail: a database for each of these services, and topics of its
    /// own.
    pub(crate) async fn behind(servers: &Servers, services: &[&str]) -> Result<Self> {
        let name = format!("t{}", Uuid::new_v4().simple());
        let (mut direct, mut proxied) = (String::new(), String::new());
        for service in services {
            let database = format!("{service}_{name}");
            let urls = servers.database(&database).await?;
            proxied = urls.0.replace(&database, &format!("{{service}}_{name}"));
            direct = urls.1.replace(&database, &format!("{{service}}_{name}"));
        }
        Ok(Self {
            name: "postgres,kafka",
            variables: vec![
                ("MINOS_DATABASE_URL", proxied),
                (
                    "MINOS_BROKER_URL",
                    format!("kafka://127.0.0.1:{}", servers.kafka.port()),
                ),
                ("MINOS_BROKER_PREFIX", format!("{name}.")),
                // The others take over sooner.
                (
                    "MINOS_BROKER_PROPERTIES",
                    "session.timeout.ms=2000".to_owned(),
                ),
            ],
            _folder: None,
            database: direct,
        })
    }

    /// With one more variable.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The store of one service, to look into it.
    pub(crate) async fn store(&self, service: &str) -> Result<Arc<dyn Store>> {
        let url = self.database.replace("{service}", service);
        if let Some(path) = url.strip_prefix("sqlite://") {
            let store = sqlite::Store::open(path, sqlite::Options::default()).await?;
            return Ok(Arc::new(store));
        }
        let options = postgres::Options {
            schema: service.to_owned(),
            ..postgres::Options::default()
        };
        Ok(Arc::new(postgres::Store::open(&url, options).await?))
    }
}
