//! From a configured URL to an open store or broker.

use std::sync::Arc;

use crate::{
    broker::{self, Broker},
    clock::Clock,
    config::{BrokerUrl, Config, DatabaseUrl, ServiceConfig},
    error::{Error, Failure, Kind, Result},
    store::{self, Store},
};

/// Opens a service's store; migrations are done once this returns.
pub(super) async fn store(config: &ServiceConfig, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Store>> {
    match &config.database.url {
        DatabaseUrl::Memory => Ok(Arc::new(store::memory::Store::new())),
        #[cfg(feature = "sqlite")]
        DatabaseUrl::Sqlite(path) => {
            let mut options = store::sqlite::Options::default();
            options.readers = config.database.pool;
            let store = store::sqlite::Store::open(path, options).await;
            Ok(Arc::new(store.map_err(|e| unusable("database.url", &path.display().to_string(), e))?))
        }
        #[cfg(not(feature = "sqlite"))]
        DatabaseUrl::Sqlite(_) => Err(absent("database.url", "sqlite")),
    }
}

/// Opens the broker of the process.
pub(super) async fn broker(config: &Config, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Broker>> {
    todo!()
}
