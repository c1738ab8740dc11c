//! A build without the feature `sqlite`.

use std::{path::Path, sync::Arc};

use crate::{
    config,
    error::{Error, Kind, Result},
    store::Store,
};

#[allow(
    clippy::unused_async,
    reason = "the store of the feature `sqlite` is opened asynchronously"
)]
pub(super) async fn open(_path: &Path, _settings: &config::Database) -> Result<Arc<dyn Store>> {
    Err(Error::new(
        Kind::Config,
        "database.url: this build has no `sqlite://`; build minos with the feature `sqlite`",
    ))
}
