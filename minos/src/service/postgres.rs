//! The store in PostgreSQL.

use std::sync::Arc;

use crate::{
    config::{self, PostgresUrl},
    error::{Failure, Kind, Result},
    store::{
        self, Store,
        postgres::{self, Options},
    },
};

pub(super) async fn open(
    service: &str,
    url: &PostgresUrl,
    settings: &config::Database,
) -> Result<Arc<dyn Store>> {
    let options = Options {
        schema: service.to_owned(),
        application: format!("minos {service}"),
        pool: settings.pool,
        allow_restored: settings.allow_restored,
        ..Options::default()
    };
    let opened = postgres::Store::open(url.exposed(), options).await;
    let store = opened.map_err(|e| {
        let (kind, fix) = match e {
            store::Error::Unavailable(_) => (
                Kind::Unavailable,
                "; start the server, or name one that runs",
            ),
            _ => (Kind::Config, ""),
        };
        let cause = match &e {
            store::Error::Unavailable(cause) | store::Error::Backend(cause) => cause.to_string(),
            other => other.to_string(),
        };
        let text = format!("database.url = \"{url}\": {cause}{fix}");
        Failure::new(kind, text).because(e)
    })?;
    Ok(Arc::new(store))
}
