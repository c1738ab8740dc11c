//! A build without the feature `local`.

use std::{path::Path, sync::Arc};

use crate::{
    broker::Broker,
    clock::Clock,
    config,
    error::{Error, Kind, Result},
};

#[allow(
    clippy::unused_async,
    reason = "the broker of the feature `local` is opened asynchronously"
)]
pub(super) async fn open(
    _path: &Path,
    _settings: &config::Broker,
    _clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Broker>> {
    Err(Error::new(
        Kind::Config,
        "broker.url: this build has no `local://`; build minos with the feature `local`",
    ))
}
