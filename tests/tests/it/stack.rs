//! What services run on.

use std::sync::Arc;

use examples_client::Result;
use minos::store::{Store, sqlite};
use tempfile::TempDir;

/// Databases and a broker that nobody else uses.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    name: &'static str,
    /// Gone with the stack.
    _folder: Arc<TempDir>,
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
            _folder: Arc::new(folder),
            database,
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
        let path = url.strip_prefix("sqlite://").ok_or("no sqlite")?;
        Ok(Arc::new(
            sqlite::Store::open(path, sqlite::Options::default()).await?,
        ))
    }
}
