//! A build without the feature `postgres`.

use std::sync::Arc;

use crate::{
    config::{self, PostgresUrl},
    error::{Error, Kind, Result},
    store::Store,
};

#[allow(
    clippy::unused_async,
    reason = "the store of the feature `postgres` is opened asynchronously"
)]
pub(super) async fn open(
    _service: &str,
    _url: &PostgresUrl,
    _settings: &config::Database,
) -> Result<Arc<dyn Store>> {
    Err(Error::new(
        Kind::Config,
        "database.url: this build has no `postgres://`; build minos with the feature `postgres`",
    ))
}
